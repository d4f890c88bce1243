"""A version is saved whole, once, and is what it was when it is loaded."""

from __future__ import annotations

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from brixa_flows.drift import DriftProfile, SeasonalReference
from brixa_flows.errors import (
    DamagedArtifactError,
    FrameworkMismatchError,
    InvalidMetadataError,
    ModelNotSavedError,
    SchemaBumpWarning,
    SerializationError,
    StorageError,
    TrackingUnavailableError,
    UntrustedArtifactError,
    VersionExistsError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.manifest import read_manifest, write_manifest
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def files_of(storage: LocalStorageNode, version: str = "1.0.0") -> Path:
    return storage.root / "models" / "m" / version


def test_a_saved_version_predicts_as_before_and_lies_where_the_layout_says(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
) -> None:
    registry.register_model("m", "classification", "sklearn", description="Tiny.")
    saved = registry.save_model("m", "1.0.0", classifier, frame, frame)
    loaded = registry.load_model("m")
    np.testing.assert_array_equal(loaded.predict(frame), classifier.predict(frame))
    assert (saved.state, saved.has_reference) == ("ready", True)
    assert saved.input_schema is not None
    assert list(saved.input_schema["properties"]) == list(frame.columns)
    names = {path.name for path in files_of(storage).iterdir()}
    expected = {"model.joblib", "config.json", "MLmodel", "README.md", "lineage.json"}
    assert expected | {"drift_profile.parquet"} <= names
    config = json.loads((files_of(storage) / "config.json").read_text())
    assert config["core"]["name"] == "m"
    assert "sklearn" in (files_of(storage) / "README.md").read_text()
    assert (storage.root / "models/m/1.0.0_meta.json").is_file()
    index = json.loads((storage.root / "models/_meta/_registry.json").read_text())
    assert index["models"]["m"]["latest"] == "1.0.0"
    profile = registry.reference_profile_path("m", "1.0.0")
    assert profile is not None
    assert DriftProfile.load(profile).rows == len(frame)


def test_a_version_is_saved_only_once_whatever_the_content(
    registry: ModelRegistry, save: Any, classifier: LogisticRegression
) -> None:
    saved = save("m")
    with pytest.raises(VersionExistsError, match="saved already"):
        registry.save_model("m", "1.0.0", classifier)
    with pytest.raises(VersionExistsError, match="saved already"):
        registry.save_model("m", "1.0.0+other", LinearRegression())
    assert registry.get_metadata("m") == saved


def test_a_registered_version_can_not_be_loaded_yet(registry: ModelRegistry) -> None:
    registry.register_model("m", "t")
    for spec in (None, "1.0.0", "latest"):
        with pytest.raises(ModelNotSavedError, match="call save_model"):
            registry.load_model("m", spec)
    with pytest.raises(ModelNotSavedError):
        registry.transition("m", "1.0.0", "production")


def test_another_framework_than_registered_is_refused_and_nothing_is_left(
    registry: ModelRegistry, storage: LocalStorageNode, classifier: LogisticRegression
) -> None:
    registry.register_model("m", "t", "pytorch")
    with pytest.raises(FrameworkMismatchError, match="'pytorch'.*'sklearn'"):
        registry.save_model("m", "1.0.0", classifier)
    assert not files_of(storage).exists()
    assert registry.get_metadata("m", "1.0.0").state == "registered"


def test_what_can_not_be_written_leaves_nothing_and_may_be_saved_again(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    tracking: MemoryTrackingStore,
    classifier: LogisticRegression,
) -> None:
    registry.register_model("m", "t")
    with pytest.raises(SerializationError):
        registry.save_model("m", "1.0.0", {"lock": threading.Lock()})
    assert not files_of(storage).exists()
    assert tracking.runs == {}
    assert registry.save_model("m", "1.0.0", classifier).framework == "sklearn"


STEPS = ["open_run", "publish", "create_version", "seal"]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_leaves_nothing_half_done(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    tracking: MemoryTrackingStore,
    classifier: LogisticRegression,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    registry.register_model("m", "t")
    owners = {"publish": storage, "seal": registry._backends.journal}
    owner = owners.get(step, tracking)
    failure = (
        StorageError("disk full")
        if step in owners
        else TrackingUnavailableError(tracking.uri, "away")
    )

    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, fail)
        with pytest.raises(type(failure)):
            registry.save_model("m", "1.0.0", classifier)
    assert registry.get_metadata("m", "1.0.0").state == "registered"
    with pytest.raises(ModelNotSavedError):
        registry.load_model("m")
    if step == "seal":  # the backend shows it: it can only be completed
        (action,) = registry.recover()
        assert (action.action, str(action.version)) == ("completed", "1.0.0")
    else:
        assert not files_of(storage).exists()
        registry.save_model("m", "1.0.0", classifier)
    assert registry.load_model("m").get_params() == classifier.get_params()
    registry.verify("m", "1.0.0")
    assert registry.recover() == []


def test_a_failed_adoption_gives_its_number_back(
    registry: ModelRegistry,
    tracking: MemoryTrackingStore,
    classifier: LogisticRegression,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    from brixa_flows.tracking import AdoptableModel

    logged = tmp_path / "logged"
    mlflow.sklearn.save_model(classifier, logged, pip_requirements=["scikit-learn"])
    found = AdoptableModel("runs:/1/model", logged, logged.as_uri(), run_id="1")
    tracking.offer(found)

    def fail(*args: object, **kwargs: object) -> None:
        raise TrackingUnavailableError(tracking.uri, "away")

    with monkeypatch.context() as patched:
        patched.setattr(tracking, "open_run", fail)
        with pytest.raises(TrackingUnavailableError):
            registry.register_run("runs:/1/model", name="m")
    assert registry.list_models() == []
    saved = registry.register_run("runs:/1/model", name="m")
    assert str(saved.version) == "1.0.0"
    assert (saved.model_type, saved.lineage.run_id) == ("classification", "1")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda d: (d / "model.joblib").write_bytes(b"x"), "model.joblib"),
        (lambda d: (d / "model.joblib").unlink(), "missing"),
        (lambda d: (d / "extra.py").write_text("x"), "extra.py"),
        (lambda d: (d / "config.json").write_text("{"), "config.json"),
        (lambda d: (d / "config.json").unlink(), "config.json"),
        (lambda d: (d / "lineage.json").write_text("{}"), "lineage.json"),
    ],
)
def test_a_damaged_artifact_is_refused_by_name_before_a_parser_sees_it(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    save: Any,
    damage: Any,
    complaint: str,
) -> None:
    save("m")
    damage(files_of(storage))
    with pytest.raises(DamagedArtifactError, match=complaint):
        registry.load_model("m")
    with pytest.raises(DamagedArtifactError, match=complaint):
        registry.verify("m", "1.0.0")


