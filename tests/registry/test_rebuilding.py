"""MLflow is lost, wholly or in part, and made anew from storage alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from brixa_flows.cli import main
from brixa_flows.errors import (
    DamagedArtifactError,
    TrackingError,
    UntrustedArtifactError,
)
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.signing import KeyRing
from brixa_flows.storage.local import LocalStorageNode
from tests.conftest import copy_template
from tests.registry.mlflow_picture import picture_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

DATA = {"name": "january", "uri": "file:///j.csv", "digest": "a" * 32, "rows": 40}


@pytest.fixture
def empty_uri(tmp_path: Path, mlflow_template_db: Path) -> Callable[[str], str]:
    """Makes an MLflow that knows nothing, by a name."""

    def make(name: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        copy_template(mlflow_template_db, folder / "mlflow.db")
        return uri_of(folder)

    return make


@pytest.fixture(scope="module")
def original(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_template_db: Path,
    frame: pd.DataFrame,
    labels: pd.Series,
    classifier: LogisticRegression,
) -> Path:
    """A folder with the storage, keys and MLflow of a filled registry; copy it."""
    folder = tmp_path_factory.mktemp("original")
    copy_template(mlflow_template_db, folder / "mlflow.db")
    KeyRing(folder / "keys").new("ada")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BRXA_KEYS_PATH", str(folder / "keys"))
        storage = LocalStorageNode(folder / "storage")
        registry = ModelRegistry(storage, tracking_uri=uri_of(folder))
        fill(registry, frame.assign(late=labels), classifier)
    return folder


@pytest.fixture
def filled(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelRegistry:
    """A registry with a version in each state, and everything a version can have."""
    for part in ("storage", "keys"):
        shutil.copytree(original / part, tmp_path / part)
    shutil.copy(original / "mlflow.db", tmp_path)
    monkeypatch.setenv("BRXA_KEYS_PATH", str(tmp_path / "keys"))
    return ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking_uri=uri_of(tmp_path)
    )


def uri_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def fill(
    registry: ModelRegistry, labelled: pd.DataFrame, classifier: LogisticRegression
) -> None:
    def save(name: str, version: str, **facts: object) -> None:
        registry.register_model(name, "delay", "sklearn", version=version, **facts)
        registry.save_model(name, version, classifier)

    save(
        "flights",
        "1.0.0+build.1",
        description="the first",
        tags={"team": "ops", "nlp": ""},
        custom={"budget": [1, None]},
        owner="ada",
        hyperparameters={"C": 1.0, "seed": 7},
        metrics={"auc": 0.5, "f1": 0.25},
        datasets=[DATA],
        run_id="0" * 32,
    )
    save("flights", "1.1.0-rc.1")
    save("flights", "1.1.0", metrics={"auc": 0.75})
    save("flights", "1.2.0")
    registry.register_model("rides", "delay", "sklearn", metrics={"f1": 0.5, "r2": 0.5})
    registry.log_metrics("rides", "1.0.0", {"auc": 0.25}, {"name": "march"})
    registry.log_metrics("rides", "1.0.0", {"r2": 0.25})
    registry.save_model("rides", "1.0.0", classifier)
    registry.log_metrics("rides", "1.0.0", {"f1": 0.75})
    registry.register_model("flights", "delay", version="2.0.0")
    registry.register_model("planned", "delay")
    evaluator = ModelEvaluator(registry)
    for again in (False, True):
        evaluator.evaluate(
            model_name="flights",
            version="1.1.0",
            dataset=labelled,
            target="late",
            metrics=["accuracy", "f1"],
            again=again,
        )
    registry.log_metrics("flights", "1.1.0", {"accuracy": 0.125})
    for month, value in (("may", 0.5), ("june", 0.25), ("may", 0.75)):
        registry.log_metrics("flights", "1.1.0", {"rmse": value}, {"name": month})
    on_may = {"metrics": {"rmse": 0.75}, "by": "a script, which logged it before"}
    registry.record_evaluation("flights", "1.1.0", on_may)
    registry.update("flights", "1.1.0", description="better", tags={"team": "ml"})
    registry.record_drift("flights", "1.1.0", {"status": "ok"})
    registry.transition("flights", "1.0.0", "production")
    registry.transition("flights", "1.1.0", "production", reason="better")
    registry.transition("flights", "1.1.0-rc.1", "staging")
    registry.set_alias("flights", "champion-eu", "1.0.0")
    registry.set_alias("flights", "gone", "1.0.0")
    registry.set_alias("flights", "gone", None)
    registry.delete_version("flights", "1.2.0")
    registry.sign("flights", "1.1.0", key="ada")


def actions_of(registry: ModelRegistry) -> list[tuple[str, str, str]]:
    return [
        (each.name, str(each.version or ""), each.action)
        for each in registry.rebuild_tracking()
    ]


def test_an_empty_mlflow_shows_again_all_that_the_lost_one_did(
    filled: ModelRegistry, tmp_path: Path, empty_uri: Callable[[str], str]
) -> None:
    tracking_uri = uri_of(tmp_path)
    digest = ("brixa.digest",)
    before = picture_of(tracking_uri, "flights", "rides", without=digest)
    listed = filled.list_versions("flights")
    uri = empty_uri("new")
    registry = ModelRegistry(filled.storage, tracking_uri=uri)
    assert actions_of(registry) == [
        ("flights", "1.0.0+build.1", "rebuilt"),
        ("flights", "1.1.0-rc.1", "rebuilt"),
        ("flights", "1.1.0", "rebuilt"),
        ("flights", "", "stages shown"),
        ("rides", "1.0.0", "rebuilt"),
    ]
    after = picture_of(uri, "flights", "rides", without=digest)
    del before["flights"]["versions"]["1.2.0"]  # deleted, and so are its files
    before["flights"]["runs"] -= 1
    assert after == before
    told = after["rides"]["versions"]["1.0.0"]["by_dataset"]
    assert [(each[0], each[2], each[4]) for each in told] == [("auc", 0.25, "march")]
    rmse = values_of(uri, "1.1.0", "rmse")
    assert rmse == values_of(tracking_uri, "1.1.0", "rmse") == [0.5, 0.25, 0.75]
    assert len(values_of(uri, "1.1.0", "f1")) == 2  # two evaluations
    assert after["flights"]["aliases"] == {
        "production": "1.1.0",
        "staging": "1.1.0-rc.1",
        "champion-eu": "1.0.0+build.1",
    }
    versions = registry.list_versions("flights")
    runs = {each.run_id for each in versions if each.state == "ready"}
    assert None not in runs
    assert runs.isdisjoint({each.run_id for each in listed})
    same = {"run_id": None}
    assert [
        each.model_copy(update=same) for each in versions if each.state == "ready"
    ] == [each.model_copy(update=same) for each in listed if each.state == "ready"]
    assert actions_of(registry) == []
    assert registry.recover() == []
    assert picture_of(uri, "flights", "rides", without=digest) == after


def values_of(uri: str, version: str, metric: str) -> list[float]:
    """What MLflow draws of a metric, oldest first."""
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("brixa/flights")
    [run] = client.search_runs(
        [experiment.experiment_id], f"tags.`brixa.version` = '{version}'"
    )
    found = client.get_metric_history(run.info.run_id, metric)
    return [each.value for each in sorted(found, key=lambda each: each.timestamp)]


def test_only_what_a_trusted_key_signed_is_trusted_until_a_person_vouches(
    filled: ModelRegistry,
    empty_uri: Callable[[str], str],
    frame: pd.DataFrame,
) -> None:
    filled.trust("rides", "1.0.0", actor="ada", reason="mine", key="ada")
    filled.trust("flights", "1.0.0", actor="eve", reason="a word without a key")
    uri = empty_uri("new")
    registry = ModelRegistry(filled.storage, tracking_uri=uri)
    registry.rebuild_tracking()
    open_ones = [(name, str(version)) for name, version in registry.untrusted()]
    assert open_ones == [("flights", "1.0.0"), ("flights", "1.1.0-rc.1")]
    assert registry.load_model("rides") is not None
    with pytest.raises(UntrustedArtifactError, match="no digest was recorded"):
        registry.load_model("flights", "1.0.0")
    assert predict_with_mlflow(uri, frame) == 40
    registry.rollback("flights", reason="to one that nobody vouches for")
    with pytest.raises(UntrustedArtifactError, match="1.0.0.build.1 is not loaded"):
        predict_with_mlflow(uri, frame)
    before = picture_of(uri, "flights", without=("brixa.digest",))
    registry.trust_all(actor="ada", reason="after the fire")
    assert registry.untrusted() == []
    assert registry.load_model("flights", "1.0.0") is not None
    assert predict_with_mlflow(uri, frame) == 40
    shown = picture_of(uri, "flights")["flights"]["versions"]
    for version in ("1.0.0+build.1", "1.1.0-rc.1"):
        digest = registry.get_metadata("flights", version).digest
        assert shown[version]["tags"]["brixa.digest"] == digest
        assert shown[version]["run_tags"]["brixa.digest"] == digest
    assert picture_of(uri, "flights", without=("brixa.digest",)) == before
    assert actions_of(registry) == []


def predict_with_mlflow(uri: str, frame: pd.DataFrame) -> int:
    """How many predictions MLflow's own loader gives for the one in production."""
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/flights@production")
    return len(model.predict(frame))


