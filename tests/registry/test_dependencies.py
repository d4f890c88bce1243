"""A version names the packages and models it needs; models are checked when resolved."""

from __future__ import annotations

from typing import Any

import pytest

from brixa_flows.errors import InvalidMetadataError, UnmetDependencyError
from brixa_flows.registry import ModelRegistry
from brixa_flows.versioning import ModelVersion
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.mark.parametrize(
    "given",
    [
        ["numpy>=2,<3", "torch[cuda]", "tokenizer@^2 || ^3", "own @ https://a/b.whl"],
        {
            "numpy": ">=2,<3",
            "torch": "[cuda]",
            "tokenizer": "@^2 || ^3",
            "own": "@ https://a/b.whl",
        },
    ],
)
def test_dependencies_are_packages_and_models(
    registry: ModelRegistry, given: Any
) -> None:
    known = registry.register_model("m", "t", dependencies=given)
    assert known.dependencies == {
        "numpy": ">=2,<3",
        "torch": "[cuda]",
        "tokenizer": "@^2 || ^3",
        "own": "@ https://a/b.whl",
    }


@pytest.mark.parametrize(
    "given",
    [
        "numpy>=2",
        ["numpy>>2"],
        ["tokenizer@not a range!"],
        ["numpy>=2", "numpy<3"],
        [""],
        [3],
        {"_x": "@^1"},
        {"numpy": ">=2\x00"},
        {"a b": ">=2"},
    ],
)
def test_what_cannot_be_read_is_refused_before_a_number_is_taken(
    registry: ModelRegistry, given: Any
) -> None:
    with pytest.raises(InvalidMetadataError, match="dependencies"):
        registry.register_model("m", "t", dependencies=given)
    assert registry.list_models() == []


def test_models_that_a_version_needs_are_checked_when_it_is_resolved(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("fraud", "1.0.0", dependencies=["numpy>=2", "tokenizer@^2"])
    with pytest.raises(UnmetDependencyError, match="tokenizer@.2, and there is no mod"):
        registry.resolve("fraud")
    save("tokenizer", "1.4.0")
    with pytest.raises(UnmetDependencyError, match="ready versions: 1.4.0"):
        registry.load_model("fraud", "1.0.0", trust="code")
    save("tokenizer", "2.1.0")
    save("tokenizer", "2.3.0")
    assert str(registry.resolve("fraud")) == "1.0.0"
    needed = registry.resolve_dependencies("fraud")
    assert needed == {"tokenizer": ModelVersion(2, 3, 0)}
    registry.delete_version("tokenizer", "2.3.0")
    assert str(registry.resolve_dependencies("fraud")["tokenizer"]) == "2.1.0"


def test_a_version_whose_models_are_missing_can_still_be_looked_at(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("fraud", "1.0.0", dependencies=["tokenizer@^2"])
    assert registry.verify("fraud", "1.0.0").recorded
    assert registry.get_metadata("fraud").dependencies == {"tokenizer": "@^2"}
    registry.transition("fraud", "1.0.0", "production")
    registry.delete_version("fraud", save("fraud", "1.0.1").version)


def test_a_promotion_that_leaves_a_version_in_a_stage_without_its_model_is_told(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("tokenizer", "2.0.0")
    save("fraud", "1.0.0", dependencies=["tokenizer@^2"])
    save("fraud", "0.9.0", dependencies=["tokenizer@^1"])  # in no stage: nobody asks
    registry.transition("tokenizer", "2.0.0", "production")
    registry.transition("fraud", "1.0.0", "production")
    assert registry.check() == []
    save("tokenizer", "3.0.0")
    registry.transition("tokenizer", "3.0.0", "production")  # archives 2.0.0
    [told] = registry.check()
    assert "fraud" in told and "tokenizer@^2" in told and "save one" in told
    save("tokenizer", "2.0.1")
    assert registry.check() == []


@pytest.mark.parametrize("bad", ["a\x00b", "half \ud83d"])
@pytest.mark.parametrize(
    "field",
    [
        lambda bad: {"description": bad},
        lambda bad: {"owner": bad},
        lambda bad: {"license": bad},
        lambda bad: {"model_type": bad},
        lambda bad: {"tags": {"team": bad}},
        lambda bad: {"custom": {"a": [bad]}},
        lambda bad: {"custom": {bad: 1}},
        lambda bad: {"hyperparameters": {"a": bad}},
        lambda bad: {"hyperparameters": {"a": {bad: 1}}},
        lambda bad: {"datasets": [{"name": bad}]},
        lambda bad: {"datasets": [{"name": "x", "uri": bad}]},
        lambda bad: {"parents": [{"name": "x", "version": bad}]},
        lambda bad: {"run_id": bad},
    ],
)
def test_characters_that_postgresql_cannot_keep_are_refused_by_place(
    registry: ModelRegistry, field: Any, bad: str
) -> None:
    given = {"model_type": "t", **field(bad)}
    with pytest.raises(InvalidMetadataError, match="character"):
        registry.register_model("m", **given)
    assert registry.list_models() == []


@pytest.mark.parametrize("wrong", [{"reason": 3}, {"reason": "\x00"}, {"actor": 3}])
def test_a_reason_and_an_actor_are_texts(
    registry: ModelRegistry, save: SaveVersion, wrong: dict[str, Any]
) -> None:
    save("m", "1.0.0")
    with pytest.raises(InvalidMetadataError):
        registry.transition("m", "1.0.0", "staging", **wrong)
    assert registry.stage_history("m") == []
    with pytest.raises(InvalidMetadataError, match="run_id"):
        registry.register_model("m", "t", run_id=3)  # type: ignore[arg-type]
