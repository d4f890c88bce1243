"""One object with parts of several frameworks, and versions that name no framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brixa.ai.registry import (
    FrameworkMismatchError,
    InsecureSerializationWarning,
    ModelRegistry,
)

# keras 3.14 on numpy 2.4: Variable.__array__ takes no copy= (2026-11-23).
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")


class Network(BaseEstimator):
    """An estimator that has a network of either kind."""

    def __init__(self, layer: Any = None) -> None:
        self.layer = layer

    def fit(self, inputs: Any, labels: Any = None) -> Network:
        """The layer is trained already."""
        self.fitted_ = True
        return self

    def predict(self, inputs: Any) -> Any:
        """What the layer says."""
        return answer_of(self.layer, np.asarray(inputs, dtype="float32"))


def answer_of(model: Any, inputs: Any) -> Any:
    """Predictions of a model of any of the three."""
    if hasattr(model, "steps"):
        return model.predict(inputs)
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            return model(torch.as_tensor(inputs)).numpy()
    return np.asarray(model(inputs))


def torch_layer() -> Any:
    """Of PyTorch."""
    return torch.nn.Linear(3, 2)


def keras_model() -> Any:
    """Of Keras, whose import takes seconds."""
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def pipeline_around(make: Callable[[], Any]) -> Any:
    """Of scikit-learn, with a layer of another framework at its end."""
    return make_pipeline(StandardScaler(), Network(make())).fit(X)


OBJECTS: dict[str, tuple[Callable[[], Any], str]] = {
    "pipeline around torch": (lambda: pipeline_around(torch_layer), "sklearn"),
    "pipeline around keras": (lambda: pipeline_around(keras_model), "sklearn"),
    "all in a dictionary": (
        lambda: {
            "torch": torch_layer(),
            "keras": keras_model(),
            "sklearn": pipeline_around(torch_layer),
        },
        "pickle",
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_parts_of_several_frameworks_come_back_by_the_fallback_with_its_warning(
    kind: str, registry: ModelRegistry
) -> None:
    make, detected = OBJECTS[kind]
    model = make()
    registered = registry.register_model("mixed", "regression", framework=None)
    assert registered.framework is None
    with pytest.warns(InsecureSerializationWarning, match="can run any code"):
        saved = registry.save_model("mixed", registered.version, model)
    assert saved.framework == detected
    with pytest.warns(InsecureSerializationWarning, match="mixed 1.0.0"):
        loaded = registry.load_model("mixed")
    parts = loaded if isinstance(loaded, dict) else {"": loaded}
    whole = model if isinstance(model, dict) else {"": model}
    assert list(parts) == list(whole)
    for name, part in parts.items():
        np.testing.assert_array_equal(answer_of(part, X), answer_of(whole[name], X))


@pytest.mark.parametrize("kind", OBJECTS)
def test_such_an_object_is_not_of_a_framework_of_its_parts(
    kind: str, registry: ModelRegistry
) -> None:
    make, detected = OBJECTS[kind]
    registered = registry.register_model("mixed", "regression", framework="keras")
    with pytest.raises(FrameworkMismatchError) as caught:
        registry.save_model("mixed", registered.version, make())
    assert (caught.value.registered, caught.value.detected) == ("tensorflow", detected)
    assert f"'tensorflow', but the object is of '{detected}'" in str(caught.value)
    assert registry.get_metadata("mixed", "1.0.0").state == "registered"