def test_what_mlflow_still_has_is_left_and_aliases_go_where_the_journal_says(
    filled: ModelRegistry, tmp_path: Path
) -> None:
    tracking_uri = uri_of(tmp_path)
    before = picture_of(tracking_uri, "flights", "rides")
    assert actions_of(filled) == []
    client = MlflowClient(tracking_uri, tracking_uri)
    client.update_model_version("flights", "1", "told by hand")
    client.set_registered_model_alias("flights", "production", "1")
    client.set_registered_model_alias("flights", "of-somebody", "1")
    client.delete_registered_model_alias("flights", "champion-eu")
    client.delete_model_version("flights", "3")
    client.delete_registered_model("rides")
    assert actions_of(filled) == [
        ("flights", "1.1.0", "rebuilt"),
        ("flights", "", "stages shown"),
        ("rides", "1.0.0", "rebuilt"),
    ]
    after = picture_of(tracking_uri, "flights", "rides")
    flights = after["flights"]
    assert flights["versions"]["1.0.0+build.1"].pop("description") == "told by hand"
    assert flights["aliases"].pop("of-somebody") == "1.0.0+build.1"
    assert before["flights"]["versions"]["1.0.0+build.1"].pop("description")
    assert after == before, "the runs were there still, and so was what they recorded"
    assert filled.untrusted() == []
    assert filled.load_model("rides") is not None
    assert actions_of(filled) == []


