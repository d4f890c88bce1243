from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import DatasetError, VersionNotFoundError
from brixa_flows.prediction import ModelPredictor
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    registry = ModelRegistry(LocalStorageNode(tmp_path), tracking=MemoryTrackingStore())
    metadata = registry.register_model(name="steps", model_type="classification")
    model = LogisticRegression().fit(X, ["low", "low", "high", "high"])
    registry.save_model("steps", metadata.version, model, input_example=X)
    return registry


def test_a_version_predicts_with_probabilities_and_classes(
    registry: ModelRegistry,
) -> None:
    predictor = ModelPredictor.from_registry(registry, "steps", "^1")
    answer = predictor.predict(X)
    assert str(predictor.metadata.version) == "1.0.0"
    assert answer.values.tolist() == ["low", "low", "high", "high"]
    assert answer.classes == ("high", "low")
    assert answer.scores is not None
    assert answer.scores.shape == (4, 2)
    np.testing.assert_allclose(answer.scores, predictor.model.predict_proba(X))


def test_inputs_the_model_refuses_name_the_version(registry: ModelRegistry) -> None:
    predictor = ModelPredictor.from_registry(registry, "steps")
    with pytest.raises(DatasetError, match="steps 1.0.0: the LogisticRegression"):
        predictor.predict(X.rename(columns={"a": "b"}))


def test_a_version_that_is_not_there_is_named(registry: ModelRegistry) -> None:
    with pytest.raises(VersionNotFoundError, match="'2.0.0'"):
        ModelPredictor.from_registry(registry, "steps", "2.0.0")
