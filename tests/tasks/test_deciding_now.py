"""A policy is asked about the version that is in production now, not a while ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import EvaluationError, OrchestrationError, StageHolderError
from brixa_flows.evaluation import Gate, GateDecision, GatePolicy, ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tasks import promotion
from brixa_flows.tasks.promotion import decide_now, move_to_stage
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from flows import promote_model as promoting
from flows.retrain import RetrainRequest, retrain

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

POLICY = GatePolicy([Gate("accuracy", not_worse_than="production", margin=0.5)])


@pytest.fixture
def rows() -> pd.DataFrame:
    numbers = np.random.default_rng(0).normal(size=200)
    return pd.DataFrame({"a": numbers, "late": (numbers > 0).astype(int)})


@pytest.fixture
def registry(tmp_path: Path, rows: pd.DataFrame) -> ModelRegistry:
    """``m`` 1.0.0, 1.0.1 and 1.0.2, all evaluated while nothing was in production."""
    registry = ModelRegistry(LocalStorageNode(tmp_path), tracking=MemoryTrackingStore())
    for _ in range(3):
        version = registry.register_model("m", "classification", "sklearn").version
        model = LogisticRegression().fit(rows[["a"]], rows["late"])
        registry.save_model("m", version, model, rows[["a"]].head())
        result = ModelEvaluator(registry).evaluate(
            "m", version, rows, ["accuracy"], target="late", record=False
        )
        registry.record_evaluation("m", version, result.to_dict())  # without pictures
    return registry


def _compared(registry: ModelRegistry, rows: pd.DataFrame) -> dict[str, Any]:
    compared = ModelEvaluator(registry).compare(
        "m", "1.0.0", "1.0.2", rows, ["accuracy"], target="late"
    )
    return compared.to_dict()


def test_the_first_version_has_nothing_to_beat(registry: ModelRegistry) -> None:
    assert decide_now(registry, POLICY, "m", "1.0.0", "", {}).allowed


def test_of_two_first_versions_the_second_must_beat_the_one_that_was_faster(
    registry: ModelRegistry,
) -> None:
    registry.transition("m", "1.0.0", "production", actor="ada")
    decision = decide_now(registry, POLICY, "m", "1.0.1", "", {})
    assert not decision.allowed
    assert "was not compared with 1.0.0, which is in production" in decision.reasons[0]


def test_a_comparison_with_who_is_no_longer_in_production_opens_no_gate(
    registry: ModelRegistry, rows: pd.DataFrame
) -> None:
    registry.transition("m", "1.0.0", "production", actor="ada")
    compared = _compared(registry, rows)
    assert decide_now(registry, POLICY, "m", "1.0.2", "", compared).allowed
    registry.transition("m", "1.0.1", "production", actor="ada")
    decision = decide_now(registry, POLICY, "m", "1.0.2", "", compared)
    assert not decision.allowed
    assert "1.0.1 is in production: compare with that one" in decision.reasons[0]


def test_a_comparison_that_is_none_is_told(registry: ModelRegistry) -> None:
    with pytest.raises(EvaluationError, match="none that evaluate_model made"):
        decide_now(registry, POLICY, "m", "1.0.2", "", {"a": 1})


def test_a_run_that_is_repeated_after_its_promotion_decides_as_before(
    registry: ModelRegistry, rows: pd.DataFrame
) -> None:
    registry.transition("m", "1.0.0", "production", actor="ada")
    compared = _compared(registry, rows)
    registry.transition("m", "1.0.2", "production", actor="ada")
    assert decide_now(registry, POLICY, "m", "1.0.2", "", compared).allowed


@pytest.mark.parametrize("before", [None, "1.0.0"])
def test_production_that_changes_behind_the_gates_is_not_replaced(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """One attempt of the flow, its tasks called plainly; the flow then decides again."""
    policy = GatePolicy([Gate("accuracy", min=0.5)])
    if before is not None:
        registry.transition("m", before, "production", actor="ada")

    def ask_while_another_is_promoted(*_asked: object) -> GateDecision:
        decision = decide_now(registry, policy, "m", "1.0.2", "", {})
        registry.transition("m", "1.0.1", "production", actor="bob")
        return decision

    monkeypatch.setattr(promoting, "ask_policy", ask_while_another_is_promoted)
    monkeypatch.setattr(promoting, "publish_decision", lambda *_shown: None)
    monkeypatch.setattr(promoting, "move_to_stage", move_to_stage.fn)
    monkeypatch.setattr(promotion, "open_registry", lambda _block: registry)
    request = promoting.PromoteRequest(name="m", version="1.0.2", actor="ada")
    with pytest.raises(StageHolderError) as caught:
        promoting.decide_and_move(request)
    assert str(caught.value) == (
        f"m 1.0.2 was to replace {before or 'none'} in production, but 1.0.1 is there "
        "now; compare it with what is in production and ask again"
    )
    assert str(registry.resolve("m", "production")) == "1.0.1"
    assert registry.get_metadata("m", "1.0.2").stage is None


def test_a_version_of_another_training_is_not_retrained_blindly(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.retrain.open_registry", lambda block: registry)
    alarm = RetrainRequest(name="m", version="1.0.0", end="2013-05-01")
    with pytest.raises(OrchestrationError, match="does not say on which months"):
        retrain.fn(alarm)