def test_metadata_and_stages_can_be_changed_after_a_rebuild_that_counts_otherwise(
    filled: ModelRegistry, empty_uri: Callable[[str], str]
) -> None:
    filled.delete_version("flights", "1.0.0")  # so all numbers in MLflow are others
    registry = ModelRegistry(filled.storage, tracking_uri=empty_uri("new"))
    registry.rebuild_tracking()
    registry.update("flights", "1.1.0", description="after", tags={"nlp": None})
    registry.log_metrics("flights", "1.1.0", {"auc": 0.875}, DATA)
    registry.log_report("flights", "1.1.0", "report.md", "# fine")
    registry.transition("flights", "1.1.0-rc.1", "production", reason="again")
    told = registry.get_metadata("flights", "1.1.0")
    assert (told.description, told.metrics["auc"]) == ("after", 0.875)
    assert registry.tracking.aliases("flights") == {"production": "1.1.0-rc.1"}
    again = ModelRegistry(filled.storage, tracking_uri=registry.tracking.uri)
    assert again.get_metadata("flights", "1.1.0") == told
    assert again.check()[0].startswith("flights: MLflow recorded no digest of 1.1.0-rc")


def test_a_lost_mlflow_is_told_with_the_remedy_whatever_is_asked(
    filled: ModelRegistry,
    empty_uri: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    classifier: LogisticRegression,
) -> None:
    uri = empty_uri("new")
    lost = ModelRegistry(filled.storage, tracking_uri=uri)
    remedy = "does not have flights .*brixa doctor --rebuild-tracking makes it anew"
    history = lost.stage_history("flights")
    for call in (
        lambda: lost.transition("flights", "1.1.0", "archived"),
        lambda: lost.rollback("flights"),
        lambda: lost.set_alias("flights", "champion-eu", "1.1.0"),
        lambda: lost.update("flights", "1.1.0", description="x"),
        lambda: lost.log_metrics("flights", "1.1.0", {"auc": 1.0}),
        lambda: lost.log_report("flights", "1.1.0", "a.md", "x"),
    ):
        with pytest.raises(TrackingError, match=remedy):
            call()
    assert lost.stage_history("flights") == history, "nothing is decided"
    with pytest.raises(UntrustedArtifactError, match=remedy):
        lost.load_model("flights", "1.0.0")
    assert lost.load_model("flights") is not None, "ada signed it"
    assert len(lost.list_versions("flights")) == 5
    assert re.search(remedy, caplog.text)
    flights, rides = lost.check()
    assert re.search(remedy, flights)
    assert "rides 1.0.0" in rides
    filled.register_model("rides", "delay", version="1.1.0")
    filled.save_model("rides", "1.1.0", classifier)
    unsealed(filled.storage, "rides", "1.1.0")
    left = [each for each in lost.recover() if each.name in ("flights", "rides")]
    assert {each.action for each in left} == {"left as it is"}, "none is quarantined"
    assert all("--rebuild-tracking" in each.detail for each in left)
    words = ("--storage", str(filled.storage.root), "--tracking-uri", uri, "doctor")
    code, out = cli(capsys, *words, "--rebuild-tracking", "--json")
    assert (code, len(json.loads(out))) == (0, 5)
    code, out = cli(capsys, *words, "--fix")
    assert (code, "rides 1.1.0: quarantined" in out) == (0, True)


