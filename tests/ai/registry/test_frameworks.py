"""Each framework's model goes in and comes back the same."""

from __future__ import annotations

import numpy as np
import pytest

from brixa.ai.registry import (
    FrameworkMismatchError,
    InsecureSerializationWarning,
    ModelRegistry,
    infer_schemas,
)
from brixa.storage.local import LocalStorageNode


# keras 3.14 on numpy 2.4: Variable.__array__ takes no copy= (2026-11-23).
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_keras_model_before_and_after_its_first_batch(
    registry: ModelRegistry,
) -> None:
    import tensorflow as tf

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(10, activation="relu"),
            tf.keras.layers.Dense(2, activation="softmax"),
        ]
    )
    metadata = registry.register_model(
        name="image-classifier",
        model_type="image-classification",
        framework="tensorflow",
    )
    with pytest.warns(UserWarning, match="not built yet"):
        registry.save_model(metadata.name, metadata.version, model)
    loaded = registry.load_model("image-classifier")
    assert [layer.units for layer in loaded.layers] == [10, 2]

    batch = np.ones((2, 4), dtype="float32")
    expected = model(batch).numpy()
    metadata = registry.register_model(
        name="image-classifier",
        model_type="image-classification",
        framework="keras",
        bump="minor",
    )
    registry.save_model(metadata.name, metadata.version, model, input_example=batch)
    loaded = registry.load_model("image-classifier", "1.1.0")
    np.testing.assert_allclose(loaded(batch).numpy(), expected, rtol=1e-6)
    saved = registry.get_metadata("image-classifier", "latest")
    assert saved.framework == "tensorflow"
    assert saved.input_schema is not None
    assert saved.input_schema["maxItems"] == 4


def test_a_random_forest(registry: ModelRegistry) -> None:
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    X, y = make_classification(n_samples=100, n_features=4, n_classes=2, random_state=3)
    model = RandomForestClassifier(n_estimators=5, random_state=3).fit(X, y)
    metadata = registry.register_model(
        name="random-forest", model_type="classification", framework="sklearn"
    )
    with pytest.warns(InsecureSerializationWarning, match="joblib"):
        registry.save_model(metadata.name, metadata.version, model)
    with pytest.warns(InsecureSerializationWarning, match="random-forest 1.0.0"):
        loaded = registry.load_model("random-forest")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_hugging_face_classifier(
    registry: ModelRegistry, storage: LocalStorageNode
) -> None:
    import torch
    import transformers

    config = transformers.DistilBertConfig(
        vocab_size=50, dim=8, hidden_dim=16, n_layers=1, n_heads=2, num_labels=2
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    metadata = registry.register_model(
        name="distilbert-sentiment",
        model_type="text-classification",
        framework="pytorch",
        description="A small one for short texts",
    )
    registry.save_model(metadata.name, metadata.version, model)
    loaded = registry.load_model("distilbert-sentiment", device="cpu")
    assert type(loaded).__name__ == "DistilBertForSequenceClassification"
    tokens = torch.arange(6).reshape(2, 3)
    with torch.no_grad():
        expected = model.eval()(tokens).logits
        assert torch.equal(loaded.eval()(tokens).logits, expected)
    files = [
        each.key for each in storage.list("models/distilbert-sentiment/1.0.0/model")
    ]
    assert any(key.endswith("model.safetensors") for key in files)


def test_any_other_object_is_pickled_with_a_warning(registry: ModelRegistry) -> None:
    metadata = registry.register_model(name="rules", model_type="rules")
    with pytest.warns(InsecureSerializationWarning, match="can run any code"):
        registry.save_model(metadata.name, metadata.version, {"if": ["a", "then", 1]})
    with pytest.warns(InsecureSerializationWarning):
        assert registry.load_model("rules") == {"if": ["a", "then", 1]}


def test_the_wrong_framework_is_refused_in_one_sentence(
    registry: ModelRegistry,
) -> None:
    from sklearn.linear_model import LinearRegression

    metadata = registry.register_model(
        name="mixed-up", model_type="regression", framework="tensorflow"
    )
    model = LinearRegression().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(FrameworkMismatchError, match="'tensorflow'.*'sklearn'"):
        registry.save_model(metadata.name, metadata.version, model)
    assert infer_schemas(model, np.zeros((1, 1)))[0]["maxItems"] == 1
