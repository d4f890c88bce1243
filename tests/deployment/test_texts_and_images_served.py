"""Text and image classifiers behind an endpoint: labels, probabilities, what is kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.base import Prediction

torch = pytest.importorskip("torch")

TEXTS = ["good film", "bad film", "ill"]


def deployed(
    registry: ModelRegistry, deployer: ModelDeployer, model: Any, **kept: Any
) -> str:
    """Save a model and serve it under its own name; returns its endpoint."""
    name = kept.pop("name")
    made = registry.register_model(name=name, **kept.pop("facts"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.save_model(name, made.version, model, **kept)
    done, message = deployer.deploy(name, request_log=1)
    assert done, message
    return deployer.get_endpoint(name)


def infer(endpoint: str, name: str, values: np.ndarray, datatype: str) -> Prediction:
    asked = {"name": "x", "shape": list(values.shape), "datatype": datatype}
    body = {"inputs": [{**asked, "data": values.ravel().tolist()}]}
    answer = httpx.post(f"{endpoint}/v2/models/{name}/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    found = {output["name"]: output for output in answer.json()["outputs"]}
    scores = found["probabilities"]
    return Prediction(
        np.array(found["predict"]["data"]),
        np.array(scores["data"]).reshape(scores["shape"]),
        tuple(scores["parameters"]["classes"]),
    )


@pytest.fixture
def cleared(deployer: ModelDeployer) -> Iterator[ModelDeployer]:
    yield deployer
    for name in deployer.list():
        deployer.delete(name)


def test_a_text_classifier_answers_raw_strings_with_labels_and_probabilities(
    registry, cleared, tmp_path
):
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizer(str(tmp_path / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(config).eval()
    with torch.inference_mode():
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    expected = logits.softmax(1).numpy()
    endpoint = deployed(
        registry,
        cleared,
        model,
        name="reviews",
        facts={"framework": "transformers", "model_type": "text-classification"},
        tokenizer=tokenizer,
        input_example=TEXTS[:2],
    )
    got = infer(endpoint, "reviews", np.array(TEXTS), "BYTES")
    assert got.classes == ("negative", "positive")
    np.testing.assert_allclose(got.scores, expected, atol=1e-5)
    labels = np.array(got.classes)[expected.argmax(1)].tolist()
    assert got.values.tolist() == labels
    plain = httpx.post(f"{endpoint}/predict", json={"records": TEXTS}, timeout=60)
    assert plain.json()["predictions"] == labels
    refused = httpx.post(f"{endpoint}/predict", json={"records": [7]}, timeout=60)
    assert refused.status_code == 400 and "records" in refused.json()["error"]
    cleared.delete("reviews")
    [kept] = cleared.logged_requests("reviews")
    assert kept.column(0).to_pylist() == TEXTS * 2
    assert kept.column("prediction").to_pylist() == labels * 2


def test_an_image_classifier_answers_pixels_with_labels_and_probabilities(
    registry, cleared
):
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        id2label={0: "night", 1: "day"},
        label2id={"night": 0, "day": 1},
    )
    pixels = np.random.default_rng(0).random((3, 3, 8, 8)).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTForImageClassification(config).eval()
    with torch.inference_mode():
        expected = model(torch.tensor(pixels)).logits.softmax(1).numpy()
    endpoint = deployed(
        registry,
        cleared,
        model,
        name="sky",
        facts={"framework": "transformers", "model_type": "image-classification"},
        input_example=pixels[:2],
    )
    got = infer(endpoint, "sky", pixels, "FP32")
    assert got.classes == ("night", "day")
    np.testing.assert_allclose(got.scores, expected, atol=1e-5)
    assert got.values.tolist() == np.array(got.classes)[expected.argmax(1)].tolist()
    wrong = {"name": "x", "shape": [1, 3, 8], "datatype": "FP32", "data": [0.0] * 24}
    url = f"{endpoint}/v2/models/sky/infer"
    refused = httpx.post(url, json={"inputs": [wrong]}, timeout=60)
    assert refused.status_code == 400
    assert "shape [1, 3, 8] does not fit" in refused.json()["error"]
    cleared.delete("sky")
    [kept] = cleared.logged_requests("sky")
    flat = np.array(kept.column(0).to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(flat, pixels.reshape(3, -1))
    assert kept.column("probability_day").to_pylist() == got.scores[:, 1].tolist()
