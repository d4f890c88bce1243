"""Modules that only pickle can write: torch archives, with their classes by value."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import torch
from torch import nn

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.held import check_held
from brixa_flows.serializers.pickling import (
    PICKLE_PROTOCOL,
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    unpicklable,
    unreadable,
)

__all__ = ["load_by_value", "save_by_value"]


def save_by_value(model: nn.Module, directory: Path, because: str) -> SavedModel:
    """Write ``model.pt``.

    Raises:
        SerializationError: If it can't be pickled; names the attribute to blame.
    """
    path = directory / "model.pt"
    try:
        torch.save(
            model, path, pickle_module=cloudpickle, pickle_protocol=PICKLE_PROTOCOL
        )
    except PICKLING_ERRORS as err:
        raise unpicklable(model, err, by_value=True) from err
    return SavedModel("pytorch", "cloudpickle", "code", path.name, {"because": because})


def load_by_value(path: Path, config: Mapping[str, Any]) -> nn.Module:
    """Read a module onto the CPU, its tensors mapped into memory.

    Raises:
        SerializationError: If it can't be read with what is installed, or is no module.
    """
    try:
        model = torch.load(
            path,
            map_location=_OnCPU(),
            pickle_module=_checking(path),
            weights_only=False,
            mmap=True,
        )
    except (*UNPICKLING_ERRORS, RuntimeError) as err:
        raise unreadable(path, err) from err
    if not isinstance(model, nn.Module):
        raise SerializationError(
            f"{path.name} holds a {type(model).__qualname__}, no torch module"
        )
    return model


class _OnCPU(dict[str, str]):
    """The CPU for every device.

    As a text it would do the same, but torch.load would hand a file that became
    TorchScript meanwhile to torch.jit.load, which refuses a dictionary.
    """

    def get(self, key: str, default: object = None) -> str:
        return "cpu"


def _checking(path: Path) -> Any:
    """A module ``pickle`` that looks at the file once more before it runs anything.

    torch reads the whole pickle of the archive first, and maps the tensors.
    """

    class Unpickler(pickle.Unpickler):
        def __init__(self, file: Any, **options: Any) -> None:
            check_held(path)
            super().__init__(file, **options)

    return SimpleNamespace(__name__="pickle", Unpickler=Unpickler)
