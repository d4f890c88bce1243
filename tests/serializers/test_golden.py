"""What a released protocol wrote loads for ever (tests/data/protocol-1/README.md)."""

from __future__ import annotations

import json
import platform
import warnings
from pathlib import Path

import pytest
from golden_files import DATA, from_json, prediction_from_json
from sklearn.exceptions import InconsistentVersionWarning

from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import (
    PROTOCOL,
    ArtifactManifest,
    check_trust,
    load_model_files,
    read_manifest,
    serializer_named,
    verify_manifest,
)
from brixa_flows.testing.fresh_process import answer_of
from brixa_flows.testing.serializers import assert_same_prediction

GOLDEN = sorted(each.parent for each in DATA.glob("protocol-*/*/version"))
# Read by test_transformers_tf.py, in an environment of its own.
OF_TRANSFORMERS_4 = "transformers-tf-safetensors"
HERE_LOADED = [each for each in GOLDEN if each.name != OF_TRANSFORMERS_4]
FORMATS_BY_VALUE = ("cloudpickle", "keras-cloudpickle")


def _without_reason_to_fail(manifest: ArtifactManifest) -> None:
    """Skip what a library, not we, can't read; the reason is told."""
    python = manifest.environment["python"].rpartition(".")[0]
    here = platform.python_version().rpartition(".")[0]
    if manifest.saved.format in FORMATS_BY_VALUE and python != here:
        pytest.skip(f"code pickled by value is bytecode of Python {python}")


@pytest.mark.parametrize(
    "golden",
    HERE_LOADED,
    ids=[f"{each.parent.name}/{each.name}" for each in HERE_LOADED],
)
def test_a_golden_artifact_loads_and_predicts_as_it_did(golden: Path):
    directory = golden / "version"
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    _without_reason_to_fail(manifest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        # scikit-learn's own word to those who load with another version of it.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        check_trust(manifest, recorded_digest=manifest.digest)
        model = load_model_files(directory, manifest)
    inputs = from_json(json.loads((golden / "inputs.json").read_text()))
    expected = prediction_from_json(json.loads((golden / "expected.json").read_text()))
    serializer = serializer_named(manifest.saved.serializer)
    assert_same_prediction(answer_of(serializer, model, inputs), expected, rtol=1e-4)


def test_every_protocol_has_an_artifact_of_every_data_format():
    for protocol in range(1, PROTOCOL + 1):
        folder = DATA / f"protocol-{protocol}"
        saved = [read_manifest(each / "version").saved for each in GOLDEN]
        there = {(each.serializer, each.format) for each in saved}
        assert folder.is_dir()
        wanted = {
            (plugin.name, name)
            for plugin in SERIALIZERS.all().values()
            for name in plugin.data_formats
        }
        assert wanted <= there, sorted(wanted - there)
