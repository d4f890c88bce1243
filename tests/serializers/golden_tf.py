"""The golden artifact of an environment with transformers < 5: ``save`` it, or ``load`` it.

Prints the prediction as ``golden_files`` keeps it; there is no pandas there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from round_trip_tf import make  # noqa: E402

from brixa_flows.serializers import (  # noqa: E402
    SaveOptions,
    build_manifest,
    check_trust,
    environment_of,
    load_model_files,
    read_manifest,
    save_model_files,
    serializer_named,
    verify_manifest,
    write_manifest,
)

IDS = {"input_ids": np.array([[2, 5, 6], [2, 8, 3]])}


def save(directory: Path) -> object:
    """The classifier with its tokenizer, whose weights are always the same."""
    directory.mkdir(parents=True)
    tf.keras.utils.set_random_seed(0)
    model, tokenizer = make(directory.parent)
    (directory.parent / "words.txt").unlink()
    framework, saved = save_model_files(
        model, directory, None, SaveOptions(tokenizer=tokenizer)
    )
    core = {"name": "contract", "version": "1.0.0"}
    environment = environment_of(model, framework)
    write_manifest(directory, build_manifest(directory, saved, core, environment))
    return model


def load(directory: Path) -> object:
    """Every step of loading; data needs nobody's word."""
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    check_trust(manifest, recorded_digest=None, policy="strict")
    return load_model_files(directory, manifest)


def _array(values: object) -> dict[str, object]:
    array = np.asarray(values)
    array = array.astype(str) if array.dtype.kind in "OTU" else array
    return {"dtype": array.dtype.str, "values": array.tolist()}


if __name__ == "__main__":
    model = {"save": save, "load": load}[sys.argv[1]](Path(sys.argv[2]))
    answer = serializer_named("transformers-tf").predict(model, IDS)
    expected = {
        "values": _array(answer.values),
        "scores": _array(answer.scores),
        "classes": answer.classes,
    }
    inputs = {"mapping": {name: _array(each) for name, each in IDS.items()}}
    print(json.dumps({"inputs": inputs, "expected": expected}))
