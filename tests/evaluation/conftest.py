"""A small registry for the tests of the evaluation room."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.evaluation.outcome_makers import flowers


class Workshop:
    """A registry with three versions of a classifier and one regression."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = ModelRegistry(
            LocalStorageNode(root), tracking=MemoryTrackingStore()
        )
        self.test = flowers(400, seed=2)
        train = flowers(400, seed=1)
        X, y = train[["length", "width"]], train["kind"]
        self.save("flowers", LogisticRegression().fit(X[["width"]], y), X[["width"]])
        self.save("flowers", LogisticRegression().fit(X, y), X)
        self.save("flowers", LogisticRegression(C=0.5).fit(X, y), X)
        self.save(
            "widths", LinearRegression().fit(X[["length"]], X["width"]), X[["length"]]
        )

    def save(self, name: str, model: Any, example: Any) -> None:
        """Register and save the next major version."""
        self.last = model
        bump = "major" if name in self.registry.list_models() else None
        metadata = self.registry.register_model(
            name=name, model_type="tabular", framework="sklearn", bump=bump
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.registry.save_model(
                name, metadata.version, model, input_example=example.head()
            )


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))
