"""The registry on MLflow itself: what its own users see, and what they bring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import TrackingError, TrackingUnavailableError
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.writing import changing
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import mlflow_access, mlflow_file
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

TRAINING = Path(__file__).parents[2] / "docs" / "training.md"

PREDICT = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/delays@production")
rows = pd.read_parquet(sys.argv[1])
print([int(value) for value in model.predict(rows)])
print(model.metadata.signature.inputs.input_names())
"""


def test_mlflow_logs_a_forest_as_the_page_says_and_it_is_adopted(
    tmp_path: Path, tracking_uri: str, frame: pd.DataFrame, labels: pd.Series
) -> None:
    import mlflow

    [said] = re.findall(r'skops_trusted_types=\["([\w.]+)"\]', TRAINING.read_text())
    forest = RandomForestClassifier(2, random_state=0).fit(frame, labels)
    given: dict[str, Any] = {"name": "model", "pip_requirements": ["scikit-learn"]}
    mlflow.set_tracking_uri(tracking_uri)
    experiment = mlflow.create_experiment("forests", (tmp_path / "runs").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        with pytest.raises(mlflow.MlflowException, match="untrusted types"):
            mlflow.sklearn.log_model(forest, **given)
        mlflow.sklearn.log_model(forest, skops_trusted_types=[said], **given)
    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking_uri=tracking_uri
    )
    registry.register_run(f"runs:/{run.info.run_id}/model", name="forest")
    loaded = registry.load_model("forest", "1.0.0")
    np.testing.assert_array_equal(loaded.predict(frame), forest.predict(frame))


def test_what_mlflow_logged_is_adopted_and_served_by_mlflow_again(
    tmp_path: Path,
    tracking_uri: str,
    frame: pd.DataFrame,
    labels: pd.Series,
    classifier: LogisticRegression,
) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.create_experiment(
        "training", artifact_location=(tmp_path / "runs").as_uri()
    )
    run = client.create_run(experiment, tags={"mlflow.source.git.commit": "c0ffee"})
    client.log_param(run.info.run_id, "C", 1.0)
    client.log_metric(run.info.run_id, "auc", 0.75)
    mlflow.set_tracking_uri(tracking_uri)
    try:
        with mlflow.start_run(run_id=run.info.run_id):
            mlflow.sklearn.log_model(
                classifier,
                name="model",
                input_example=frame.head(5),
                pip_requirements=["scikit-learn"],
                serialization_format="cloudpickle",
            )
    finally:
        mlflow.set_tracking_uri(None)
    reference = tmp_path / "reference.parquet"
    frame.assign(late=labels).to_parquet(reference)

    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking_uri=tracking_uri
    )
    found = registry.register_run(
        f"runs:/{run.info.run_id}/model",
        name="delays",
        reference=reference,
        target="late",
        tags={"team": "ops"},
        hyperparameters={"depth": 3},
        datasets=[{"name": "flights", "digest": "sha256:ab", "rows": 40}],
        flow_run_id="flow-1",
    )
    assert str(found.version) == "1.0.0"
    assert (found.state, found.model_type) == ("ready", "classification")
    assert found.hyperparameters == {"C": "1.0", "depth": 3}
    assert found.metrics["auc"] == 0.75
    assert found.lineage.run_id == run.info.run_id
    assert found.lineage.flow_run_id == "flow-1"
    assert found.lineage.code is not None
    assert found.lineage.code.commit == "c0ffee"
    assert found.input_schema is not None
    assert found.input_schema["required"] == list(frame.columns)
    assert found.has_reference

    registry.transition("delays", "1.0.0", "production", reason="first")
    shown = client.get_model_version_by_alias("delays", "production")
    assert shown.tags["brixa.version"] == "1.0.0"
    assert shown.tags["team"] == "ops"
    own = client.get_run(shown.run_id)
    assert own.data.params["depth"] == "3"
    assert own.inputs.dataset_inputs[0].dataset.name == "flights"

    done = subprocess.run(
        [sys.executable, "-c", PREDICT, str(reference)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri},
    )
    assert done.returncode == 0, done.stderr
    predicted, names = done.stdout.splitlines()
    expected = [int(value) for value in classifier.predict(frame)]
    assert predicted == str(expected)  # noqa: B005
    assert names == str(list(frame.columns))