def unsealed(storage: LocalStorageNode, name: str, version: str) -> None:
    """As if the process had died after publishing the files."""
    (storage.root / f"models/{name}/_journal/seals/{version}.json").unlink()


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = 0
    try:
        main(list(words))
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().out


def test_what_is_damaged_is_told_and_keeps_nothing_else_from_being_rebuilt(
    filled: ModelRegistry, empty_uri: Callable[[str], str]
) -> None:
    root = filled.storage.root / "models" / "flights"
    manifest = root / "1.1.0" / "config.json"
    manifest.write_text(manifest.read_text() + " ")
    (root / "_journal" / "seals" / "1.1.0-rc.1.json").write_text("{")
    registry = ModelRegistry(filled.storage, tracking_uri=empty_uri("new"))
    told = registry.rebuild_tracking()
    aside = [each.detail for each in told if each.action == "set aside"]
    assert "seals/1.1.0-rc.1.json" in aside[0]
    assert "1.1.0/config.json' is not what was saved" in aside[1]
    assert not all(each.repaired for each in told)
    assert "rides" in [each.name for each in told]
    assert registry.tracking.get_version("flights", "1.0.0+build.1") is not None
    assert registry.tracking.get_version("flights", "1.1.0") is None
    with pytest.raises(DamagedArtifactError):
        registry.load_model("flights", "1.1.0")


def test_files_go_through_an_mlflow_server_again(
    tmp_path: Path, mlflow_server_uri: str, frame: pd.DataFrame, keys: KeyRing
) -> None:
    name = f"served-{tmp_path.name}"
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking_uri=mlflow_server_uri)
    registry.register_model(name, "t", "pickle", metrics={"f1": 0.5})
    registry.save_model(name, "1.0.0", {"rule": 1})
    registry.transition(name, "1.0.0", "production")
    registry.trust(name, "1.0.0", actor="ada", reason="mine", key="ada")
    before = picture_of(mlflow_server_uri, name)
    client = MlflowClient(mlflow_server_uri, mlflow_server_uri)
    run_id = str(registry.get_metadata(name, "1.0.0").run_id)
    client.delete_registered_model(name)
    client.delete_run(run_id)
    lost = ModelRegistry(storage, tracking_uri=mlflow_server_uri)
    assert actions_of(lost) == [(name, "1.0.0", "rebuilt"), (name, "", "stages shown")]
    assert picture_of(mlflow_server_uri, name) == before
    mlflow.set_tracking_uri(mlflow_server_uri)
    folder = mlflow.artifacts.download_artifacts(f"models:/{name}@production")
    assert (Path(folder) / "config.json").is_file()
    assert actions_of(lost) == []


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """The keys of this machine: ``ada`` is ours and trusted."""
    monkeypatch.setenv("BRXA_KEYS_PATH", str(tmp_path / "keys"))
    ring = KeyRing(tmp_path / "keys")
    ring.new("ada")
    return ring
