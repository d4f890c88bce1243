"""In an environment with transformers < 5: a TensorFlow classifier out and back in."""

import json
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertTokenizer,
    TFBertForSequenceClassification,
)

from brixa_flows.errors import DatasetError, SerializationError  # noqa: E402
from brixa_flows.serializers import (  # noqa: E402
    LoadOptions,
    SaveOptions,
    build_manifest,
    check_trust,
    detect_framework,
    environment_of,
    load_model_files,
    read_manifest,
    save_model_files,
    serializer_named,
    verify_manifest,
    write_manifest,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "late", "flight", "early"]
TEXTS = ["a late flight", "early"]


def make(folder: Path) -> tuple[TFBertForSequenceClassification, BertTokenizer]:
    """A model of a few hundred numbers, and the tokenizer of nine words."""
    (folder / "words.txt").write_text("\n".join(WORDS))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    labels = {"id2label": {0: "early", 1: "late"}, "label2id": {"early": 0, "late": 1}}
    config = BertConfig(len(WORDS), **sizes, **labels, initializer_range=0.9)
    model = TFBertForSequenceClassification(config)
    model.build_in_name_scope()
    return model, BertTokenizer(str(folder / "words.txt"))


def refusal_of_build(folder: Path, config: BertConfig) -> str:
    """What is said of a model whose file transformers itself could not read."""
    model = TFBertForSequenceClassification(config)
    model.build()
    folder.mkdir()
    try:
        save_model_files(model, folder)
    except SerializationError as err:
        return str(err)
    return ""


def refusals(directory: Path) -> list[str]:
    """What is said of forged facts, and of a config that leads elsewhere."""
    manifest = read_manifest(directory)
    config = directory / "model/config.json"
    content = config.read_bytes()
    code = {"backbone": "/elsewhere", "backbone_kwargs": {"trust_remote_code": True}}
    said = []
    for forged, change in (
        ({}, {}),
        ({"class": "BertModel"}, {}),
        ({"class": "TFBertModel"}, {}),
        (manifest.saved.config, code),
    ):
        config.write_text(json.dumps(json.loads(content) | change))
        saved = replace(manifest.saved, config=forged)
        try:
            load_model_files(directory, build_manifest(directory, saved, {}, {}))
        except SerializationError as err:
            said.append(str(err))
    config.write_bytes(content)
    return said


def round_trip(base: Path) -> dict[str, object]:
    """What was written, and what came back of it."""
    model, tokenizer = make(base)
    directory = base / "version"
    directory.mkdir()
    options = SaveOptions(tokenizer=tokenizer)
    tokenizer.note = "kept nowhere"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        framework, saved = save_model_files(model, directory, "keras", options)
    environment = environment_of(model, framework)
    write_manifest(directory, build_manifest(directory, saved, {}, environment))
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    check_trust(manifest, recorded_digest=None, policy="strict")
    loaded = load_model_files(directory, manifest, LoadOptions(device="cpu"))
    serializer = serializer_named(saved.serializer)
    encoded = dict(tokenizer(TEXTS, padding=True, return_tensors="np"))
    answers = [serializer.predict(model, encoded), serializer.predict(loaded, TEXTS)]
    try:
        serializer.predict(loaded, {"input_ids": np.zeros((1, 2, 3, 4), dtype=int)})
        refused = ""
    except DatasetError as err:
        refused = str(err)
    return {
        "detected": [detect_framework(each) for each in (model, loaded)],
        "saved": [saved.serializer, saved.format, saved.tier],
        "files": sorted(manifest.files),
        "classes": answers[1].classes,
        "scores": [each.scores.tolist() for each in answers if each.scores is not None],
        "transformers": environment["transformers"],
        "refused": refused,
        "warned": [str(each.message) for each in told],
        "forged": refusals(directory),
        "built_alone": refusal_of_build(base / "refused", model.config),
    }


if __name__ == "__main__":
    print(json.dumps(round_trip(Path(sys.argv[1]))))
