"""What carries its own code: TorchScript and the programs of ``torch.export``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary
from zipfile import BadZipFile

import torch
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.held import open_held
from brixa_flows.serializers.lost import warn_of_lost
from brixa_flows.serializers.pickling import (
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    unreadable,
)
from brixa_flows.serializers.torch_program_devices import on_present_devices

__all__ = ["load_program", "load_script", "module_of", "save_program", "save_script"]

_UNREADABLE = (*UNPICKLING_ERRORS, BadZipFile, KeyError, OSError, RuntimeError)
_ONE_AT_A_TIME = Lock()  # torch.export.load keeps what it reads in a global
_BECAUSE = "it is a program, not tensors"
_MODULES: WeakKeyDictionary[ExportedProgram, torch.nn.Module] = WeakKeyDictionary()


def save_script(model: torch.jit.ScriptModule, directory: Path) -> SavedModel:
    """Write a TorchScript module.

    Raises:
        SerializationError: If torch can't write it.
    """
    lost = [
        name
        for name, value in vars(model).items()
        if not name.startswith("_") and not callable(value)
    ]
    warn_of_lost(model, lost, "register them on the module before it is scripted")
    try:
        torch.jit.save(model, directory / "model.pt")
    except PICKLING_ERRORS as err:
        raise SerializationError(
            f"the TorchScript module can't be saved: {err}"
        ) from err
    return SavedModel(
        "pytorch", "torchscript", "code", "model.pt", {"because": _BECAUSE}
    )


def load_script(path: Path) -> torch.jit.ScriptModule:
    """Read a TorchScript module onto the CPU, wherever it was saved.

    Raises:
        SerializationError: If it is none.
    """
    try:
        load: Callable[..., torch.jit.ScriptModule] = torch.jit.load
        return load(path, map_location="cpu")
    except _UNREADABLE as err:
        raise unreadable(path, err) from err


def save_program(program: ExportedProgram, directory: Path) -> SavedModel:
    """Write an exported program.

    Raises:
        SerializationError: If torch can't write it.
    """
    try:
        torch.export.save(program, directory / "model.pt2")
    except PICKLING_ERRORS as err:
        raise SerializationError(f"the exported program can't be saved: {err}") from err
    return SavedModel("pytorch", "pt2", "code", "model.pt2", {"because": _BECAUSE})


def load_program(
    path: Path, device: torch.device, dtype: torch.dtype | None
) -> ExportedProgram:
    """Read an exported program onto a device.

    Raises:
        SerializationError: If it is none, or another dtype is asked for.
    """
    if dtype is not None:
        raise SerializationError(
            f"dtype={dtype} can't be applied to an exported program, whose graph has its "
            "dtypes; export the module again in that dtype"
        )
    try:
        with _ONE_AT_A_TIME, open_held(path) as file:
            program = torch.export.load(on_present_devices(file))
    except _UNREADABLE as err:
        raise unreadable(path, err) from err
    there = {str(each.device) for each in _tensors(program)}
    if there - {str(device)}:
        program = move_to_device_pass(program, str(device))
    return program


def module_of(program: ExportedProgram) -> Any:
    """The module that runs a program, made once for each program."""
    module = _MODULES.get(program)
    if module is None:
        module = _MODULES[program] = program.module()
    return module


def _tensors(program: ExportedProgram) -> Iterator[torch.Tensor]:
    yield from program.state_dict.values()
    for each in program.constants.values():
        if isinstance(each, torch.Tensor):
            yield each