def test_files_replaced_together_with_their_manifest_are_refused(
    registry: ModelRegistry, storage: LocalStorageNode, save: Any, tmp_path: Path
) -> None:
    save("m")
    directory = files_of(storage)
    manifest = read_manifest(directory)
    forged = manifest.model_copy(update={"environment": {"numpy": "0.0.1"}})
    write_manifest(directory, forged)
    with pytest.raises(DamagedArtifactError, match="config.json' is not what was"):
        registry.load_model("m")


def test_metadata_that_contradicts_the_sealed_core_is_refused(
    registry: ModelRegistry, storage: LocalStorageNode, save: Any
) -> None:
    save("m", hyperparameters={"C": 1})
    save("m")
    path = storage.root / "models/m/1.0.0_meta.json"
    path.write_text(path.read_text().replace('"C": 1', '"C": 2'))
    assert "1.0.0_meta.json" in registry.get_metadata("m", "1.0.0").problem
    with pytest.raises(DamagedArtifactError, match="1.0.0_meta.json"):
        registry.load_model("m", "1.0.0")
    states = {str(v.version): v.state for v in registry.list_versions("m")}
    assert states == {"1.0.0": "quarantined", "1.0.1": "ready"}


def test_trust_follows_the_policy_and_the_recorded_digest(
    storage: LocalStorageNode, save: Any
) -> None:
    save("m")
    stranger = ModelRegistry(storage, tracking=MemoryTrackingStore())
    with pytest.raises(UntrustedArtifactError, match="trust='code'"):
        stranger.load_model("m")
    assert stranger.load_model("m", trust="code") is not None
    strict = BrixaSettings(trust_policy="strict")
    guarded = ModelRegistry(storage, tracking=MemoryTrackingStore(), settings=strict)
    with pytest.raises(UntrustedArtifactError, match="strict"):
        guarded.load_model("m", trust="code")


