"""Text and image classifiers, from raw strings and pixels to gates' numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_digits

from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

WORDS = ("good", "fine", "bad", "ill", "film")


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(
        LocalStorageNode(tmp_path / "r"), tracking=MemoryTrackingStore()
    )


def save(
    registry: ModelRegistry, name: str, kind: str, model: Any, **kept: Any
) -> None:
    made = registry.register_model(name=name, model_type=kind, framework="pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.save_model(name, made.version, model, **kept)


def opinionated_bert(folder: Path) -> tuple[Any, Any]:
    """Knows good and bad words by their embeddings alone."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        texts = [f"{word} film" for word in WORDS[:4]]
        labels = torch.tensor([1, 1, 0, 0])
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        for _ in range(30):
            optimizer.zero_grad()
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
    return model.eval(), tokenizer


def test_a_text_classifier_is_judged_on_raw_strings(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    model, tokenizer = opinionated_bert(tmp_path)
    texts = [f"{word} film" for word in WORDS[:4]] * 20
    save(
        registry,
        "reviews",
        "text-classification",
        model,
        tokenizer=tokenizer,
        input_example=texts[:2],
    )
    truth = [1, 1, 0, 0] * 19 + [0, 0, 1, 1]
    evaluator = ModelEvaluator(registry)
    names = np.array(["negative", "positive"], dtype=object)
    table = pd.DataFrame({"text": texts, "label": truth})
    table.to_parquet(tmp_path / "reviews.parquet")
    for data in (
        (texts, truth),
        (texts, names[truth]),
        table,
        str(tmp_path / "reviews.parquet"),
    ):
        result = evaluator.evaluate(
            "reviews", None, data, ["accuracy", "f1", "auc"], target="label"
        )
        assert (result.task, result.positive) == ("binary", "positive")
        assert result.metrics["accuracy"] == pytest.approx(76 / 80)
        assert result.rows == 80
    assert "numbers of the model's classes" in result.warnings[0]


def test_an_image_classifier_is_judged_on_pixels(registry: ModelRegistry) -> None:
    import torch

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    train, test = slice(0, 1_000), slice(1_000, 1_400)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 36, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        inputs, targets = map(torch.tensor, (pixels[train], labels[train]))
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    save(
        registry,
        "digits",
        "image-classification",
        model.eval(),
        input_example=pixels[:2],
    )
    with torch.inference_mode():
        logits = model(torch.tensor(pixels[test]))
    answers = logits.argmax(1).numpy()
    items = torch.utils.data.TensorDataset(
        torch.tensor(pixels[test]), torch.tensor(labels[test])
    )
    results = [
        ModelEvaluator(registry).evaluate(
            "digits", None, data, ["accuracy", "f1", "top_3_accuracy", "latency"]
        )
        for data in (
            (pixels[test], labels[test]),
            items,
            torch.utils.data.DataLoader(items, batch_size=100),
        )
    ]
    for result in results:
        assert result.task == "multiclass" and len(result.classes) == 10
        assert result.metrics["accuracy"] == sk.accuracy_score(labels[test], answers)
        assert result.metrics["f1"] == sk.f1_score(
            labels[test], answers, average="macro"
        )
        assert result.metrics["accuracy"] > 0.8
        assert result.metrics["top_3_accuracy"] >= result.metrics["accuracy"]
        assert result.metrics["latency"] > 0
    assert len({result.dataset.digest for result in results}) == 1