def test_settings_from_the_environment_make_the_same_registry(
    tmp_path: Path,
    mlflow_template_db: Path,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meta = tmp_path / "data" / "registry" / "_meta"
    meta.mkdir(parents=True)
    shutil.copy(mlflow_template_db, meta / "mlflow.db")
    monkeypatch.setenv("BRXA_STORAGE_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("BRXA_MODEL_REGISTRY_PATH", "registry")
    monkeypatch.setenv("BRXA_DEPLOYMENTS_PATH", "live")
    registry = ModelRegistry.from_settings()
    registry.register_model("m", "t", custom={"a": [1, {"b": None}]}, tags=["x"])
    saved: Any = registry.save_model("m", "1.0.0", classifier)
    again = ModelRegistry.from_settings()
    assert again.get_metadata("m") == saved
    assert saved.custom == {"a": [1, {"b": None}]}
    np.testing.assert_array_equal(
        again.load_model("m").predict(frame), classifier.predict(frame)
    )
    assert (tmp_path / "data/registry/m/1.0.0/config.json").is_file()
    assert registry.layout.deployments_prefix == "registry/live"


def test_an_unreachable_backend_is_one_sentence_and_nothing_is_half_done(
    tmp_path: Path, classifier: LogisticRegression
) -> None:
    storage = LocalStorageNode(tmp_path)
    away = ModelRegistry(storage, tracking_uri="http://127.0.0.1:9")
    there = ModelRegistry(storage, tracking=MemoryTrackingStore())
    told = "127.0.0.1:9.*BRXA_TRACKING_URI"
    with pytest.raises(TrackingUnavailableError, match=told):
        away.register_model("m", "t")
    assert list(storage.list("")) == []
    there.register_model("m", "t")
    with pytest.raises(TrackingUnavailableError, match=told):
        away.save_model("m", "1.0.0", classifier)
    assert not (tmp_path / "models/m/1.0.0").exists()
    assert away.get_metadata("m", "1.0.0").state == "registered"
    assert list(storage.list("models/m/_journal/saves")) == []


def test_what_storage_tells_is_checked_while_the_backend_is_away(
    tmp_path: Path, classifier: LogisticRegression
) -> None:
    storage = LocalStorageNode(tmp_path)
    there = ModelRegistry(storage, tracking=MemoryTrackingStore())
    for name in ("a", "b"):
        there.register_model(name, "t")
        there.save_model(name, "1.0.0", classifier)
    (tmp_path / "models/b/1.0.0_meta.json").write_bytes(b"{")
    away = ModelRegistry(storage, tracking_uri="http://127.0.0.1:9")
    damaged, compared = away.check()
    assert "b 1.0.0: the file 'models/b/1.0.0_meta.json'" in damaged
    assert re.match("what MLflow shows was not compared: .*127.0.0.1:9", compared)


def test_nothing_is_well_while_the_backend_is_away_unless_there_is_nothing(
    tmp_path: Path,
) -> None:
    storage = LocalStorageNode(tmp_path)
    away = ModelRegistry(storage, tracking_uri="http://127.0.0.1:9")
    assert away.check() == []
    ModelRegistry(storage, tracking=MemoryTrackingStore()).register_model("a", "t")
    assert "was not compared" in away.check()[0]


def test_settings_given_by_hand_win_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRXA_MODEL_REGISTRY_PATH", "elsewhere")
    settings = BrixaSettings(model_registry_path="here")
    registry = ModelRegistry(LocalStorageNode(tmp_path), settings=settings)
    assert registry.layout.model_prefix("m") == "here/m"


_HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(uri: str) -> Iterator[None]:
    command = [sys.executable, "-c", _HOLD, uri.removeprefix("sqlite:///")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield
        process.communicate(timeout=60)


def test_a_change_counts_and_is_told_so_while_another_process_locks_the_database(
    tmp_path: Path,
    tracking_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(mlflow_file, "_LOCK_WAITED_FOR_SECONDS", 0.1)
    monkeypatch.setattr(mlflow_access, "_TRIED_WITHIN_SECONDS", {True: 0.3})
    monkeypatch.setattr(mlflow_access, "_TOLD_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(changing, "_TOLD_AFTER_SECONDS", 0.1)
    registry = ModelRegistry(LocalStorageNode(tmp_path), tracking_uri=tracking_uri)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        registry.register_model("m", "t", "pickle", version=version)
        registry.save_model("m", version, {"rule": version})
    changes: dict[str, Callable[[], object]] = {
        "a stage": lambda: registry.transition("m", "1.0.0", "production"),
        "an alias": lambda: registry.set_alias("m", "eu", "1.1.0"),
        "a deletion": lambda: registry.delete_version("m", "1.2.0", reason="wrong"),
    }
    with locked_by_another_process(tracking_uri):
        for change in changes.values():
            caplog.clear()
            began = time.monotonic()
            with pytest.raises(TrackingUnavailableError) as caught:
                change()
            assert time.monotonic() - began < 8
            for words in (
                "mlflow.db can't be used (database is locked); another program has",
                "end that one, or try again; the change is written and counts all the",
                "brixa doctor --fix shows it there",
            ):
                assert words in str(caught.value)
            logged = " ".join(caplog.messages)
            assert "m: MLflow takes long to show this; the change is written" in logged
            assert re.search(r"mlflow\.db: database is locked, for \d sec", logged)
        assert str(registry.resolve("m", "production")) == "1.0.0"
        assert str(registry.resolve("m", "eu")) == "1.1.0"
        assert registry.get_metadata("m", "1.2.0").state == "deleted"
        assert registry.tracking.aliases("m") == {}
    assert "MLflow does not show the last changes; run brixa" in registry.check()[0]
    assert [each.action for each in registry.recover()] == ["stages shown"]
    assert registry.tracking.aliases("m") == {"production": "1.0.0", "eu": "1.1.0"}
    assert registry.check() == []


def test_what_cannot_be_shown_for_another_reason_counts_and_is_told_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(MemoryTrackingStore):
        refusal: BaseException | None = None

        def set_alias(self, *args: Any, **kwargs: Any) -> None:
            if self.refusal is not None:
                raise self.refusal
            super().set_alias(*args, **kwargs)

    tracking = Refusing()
    registry = ModelRegistry(LocalStorageNode(tmp_path), tracking=tracking)
    registry.register_model("m", "t", "pickle")
    registry.save_model("m", "1.0.0", {"rule": 1})
    tracking.refusal = TrackingError("the MLflow backend refused: why", code="NO")
    with pytest.raises(TrackingError, match="why; the change is written and") as caught:
        registry.transition("m", "1.0.0", "production")
    assert caught.value.facts == {"code": "NO"}
    assert str(registry.resolve("m", "production")) == "1.0.0"
    tracking.refusal = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        registry.set_alias("m", "eu", "1.0.0")
    [said] = caplog.messages
    assert said.startswith("m: MLflow does not show this yet; the change is written")
    assert str(registry.resolve("m", "eu")) == "1.0.0"
    tracking.refusal = None
    registry.set_alias("m", "us", "1.0.0")
    assert sorted(tracking.aliases("m")) == ["eu", "production", "us"]
    assert registry.check() == []
