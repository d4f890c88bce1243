"""The flow that repeats a training, asked about a version that it did not train."""

from __future__ import annotations

from pathlib import Path

import pytest

from brixa_flows.errors import OrchestrationError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from flows import retrain


def test_a_version_of_another_training_says_where_to_call_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = ModelRegistry(LocalStorageNode(tmp_path), tracking=MemoryTrackingStore())
    monkeypatch.setattr(retrain, "open_registry", lambda block: registry)
    registry.register_model("churn", "classification", "sklearn")
    alarm = retrain.RetrainRequest(name="churn", version="1.0.0", end="2026-12-01")
    with pytest.raises(OrchestrationError, match="your own training flow instead"):
        retrain.retrain.fn(alarm)