def test_schemas_inferred_at_save_that_ask_for_more_warn_and_are_recorded(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
    labels: pd.Series,
) -> None:
    registry.register_model("m", "t")
    registry.save_model("m", "1.0.0", classifier, input_example=frame)
    wider = frame.assign(extra=1.0)
    other = LogisticRegression().fit(wider, labels)
    registry.register_model("m", "t")
    with pytest.warns(SchemaBumpWarning, match="ask for a major") as caught:
        registry.save_model("m", "1.0.1", other, input_example=wider)
    (bump,) = [each for each in caught if each.category is SchemaBumpWarning]
    assert bump.filename == __file__
    config = json.loads((files_of(storage, "1.0.1") / "config.json").read_text())
    assert config["core"]["schema_bump"]["needed"] == "major"
    assert "asks for major" in (files_of(storage, "1.0.1") / "README.md").read_text()
    registry.register_model("m", "t", bump="major")
    with warnings.catch_warnings():
        warnings.simplefilter("error", SchemaBumpWarning)
        registry.save_model("m", "2.0.0", other, input_example=wider)


def test_schemas_come_from_the_reference_when_the_model_names_its_columns(
    registry: ModelRegistry,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
    labels: pd.Series,
    tmp_path: Path,
) -> None:
    weeks = pd.date_range("2026-01-01", periods=len(frame), tz="UTC")
    reference = tmp_path / "reference.parquet"
    frame.assign(label=labels, time=weeks).to_parquet(reference)
    registry.register_model("m", "t")
    saved = registry.save_model("m", "1.0.0", classifier, reference=reference)
    assert saved.input_schema is not None
    assert saved.input_schema["required"] == list(frame.columns)
    path = registry.reference_profile_path("m", "1.0.0")
    assert path is not None
    profile = DriftProfile.load(path)
    assert set(profile.columns) == set(frame.columns)
    assert profile.spread is not None


def test_a_profile_that_was_made_elsewhere_is_kept_as_it_is(
    registry: ModelRegistry, classifier: LogisticRegression, frame: pd.DataFrame
) -> None:
    profile = DriftProfile.build(frame)
    registry.register_model("m", "t")
    registry.save_model("m", "1.0.0", classifier, reference=profile)
    path = registry.reference_profile_path("m", "1.0.0")
    assert path is not None
    assert DriftProfile.load(path).digest == profile.digest


def test_once_saved_the_tracking_backend_rules_what_may_change(
    registry: ModelRegistry, tracking: MemoryTrackingStore, save: Any
) -> None:
    save("m", description="old", tags={"a": "1"}, owner="ann")
    tracked = tracking.get_version("m", "1.0.0")
    assert tracked is not None
    tracking.update_version(tracked, description="by hand", tags={"b": "2"})
    found = registry.get_metadata("m")
    assert (found.description, found.tags) == ("by hand", {"a": "1", "b": "2"})
    assert registry.list_versions("m") == [found]
    registry.update("m", "1.0.0", tags={"a": None}, custom={"x": [1]})
    registry.log_metrics("m", "1.0.0", {"auc": 0.75}, {"name": "test", "digest": "d"})
    found = registry.get_metadata("m")
    assert (found.tags, found.custom, found.metrics) == (
        {"b": "2"},
        {"x": [1]},
        {"auc": 0.75},
    )
    assert found.run_id is not None
    assert tracking.runs[found.run_id].datasets[0].name == "test"
    lost = ModelRegistry(registry.storage, tracking=MemoryTrackingStore())
    again = lost.get_metadata("m")
    assert (again.description, again.tags, again.metrics) == (
        "by hand",
        {"b": "2"},
        {"auc": 0.75},
    )


def test_records_and_reports_are_kept_newest_last(
    registry: ModelRegistry, tracking: MemoryTrackingStore, save: Any
) -> None:
    saved = save("m")
    for score in (0.5, 0.75):
        registry.record_evaluation("m", "1.0.0", {"metrics": {"f1": np.float64(score)}})
    registry.record_drift("m", saved.version, {"status": "ok"})
    found = registry.evaluations("m", "1.0.0")
    assert [each["metrics"]["f1"] for each in found] == [0.5, 0.75]
    assert [each["number"] for each in found] == [1, 2]
    assert len({each["event_id"] for each in found}) == 2
    assert registry.drift_reports("m", "1.0.0")[0]["status"] == "ok"
    registry.log_report("m", "1.0.0", "report.md", "# fine")
    assert tracking.runs[str(saved.run_id)].artifacts == {
        "reports/report.md": b"# fine"
    }


