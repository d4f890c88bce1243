"""A policy is asked about the version that is in production now, not a while ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import OrchestrationError
from brixa_flows.evaluation import Gate, GatePolicy, ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tasks.promotion import decide_now
from brixa_flows.tracking.memory_store import MemoryTrackingStore
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


def test_a_run_that_is_repeated_after_its_promotion_decides_as_before(
    registry: ModelRegistry, rows: pd.DataFrame
) -> None:
    registry.transition("m", "1.0.0", "production", actor="ada")
    compared = _compared(registry, rows)
    registry.transition("m", "1.0.2", "production", actor="ada")
    assert decide_now(registry, POLICY, "m", "1.0.2", "", compared).allowed


def test_a_version_of_another_training_is_not_retrained_blindly(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.retrain.open_registry", lambda block: registry)
    alarm = RetrainRequest(name="m", version="1.0.0", end="2013-05-01")
    with pytest.raises(OrchestrationError, match="does not say on which months"):
        retrain.fn(alarm)
