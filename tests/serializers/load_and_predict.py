"""Load version directories and predict, knowing nothing else and with no network."""

import socket
import sys
import warnings
from pathlib import Path

import numpy as np

from brixa_flows.serializers import (
    check_trust,
    load_model_files,
    read_manifest,
    serializer_named,
    verify_manifest,
)


def _no_network(*_: object) -> None:
    raise OSError("this process has no network")


socket.socket.connect = _no_network
warnings.simplefilter("ignore")
base = Path(sys.argv[1])
inputs = np.load(base / "inputs.npy")
for index, directory in enumerate(map(Path, sys.argv[2:])):
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    check_trust(manifest, recorded_digest=manifest.digest)
    model = load_model_files(directory, manifest)
    serializer = serializer_named(manifest.saved.serializer)
    batch = inputs.tolist() if inputs.dtype.kind == "U" else inputs
    answer = serializer.predict(model, batch)
    values = answer.values if answer.scores is None else answer.scores
    np.save(base / f"values-{index}.npy", values)
