"""Numbers are taken once, in order, by what the schemas ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from brixa_flows.errors import (
    InvalidMetadataError,
    InvalidNameError,
    InvalidSchemaError,
    InvalidVersionError,
    ModelNotFoundError,
    UnknownPluginError,
    VersionExistsError,
    VersionNotFoundError,
)
from brixa_flows.registry import DatasetRef, ModelMetadata, ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.versioning import ModelVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

ONE = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
MORE = {**ONE, "properties": {**ONE["properties"], "b": {"type": "number"}}}
OTHER = {**ONE, "properties": {"a": {"type": "string"}}}


def test_the_first_version_is_1_0_0_and_the_metadata_comes_back(
    registry: ModelRegistry,
) -> None:
    data = DatasetRef(name="reviews", digest="sha256:1", rows=3)
    registered = registry.register_model(
        name="sentiment",
        model_type="text-classification",
        framework="torch",
        description="Reviews.",
        tags=["nlp", "demo"],
        hyperparameters={"learning_rate": np.float32(0.5), "layers": (1, 2)},
        input_schema=ONE,
        metrics={"f1": np.float64(0.25), "rows": 7},
        custom={"team": {"name": "fraud", "size": 3}, "none": None},
        owner="ann",
        license="MIT",
        dependencies={"numpy": ">=2"},
        datasets=[data, {"name": "labels", "rows": 3}],
        parents=[{"name": "base", "version": "1.2.0", "uri": "hf://base"}],
    )
    assert registered.version == ModelVersion(1, 0, 0)
    assert isinstance(registered.version, ModelVersion)
    assert registered.state == "registered"
    assert registered.stage is None
    assert registered.framework == "pytorch"
    assert registered.tags == {"nlp": "", "demo": ""}
    assert registered.hyperparameters == {"learning_rate": 0.5, "layers": [1, 2]}
    assert registered.metrics == {"f1": 0.25, "rows": 7.0}
    assert registered.custom == {"team": {"name": "fraud", "size": 3}, "none": None}
    assert [each.name for each in registered.lineage.datasets] == ["reviews", "labels"]
    assert registered.lineage.parents[0].version == "1.2.0"
    assert registry.get_metadata("sentiment") == registered
    assert registry.get_metadata("sentiment", "1.0.0") == registered
    assert registry.list_models() == ["sentiment"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "1.0.1"),
        ({"input_schema": ONE}, "1.0.1"),
        ({"input_schema": MORE}, "1.1.0"),
        ({"input_schema": OTHER}, "2.0.0"),
        ({"output_schema": ONE}, "1.1.0"),
        ({"input_schema": OTHER, "bump": "patch"}, "1.0.1"),
        ({"bump": "minor"}, "1.1.0"),
        ({"bump": "major"}, "2.0.0"),
        ({"bump": "prerelease"}, "1.0.1-0"),
        ({"input_schema": OTHER, "version": "1.0.7"}, "1.0.7"),
        ({"version": "3.0.0-rc.1+build.5"}, "3.0.0-rc.1+build.5"),
    ],
)
def test_the_next_number_is_what_the_schemas_or_the_caller_ask_for(
    registry: ModelRegistry, save: Any, given: dict[str, Any], expected: str
) -> None:
    save("m", input_schema=ONE)
    found = registry.register_model("m", "classification", "sklearn", **given)
    assert str(found.version) == expected


def test_schemas_are_compared_with_the_highest_ready_version_only(
    registry: ModelRegistry, save: Any
) -> None:
    save("m", input_schema=ONE)
    registry.register_model("m", "t", input_schema=OTHER, version="5.0.0")
    found = registry.register_model("m", "t", input_schema=ONE)
    assert str(found.version) == "5.0.1"


def test_the_bump_is_applied_to_the_highest_number_ever_claimed(
    registry: ModelRegistry, save: Any
) -> None:
    save("m")
    registry.register_model("m", "t", version="2.0.0-rc.1")
    assert str(registry.register_model("m", "t").version) == "2.0.0"
    registry.delete_version("m", "2.0.0", reason="a slip")
    assert str(registry.register_model("m", "t").version) == "2.0.1"


def test_a_number_is_taken_once_whatever_its_build_metadata(
    registry: ModelRegistry,
) -> None:
    registry.register_model("m", "t", version="1.0.0+a")
    with pytest.raises(
        VersionExistsError, match="registered already and the next number is 1.0.1"
    ):
        registry.register_model("m", "t", version="1.0.0+b")
    assert str(registry.get_metadata("m", "1.0.0").version) == "1.0.0+a"


@pytest.mark.parametrize(
    ("wrong", "error", "complaint"),
    [
        ({"name": "../up"}, InvalidNameError, "letters, digits"),
        ({"name": "deployments"}, InvalidNameError, "storage layout"),
        ({"name": "_meta"}, InvalidNameError, "letter or digit"),
        ({"name": ".hidden"}, InvalidNameError, "letter or digit"),
        ({"name": ""}, InvalidNameError, "1 to 128"),
        ({"name": "a" * 129}, InvalidNameError, "1 to 128"),
        ({"version": "1.0"}, InvalidVersionError, "two|2 numbers"),
        ({"version": "v1.0.0"}, InvalidVersionError, "leading 'v'"),
        ({"version": "1.0.0", "bump": "minor"}, InvalidMetadataError, "no use"),
        ({"bump": "huge"}, InvalidMetadataError, "'huge'"),
        ({"framework": "caffe"}, UnknownPluginError, "known: .*sklearn"),
        ({"model_type": " "}, InvalidMetadataError, "'model_type' is empty"),
        ({"metrics": {"f1": float("nan")}}, InvalidMetadataError, "finite"),
        ({"metrics": {"f1": float("inf")}}, InvalidMetadataError, "'f1'"),
        ({"metrics": {"f1": "good"}}, InvalidMetadataError, "give a number"),
        ({"metrics": {"f1": True}}, InvalidMetadataError, "give a number"),
        ({"metrics": [0.5]}, InvalidMetadataError, "give a mapping"),
        ({"metrics": {"recall@10": 0.5}}, InvalidMetadataError, "such as recall_at_10"),
        ({"metrics": {"a/../b": 0.5}}, InvalidMetadataError, "no path"),
        ({"metrics": {"": 0.5}}, InvalidMetadataError, "1 to 250"),
        ({"custom": {"a": "x" * 100_000}}, InvalidMetadataError, "as an artifact"),
        ({"description": "x" * 5001}, InvalidMetadataError, "at most 5000"),
        ({"owner": "x" * 5001}, InvalidMetadataError, "at most 5000"),
        ({"custom": {"a": [1, {"b": {1, 2}}]}}, InvalidMetadataError, r"\['a'\]\[1\]"),
        ({"custom": {"a": {3: 4}}}, InvalidMetadataError, "key 3"),
        ({"hyperparameters": {"f": print}}, InvalidMetadataError, r"\['f'\]"),
        ({"hyperparameters": {"f": float("nan")}}, InvalidMetadataError, "not JSON"),
        ({"tags": "nlp"}, InvalidMetadataError, "list or a mapping"),
        ({"tags": [3]}, InvalidMetadataError, "3"),
        ({"tags": {"brixa.x": "1"}}, InvalidMetadataError, "reserved"),
        ({"tags": {"k": ["v"]}}, InvalidMetadataError, "give a text"),
        ({"input_schema": {"type": "strng"}}, InvalidSchemaError, r"\$\.type"),
        ({"output_schema": 5}, InvalidSchemaError, "output_schema"),
        ({"dependencies": {"numpy": 2}}, InvalidMetadataError, "numpy"),
        ({"datasets": [{"nam": "x"}]}, InvalidMetadataError, r"datasets\[0\]"),
        ({"parents": "base@1.0.0"}, InvalidMetadataError, "give a list"),
        ({"description": None}, InvalidMetadataError, "description"),
    ],
)
def test_bad_input_is_named_and_nothing_is_registered(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    wrong: dict[str, Any],
    error: type[Exception],
    complaint: str,
) -> None:
    given = {"name": "m", "model_type": "t", **wrong}
    with pytest.raises(error, match=complaint):
        registry.register_model(**given)
    assert registry.list_models() == []
    assert list(storage.list("models")) == []


def test_unknown_models_and_versions_are_told_with_what_there_is(
    registry: ModelRegistry, save: Any
) -> None:
    with pytest.raises(ModelNotFoundError, match="it has: none"):
        registry.load_model("ghost")
    saved = save("m")
    with pytest.raises(ModelNotFoundError, match="it has: m"):
        registry.get_metadata("ghost")
    with pytest.raises(VersionNotFoundError, match="ready versions: 1.0.0"):
        registry.save_model("m", "9.9.9", object())
    with pytest.raises(InvalidVersionError):
        registry.save_model("m", "latest", object())
    assert registry.list_versions("m") == [saved]


def test_before_the_save_everything_that_may_change_lives_in_storage(
    registry: ModelRegistry, tracking: Any, classifier: Any
) -> None:
    registry.register_model("m", "t", tags={"team": "a", "old": "1"}, description="d")
    registry.log_metrics("m", "1.0.0", {"f1": 0.5}, DatasetRef(name="test", digest="d"))
    updated: ModelMetadata = registry.update(
        "m", "1.0.0", tags={"old": None, "new": "2"}, custom={"a": 1}, owner="ann"
    )
    assert updated.tags == {"team": "a", "new": "2"}
    assert (updated.custom, updated.owner, updated.description) == (
        {"a": 1},
        "ann",
        "d",
    )
    assert updated.metrics == {"f1": 0.5}
    assert tracking.runs == {}
    saved = registry.save_model("m", "1.0.0", classifier)
    assert (saved.tags, saved.custom, saved.owner) == (updated.tags, {"a": 1}, "ann")
    (run,) = tracking.runs.values()
    assert run.metrics == {"f1": 0.5}
    assert [each.name for each in run.datasets] == ["test"]
