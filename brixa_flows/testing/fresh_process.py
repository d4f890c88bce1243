"""A process that ran no training code, to load in what another process saved.

One such process serves a whole test session, because importing a framework costs
seconds: it reads a line of JSON for each request and answers with one.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.serializers import (
    Prediction,
    Serializer,
    check_trust,
    detect_framework,
    load_model_files,
    read_manifest,
    serializer_named,
    verify_manifest,
)

__all__ = ["FreshProcess", "answer_of", "shared_process"]


class FreshProcess:
    """A process that knows the import path of this one and nothing else; no network.

    Args:
        seconds: How long an answer may take before the process is ended.
    """

    def __init__(self, seconds: float = 150.0) -> None:
        self._seconds = seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def predict(self, directory: Path, inputs: Any, scratch: Path) -> Prediction:
        """Prediction of a saved version directory by that process.

        Args:
            directory: With its manifest.
            inputs: One batch, or ``None`` for a model that predicts nothing.
            scratch: Folder for the batch and the answer.

        Raises:
            RuntimeError: If it can't be loaded there; says why.
        """
        (scratch / "inputs.pickle").write_bytes(pickle.dumps(inputs))
        self._ask(do="predict", directory=str(directory), scratch=str(scratch))
        # Our own process wrote it just now.
        prediction = pickle.loads((scratch / "prediction.pickle").read_bytes())
        assert isinstance(prediction, Prediction)
        return prediction

    def detect(self, model: Any) -> tuple[str, list[str]]:
        """What a look-alike of ``model`` is detected as there.

        Returns:
            The framework, and every top-level module that the process has imported.
        """
        answer = self._ask(do="detect", **_looks_of(model))
        return answer["framework"], answer["modules"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(self._seconds)
        self._process.stdout.close()

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(self._seconds, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"the fresh process ended, asked to {request['do']}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def answer_of(serializer: Serializer, model: Any, inputs: Any) -> Prediction:
    """The prediction of a model, or without ``inputs`` every number that is in it.

    A dictionary of tensors predicts nothing, and what was saved can be compared still.

    Raises:
        DatasetError: If the inputs are not what the model takes.
    """
    if inputs is not None:
        return serializer.predict(model, inputs)
    return Prediction(np.concatenate([np.zeros(0), *_numbers(model)]))


def _numbers(value: Any) -> Iterator[NDArray[np.float64]]:
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, str):
        value = np.frombuffer(value.encode(), dtype="uint8")
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _numbers(each)
    else:
        plain = value.detach().cpu() if hasattr(value, "detach") else value
        yield np.ravel(np.asarray(plain, dtype="float64"))


@cache
def shared_process(purpose: str) -> FreshProcess:
    """The one fresh process of this session for ``purpose``, ended with the session."""
    process = FreshProcess()
    atexit.register(process.close)
    return process


def _looks_of(model: Any) -> dict[str, Any]:
    """Qualified names of the classes of a model (of a mapping, of its values)."""
    is_mapping = isinstance(model, Mapping) and bool(model)
    one = next(iter(model.values())) if is_mapping else model
    names = [[each.__module__, each.__qualname__] for each in type(one).__mro__]
    return {"names": names, "is_mapping": is_mapping}


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    sys.path.pop(0)  # `python -m` puts the working directory there
    socket.socket.connect = _no_network  # type: ignore[method-assign]
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = (
                _predict(request) if request["do"] == "predict" else _detect(request)
            )
        except Exception as err:  # noqa: B902 - told to who asked
            answer = {"error": f"{type(err).__name__}: {err}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _no_network(*_: object) -> None:
    raise OSError("a process that loads a model needs no network")


def _predict(request: Mapping[str, Any]) -> dict[str, Any]:
    directory, scratch = Path(request["directory"]), Path(request["scratch"])
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_trust(manifest, recorded_digest=manifest.digest)
        model = load_model_files(directory, manifest)
        inputs = pickle.loads((scratch / "inputs.pickle").read_bytes())
        serializer = serializer_named(manifest.saved.serializer)
        prediction = answer_of(serializer, model, inputs)
    (scratch / "prediction.pickle").write_bytes(pickle.dumps(prediction))
    return {}


def _detect(request: Mapping[str, Any]) -> dict[str, Any]:
    kind: type = object
    for module, name in reversed(request["names"]):
        if (module, name) != ("builtins", "object"):
            kind = type(name, (kind,), {"__module__": module, "__qualname__": name})
    model: Any = {"key": kind()} if request["is_mapping"] else kind()
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    return {"framework": detect_framework(model), "modules": modules}


if __name__ == "__main__":
    _serve()