def test_a_deleted_version_is_gone_for_ever(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    tracking: MemoryTrackingStore,
    classifier: LogisticRegression,
    save: Any,
) -> None:
    save("m")
    save("m")
    registry.set_alias("m", "champion", "1.0.0")
    registry.delete_version("m", "1.0.0", actor="ann", reason="wrong data")
    assert registry.get_metadata("m", "1.0.0").state == "deleted"
    assert tracking.aliases("m") == {}
    for call in (
        lambda: registry.load_model("m", "1.0.0"),
        lambda: registry.save_model("m", "1.0.0", classifier),
        lambda: registry.transition("m", "1.0.0", "staging"),
        lambda: registry.update("m", "1.0.0", description="x"),
        lambda: registry.delete_version("m", "1.0.0"),
    ):
        with pytest.raises(VersionNotFoundError, match="deleted"):
            call()
    assert str(registry.resolve("m")) == "1.0.1"
    assert registry.recover() == []


def test_a_model_of_a_tree_and_of_a_plain_object_are_told_apart(
    registry: ModelRegistry, frame: pd.DataFrame, labels: pd.Series
) -> None:
    tree = DecisionTreeClassifier(max_depth=1).fit(frame, labels)
    registry.register_model("m", "t")
    assert registry.save_model("m", "1.0.0", tree).framework == "sklearn"
    registry.register_model("thing", "t")
    saved = registry.save_model("thing", "1.0.0", {"weights": [1, 2]})
    assert saved.framework == "pickle"
    assert registry.load_model("thing") == {"weights": [1, 2]}


def test_recovery_removes_staged_files_of_the_dead_and_leaves_the_living_alone(
    registry: ModelRegistry, storage: LocalStorageNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brixa_flows.passing_folders._LOCKED_WITHIN_SECONDS", -1.0)
    dead = storage.root / ".brixa" / "tmp" / "dead"
    dead.mkdir(parents=True)
    (dead / "model.joblib").write_bytes(b"half")
    with storage.staging() as living:
        (living / "model.joblib").write_bytes(b"half")
        (action,) = registry.recover()
        assert (action.action, action.detail[:2]) == ("staging removed", "1 ")
        assert (living / "model.joblib").exists()
    assert not dead.exists()


@pytest.mark.parametrize("form", ["object", "folder", "profile"])
def test_a_reference_that_was_profiled_before_is_kept_as_it_is(
    registry: ModelRegistry, tmp_path: Path, form: str
) -> None:
    days = pd.date_range("2026-01-01", periods=400, freq="6h")
    rows = pd.DataFrame({"at": days, "a": np.arange(400.0)})
    made = SeasonalReference.build(rows, window_column="at")
    made.save(tmp_path / "seasons")
    made.whole.save(tmp_path / "whole.parquet")
    given = {
        "object": made,
        "folder": str(tmp_path / "seasons"),
        "profile": tmp_path / "whole.parquet",
    }
    registry.register_model("m", "rules", "pickle")
    registry.save_model("m", "1.0.0", ["rule"], reference=given[form])
    path = registry.reference_profile_path("m", "1.0.0")
    assert path is not None
    assert DriftProfile.load(path).digest == made.whole.digest
    seasons = SeasonalReference.beside(path)
    assert (seasons is None) == (form == "profile")
    if seasons is not None:
        assert sorted(seasons.profiles) == [1, 2, 3, 4]
    registry.verify("m", "1.0.0")


def test_half_a_character_in_the_name_of_a_column_is_told_with_the_column(
    registry: ModelRegistry, classifier: LogisticRegression
) -> None:
    registry.register_model("m", "classification", "sklearn")
    columns = pd.Index(["width", "a\ud800"], dtype=object)
    rows = pd.DataFrame([[1.0, 2.0]], columns=columns)
    for given in ({"input_example": rows}, {"reference": rows}):
        with pytest.raises(InvalidMetadataError, match=r"columns\[1\]"):
            registry.save_model("m", "1.0.0", classifier, **given)  # type: ignore[arg-type]
    assert registry.get_metadata("m", "1.0.0").state == "registered"
