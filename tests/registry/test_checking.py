"""What MLflow shows is compared with what the journal says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from brixa_flows.cli import main
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def test_an_alias_moved_by_hand_in_mlflow_is_noticed_by_the_doctor(
    storage: LocalStorageNode, tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    for version in ("1.0.0", "1.1.0"):
        registry.register_model("m", "t", "pickle", version=version)
        registry.save_model("m", version, {"rule": version})
    registry.transition("m", "1.0.0", "production")
    registry.set_alias("m", "eu", "1.0.0")
    assert registry.check() == []
    client = MlflowClient(tracking_uri)
    client.set_registered_model_alias("m", "production", "2")
    client.delete_registered_model_alias("m", "eu")
    client.set_registered_model_alias("m", "own", "1")
    eu, own, production = registry.check()
    assert "'eu' is on no version in MLflow, and on 1.0.0" in eu
    assert "'own' is on 1.0.0 in MLflow, and on no version" in own
    assert "'production' is on 1.1.0 in MLflow, and on 1.0.0" in production
    assert "brixa model transition m@1.1.0 production" in production
    assert "registry.set_alias('m', 'eu', None) adopts that, brixa doctor --reb" in eu
    assert "delete the alias in MLflow to undo it" in own
    assert str(registry.resolve("m")) == "1.0.0"
    with pytest.raises(SystemExit) as ended:
        main(["--storage", str(storage.root), "--tracking-uri", tracking_uri, "doctor"])
    assert ended.value.code == 1
    assert "moved it by hand" in " ".join(capsys.readouterr().out.split())
    registry.transition("m", "1.1.0", "production", reason="adopted")
    registry.set_alias("m", "own", "1.0.0")
    registry.set_alias("m", "eu", None)
    assert registry.check() == []


def test_production_by_hand_on_a_version_of_mlflows_own_is_told_put_back_or_adopted(
    storage: LocalStorageNode,
    tracking_uri: str,
    classifier: LogisticRegression,
    tmp_path: Path,
) -> None:
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    registry.register_model("m", "t", "pickle")
    registry.save_model("m", "1.0.0", {"rule": 1})
    registry.transition("m", "1.0.0", "production")
    mlflow.sklearn.save_model(classifier, tmp_path / "other", pip_requirements=[])
    client = MlflowClient(tracking_uri, tracking_uri)
    client.create_model_version("m", source=(tmp_path / "other").as_uri())
    for alias in ("production", "staging", "of-others"):
        client.set_registered_model_alias("m", alias, "2")
    production, staging = registry.check()
    assert "'production' is on version 2 of MLflow's own" in production
    assert "on 1.0.0 by the journal" in production
    assert "archived" not in production
    assert "delete the alias in MLflow" in staging
    assert "on no version by the journal" in staging
    assert registry.recover() == []
    assert str(registry.resolve("m", "production")) == "1.0.0"
    assert "--rebuild-tracking puts the alias back on 1.0.0" in production
    registry.rebuild_tracking()
    assert registry.tracking.aliases("m") == {"production": "1.0.0"}
    assert "brixa model register-run models:/m/2 --name m adopts" in staging
    adopted = registry.register_run("models:/m/2", name="m")
    registry.transition("m", adopted.version, "staging")
    assert registry.check() == []
    assert registry.tracking.foreign_aliases("m") == {"of-others": "2"}


def test_what_was_moved_by_hand_is_undone_or_adopted_as_the_doctor_says(
    registry: ModelRegistry, save: SaveVersion, tracking: MemoryTrackingStore
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        save("m", version)
        registry.transition("m", version, "production")
    numbers = {
        each.version: each.backend_version for each in tracking.list_versions("m")
    }

    def told(alias: str, version: str | None) -> str:
        tracking.set_alias("m", alias, numbers[version] if version else None)
        [sentence] = registry.check()
        registry.rebuild_tracking()
        return sentence

    undone = ", brixa doctor --rebuild-tracking undoes it"
    assert told("production", "1.0.0").endswith(
        "no transition leads from archived to production" + undone
    )
    gone = "brixa model transition m@1.2.0 archived --reason WHY adopts that"
    assert told("production", None).endswith(gone + undone)
    back = "brixa model rollback m --reason WHY adopts that"
    assert told("production", "1.1.0").endswith(back + undone)
    assert registry.check() == []
    tracking.set_alias("m", "production", numbers["1.1.0"])
    registry.rollback("m", reason="as somebody did by hand")
    assert registry.check() == []
    assert "delete the alias in MLflow to undo it" in told("staging", "1.1.0")


def test_nobody_is_said_to_have_moved_what_is_promoted_at_this_moment(
    storage: LocalStorageNode, classifier: object
) -> None:
    class Watched(MemoryTrackingStore):
        meanwhile: list[Callable[[], object]] = []

        def aliases(self, name: str) -> dict[str, str]:
            if self.meanwhile:
                self.meanwhile.pop()()
            return super().aliases(name)

    tracking = Watched()
    one, other = (ModelRegistry(storage, tracking=tracking) for _ in range(2))
    for version in ("1.0.0", "1.1.0"):
        one.register_model("m", "t", version=version)
        one.save_model("m", version, classifier)
    one.transition("m", "1.0.0", "production", reason="first")
    tracking.meanwhile = [
        lambda: other.transition("m", "1.1.0", "production", reason="better"),
        lambda: other.set_alias("m", "own", "1.0.0"),
    ]
    assert one.check() == []
    assert tracking.meanwhile == []


def test_damaged_records_are_told_by_their_keys(
    registry: ModelRegistry, save: SaveVersion, storage: LocalStorageNode
) -> None:
    save("m", "1.0.0")
    registry.record_drift("m", "1.0.0", {"status": "ok"})
    registry.transition("m", "1.0.0", "production")
    assert registry.check() == []
    journal = storage.root / "models" / "m" / "_journal"
    damaged = (
        "changes/00000001.json",
        "seals/1.0.0.json",
        "drift/1.0.0/00000001.json",
    )
    for key in damaged:
        (journal / key).write_bytes(b"{")
    fresh = ModelRegistry(storage, tracking=registry.tracking)
    told = "\n".join(fresh.check())
    for key in damaged:
        assert key in told


def test_what_was_changed_by_hand_in_mlflow_is_written_to_storage_by_recovery(
    storage: LocalStorageNode, tracking_uri: str
) -> None:
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    registry.register_model("m", "t", "pickle", tags={"team": "ops"})
    saved = registry.save_model("m", "1.0.0", {"rule": 1})
    assert registry.recover() == []
    client = MlflowClient(tracking_uri, tracking_uri)
    client.set_model_version_tag("m", "1", "team", "ml")
    client.update_model_version("m", "1", "told by hand")
    client.log_metric(str(saved.run_id), "f1", 0.5)
    client.log_metric(str(saved.run_id), "broken", float("nan"))
    [action] = registry.recover()
    assert (action.action, str(action.version)) == ("metadata followed", "1.0.0")
    kept = json.loads(storage.read("models/m/1.0.0_meta.json")[0])["mutable"]
    assert (kept["description"], kept["tags"]) == ("told by hand", {"team": "ml"})
    assert kept["metrics"] == {"f1": 0.5}, "JSON has no word for what is no number"
    assert registry.recover() == []


def test_half_written_files_of_the_dead_are_told_with_their_size(
    registry: ModelRegistry, storage: LocalStorageNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brixa_flows.passing_folders._LOCKED_WITHIN_SECONDS", -1.0)
    dead = storage.root / ".brixa" / "tmp" / "dead"
    dead.mkdir(parents=True)
    (dead / "model.joblib").write_bytes(bytes(2_500_000))
    with storage.staging():
        [told] = registry.check()
    assert "1 unfinished directories" in told
    assert "2.5 MB; brixa doctor --fix" in told


@pytest.mark.parametrize(
    "file", ["1.0.1_meta.json", "1.0.1/config.json", "1.0.1/lineage.json"]
)
def test_a_damaged_file_of_a_version_is_told_and_hides_no_other(
    registry: ModelRegistry, save: SaveVersion, storage: LocalStorageNode, file: str
) -> None:
    save("m", "1.0.0")
    save("m", "1.0.1")
    (storage.root / "models" / "m" / file).write_bytes(b"{")
    fresh = ModelRegistry(storage, tracking=registry.tracking)
    [told] = fresh.check()
    assert file.rpartition("/")[2] in told
    assert "1.0.1" in told
