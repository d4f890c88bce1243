"""Hugging Face models on TensorFlow, in the environment that `make tf-environment` makes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.requirements_present import require

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-tf/bin/python"


@pytest.mark.slow(seconds=25)
def test_a_model_of_transformers_4_comes_back_with_its_tokenizer_as_data(tmp_path):
    found = (PYTHON.parents[1] / ".created").is_file()
    require("transformers < 5 with tf-keras (make tf-environment)", found)
    done = subprocess.run(
        [str(PYTHON), str(HERE / "round_trip_tf.py"), str(tmp_path)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["detected"] == ["tensorflow", "tensorflow"]
    assert facts["saved"] == ["transformers-tf", "safetensors", "data"]
    assert {"model/model.safetensors", "model/vocab.txt"} <= set(facts["files"])
    assert facts["transformers"].startswith("4.")
    assert facts["classes"] == ["early", "late"]
    written, read = facts["scores"]
    np.testing.assert_allclose(read, written, rtol=1e-5)
    assert written[0] != written[1]
    assert "refused the inputs" in facts["refused"]
    assert "no weights of that name: bert/" in facts["built_alone"]
