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

from brixa_flows.errors import DatasetError
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


def bright_and_dark(folder: Path) -> tuple[Any, Any]:
    """A vision transformer that calls bright images day, and its own processor."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

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
    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTForImageClassification(config)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        pixels = torch.cat([torch.full((1, 3, 8, 8), value) for value in (-0.8, 0.8)])
        for _ in range(30):
            optimizer.zero_grad()
            model(pixels, labels=torch.tensor([0, 1])).loss.backward()
            optimizer.step()
    return model.eval(), processor


def test_an_image_classifier_of_hugging_face_is_judged_on_raw_images(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    import datasets
    import torch
    from PIL import Image

    class Items(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, at: int) -> Any:
            return pictures[at], truth[at]

    model, processor = bright_and_dark(tmp_path)
    save(registry, "sky", "images", model, processor=processor)
    truth = [0, 1] * 10
    shades = [30 + 190 * each for each in truth[:-2]] + [220, 30]  # two are wrong
    modes = ["RGB", "L", "P", "RGBA", "1"]
    pictures = [
        Image.new("L", (9 + at % 3, 12), shade).convert(modes[at % len(modes)])
        for at, shade in enumerate(shades)
    ]
    names = ["night", "day"]
    texts = [names[label] for label in truth]
    files = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Value("int64")}
    )
    evaluator = ModelEvaluator(registry, batch_rows=6)
    results = [
        evaluator.evaluate("sky", None, data, ["accuracy", "auc"], target=target)
        for data, target in (
            ((pictures, truth), None),
            ((pictures, texts), None),
            (pd.DataFrame({"picture": pictures, "kind": texts}), "kind"),
            (pd.DataFrame({"image": pictures, "label": truth, "at": 1}), None),
            (
                [
                    {"image": p, "label": t}
                    for p, t in zip(pictures, texts, strict=True)
                ],
                None,
            ),
            (
                datasets.Dataset.from_dict({"image": pictures, "label": truth}, files),
                None,
            ),
            (Items(), None),
        )
    ]
    for result in results:
        assert (result.task, result.positive) == ("binary", "day")
        assert (result.rows, result.metrics["accuracy"]) == (20, 0.9)
    assert results[0].dataset.digest == results[6].dataset.digest
    assert results[0].dataset.digest != results[1].dataset.digest
    assert results[2].dataset.columns["picture"] == "image"


def test_arrays_of_pixels_are_raw_and_floats_are_what_a_processor_made(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    model, processor = bright_and_dark(tmp_path)
    save(registry, "sky", "images", model, processor=processor)
    save(registry, "bare", "images", model)
    truth = np.array([0, 1] * 8)
    raw = np.repeat(30 + 190 * truth, 12 * 9 * 3).reshape(-1, 12, 9, 3)
    evaluator = ModelEvaluator(registry)
    for pixels in (
        raw.astype(np.uint8),
        raw,
        np.moveaxis(raw, -1, 1).astype(np.uint8),
        raw[..., 0].astype(np.uint8),
        {"image": raw.astype(np.uint8)},
        (np.moveaxis(raw[:, :8, :8], -1, 1) / 127.5 - 1).astype(np.float32),
    ):
        result = evaluator.evaluate("sky", None, (pixels, truth), ["accuracy"])
        assert result.metrics["accuracy"] == 1.0
    with pytest.raises(DatasetError, match="processor of the model.*processor=proc"):
        evaluator.evaluate("bare", None, (raw, truth), ["accuracy"])
    with pytest.raises(
        DatasetError, match=r"row 0 is no image.*\(12, 9, 3\).*0 to 255"
    ):
        evaluator.evaluate("sky", None, (raw - 100, truth), ["accuracy"])
    with pytest.raises(DatasetError, match="row 0 is no image.*shape"):
        evaluator.evaluate("sky", None, (raw[..., :2], truth), ["accuracy"])
