"""Hugging Face models on TensorFlow, in the environment that `make tf-environment` makes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_files import prediction_from_json
from test_golden import GOLDEN, OF_TRANSFORMERS_4

from brixa_flows.testing.serializers import assert_same_prediction
from tests.requirements_present import require

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-tf/bin/python"


def _run(script: str, *arguments: object) -> dict[str, Any]:
    found = (PYTHON.parents[1] / ".created").is_file()
    require("transformers < 5 with tf-keras (make tf-environment)", found)
    done = subprocess.run(
        [str(PYTHON), str(HERE / script), *map(str, arguments)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


@pytest.mark.slow(seconds=25)
def test_the_golden_artifact_loads_and_predicts_as_it_did():
    (golden,) = (each for each in GOLDEN if each.name == OF_TRANSFORMERS_4)
    told = _run("golden_tf.py", "load", golden / "version")
    expected = json.loads((golden / "expected.json").read_text())
    assert told["inputs"] == json.loads((golden / "inputs.json").read_text())
    both = [prediction_from_json(each) for each in (told["expected"], expected)]
    assert_same_prediction(*both, rtol=1e-4)


@pytest.mark.slow(seconds=25)
def test_a_model_of_transformers_4_comes_back_with_its_tokenizer_as_data(tmp_path):
    facts = _run("round_trip_tf.py", tmp_path)
    assert facts["detected"] == ["tensorflow", "tensorflow"]
    assert facts["saved"] == ["transformers-tf", "safetensors", "data"]
    assert {"model/model.safetensors", "model/vocab.txt"} <= set(facts["files"])
    assert facts["transformers"].startswith("4.")
    assert facts["classes"] == ["early", "late"]
    written, read = facts["scores"]
    np.testing.assert_allclose(read, written, rtol=1e-5)
    assert written[0] != written[1]
    assert "refused the inputs" in facts["refused"]
    assert "without its attributes note;" in facts["warned"][0]
    none, torch_class, other_class, elsewhere = facts["forged"]
    assert "no TensorFlow model class" in none and "'BertModel'" in torch_class
    assert "can't be read" in other_class and "takes the backbone" in elsewhere
    assert "no weights of that name: bert/" in facts["built_alone"]
