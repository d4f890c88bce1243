"""A registry on a real folder, tiny models, and a way to save one in a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.registry import ModelMetadata, ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

SaveVersion = Callable[..., ModelMetadata]


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Forty rows that a line separates; columns in no alphabetical order."""
    generator = np.random.default_rng(7)
    width = generator.normal(size=40)
    return pd.DataFrame({"width": width, "age": np.arange(40), "cost": -width})


@pytest.fixture(scope="session")
def labels(frame: pd.DataFrame) -> pd.Series:
    """What to predict."""
    return (frame["width"] > 0).astype("int64")


@pytest.fixture(scope="session")
def classifier(frame: pd.DataFrame, labels: pd.Series) -> LogisticRegression:
    """A fitted model with feature names."""
    return LogisticRegression().fit(frame, labels)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorageNode:
    """A folder."""
    return LocalStorageNode(tmp_path / "storage")


@pytest.fixture
def tracking() -> MemoryTrackingStore:
    """A tracking backend in memory."""
    return MemoryTrackingStore()


@pytest.fixture
def registry(storage: LocalStorageNode, tracking: MemoryTrackingStore) -> ModelRegistry:
    """An empty registry."""
    return ModelRegistry(storage, tracking=tracking)


@pytest.fixture
def save(registry: ModelRegistry, classifier: LogisticRegression) -> SaveVersion:
    """Register and save a version: ``save("iris", "1.2.0", description=...)``."""

    def call(name: str, version: str | None = None, **facts: Any) -> ModelMetadata:
        registered = registry.register_model(
            name, "classification", "sklearn", version=version, **facts
        )
        return registry.save_model(name, registered.version, classifier)

    return call
