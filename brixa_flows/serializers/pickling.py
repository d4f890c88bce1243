"""Pickling with the two answers that pickle itself does not give.

Does the object need its classes by value (they live in ``__main__``, which no other
process has), and which attribute is to blame when it can't be pickled?
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import cloudpickle

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.held import open_held
from brixa_flows.serializers.object_parts import parts_of

__all__ = [
    "PICKLE_PROTOCOL",
    "PICKLING_ERRORS",
    "UNPICKLING_ERRORS",
    "AnyDevice",
    "blame",
    "dump_by_value",
    "pickles",
    "unpicklable",
    "unpickle",
    "unreadable",
    "why_by_value",
]

PICKLE_PROTOCOL = 5
_LEVELS_AT_MOST = 50

# A __reduce__, __getstate__ or __setstate__ of somebody else can raise anything. Only
# what the disk says on writing is not the object's fault.
PICKLING_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.PicklingError,
)
UNPICKLING_ERRORS = (Exception,)


class AnyDevice:
    """For an unpickler: tensors of an object that come from a device that is absent.

    torch pickles a tensor that is a part of another object as an archive, and reads it
    onto the device that it was on.
    """

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, but for the reader of such an archive."""
        found = super().find_class(module, name)  # type: ignore[misc]
        if (module, name) != ("torch.storage", "_load_from_bytes"):
            return found
        readers = import_module("brixa_flows.serializers.torch_devices")
        return readers.tensors_of


class _Unpickler(AnyDevice, pickle.Unpickler):
    """pickle's, for objects around tensors too."""


class _Sink:
    """Takes bytes and keeps none."""

    def write(self, data: Any) -> int:
        """Count them."""
        return len(data)


def _out_of_band(_: pickle.PickleBuffer) -> None:
    """Lets the bytes of an array go nowhere, uncopied."""


class _Scout(pickle.Pickler):
    """Pickles into nothing and notes what would be looked up in ``__main__``."""

    def __init__(self) -> None:
        super().__init__(
            _Sink(), protocol=PICKLE_PROTOCOL, buffer_callback=_out_of_band
        )
        self.of_main: str | None = None

    def reducer_override(self, obj: Any) -> Any:
        is_definition = isinstance(obj, (type, FunctionType))
        if is_definition and obj.__module__ == "__main__" and self.of_main is None:
            self.of_main = obj.__qualname__
        return NotImplemented


def why_by_value(model: Any) -> str | None:
    """Why other processes could not read a plain pickle of ``model``, if they could not.

    Returns:
        The class of ``__main__`` that it needs, or the part that pickle can't write (a
        lambda, a class made in a function); cloudpickle may take either.
    """
    scout = _Scout()
    try:
        scout.dump(model)
    except PICKLING_ERRORS:
        path, culprit = blame(model, pickles)
        name = getattr(culprit, "__qualname__", type(culprit).__qualname__)
        return f"{path} ({name}) is nothing that another process can import"
    if scout.of_main:
        return f"no other process can import {scout.of_main}, which lives in __main__"
    return None


def dump_by_value(model: Any, path: Path) -> None:
    """Write ``model`` by cloudpickle, with the classes that others can't import.

    Raises:
        SerializationError: If it can't be pickled even so; names the attribute to blame.
    """
    try:
        with path.open("wb") as file:
            cloudpickle.dump(model, file, protocol=PICKLE_PROTOCOL)
    except PICKLING_ERRORS as err:
        path.unlink()
        raise unpicklable(model, err, by_value=True) from err


def unpicklable(
    model: Any, err: BaseException, *, by_value: bool = False
) -> SerializationError:
    """The error for an object that can't be pickled, naming the attribute to blame.

    Args:
        model: The object.
        err: What pickle said.
        by_value: Whether cloudpickle was tried.
    """
    attempt = _pickles_by_value if by_value else pickles
    path, culprit = blame(model, attempt)
    kind = type(culprit)
    remedy = (
        "remove it from the model or make it in __setstate__"
        if by_value
        else "use a function or class of an importable module, remove it before "
        "saving, or pass format='cloudpickle'"
    )
    reason = str(err).split("\n", 1)[0][:200] or type(err).__name__
    part = "" if culprit is model else f" because of its attribute {path}"
    return SerializationError(
        f"the {type(model).__qualname__} can't be saved{part} "
        f"({kind.__module__}.{kind.__qualname__}): {reason}; {remedy}",
        attribute=path,
    )


def unpickle(path: Path) -> Any:
    """Read a pickle (or cloudpickle) file.

    Raises:
        SerializationError: If a class of it is not installed, or it is no pickle.
    """
    try:
        with open_held(path) as file:
            return _Unpickler(file).load()
    except UNPICKLING_ERRORS as err:
        raise unreadable(path, err) from err


def unreadable(path: Path, err: BaseException) -> SerializationError:
    """The error for a verified file that the installed packages can't read."""
    cause = f"{type(err).__name__}: {' '.join(str(err).split())}"
    return SerializationError(
        f"{path.name} can't be read with the packages installed here ({cause:.300}); "
        "install what the version's recorded environment names; if that is here, the "
        "file is no such model: ask who saved it"
    )


def pickles(obj: Any) -> bool:
    """Whether pickle can write an object; nothing of it is kept."""
    try:
        _Scout().dump(obj)
    except PICKLING_ERRORS:
        return False
    return True


def _pickles_by_value(obj: Any) -> bool:
    try:
        cloudpickle.Pickler(
            _Sink(), protocol=PICKLE_PROTOCOL, buffer_callback=_out_of_band
        ).dump(obj)
    except PICKLING_ERRORS:
        return False
    return True


def blame(
    model: Any, works: Callable[[Any], bool], path: str = "model"
) -> tuple[str, Any]:
    """Follow the parts that can't be written down to the smallest one.

    Args:
        model: What can't be written.
        works: Whether a part can be.
        path: What leads to ``model``.

    Returns:
        What leads to that part, and the part.
    """
    culprit = model
    seen = {id(model)}
    for _ in range(_LEVELS_AT_MOST):
        for suffix, part in parts_of(culprit):
            if id(part) not in seen and not works(part):
                seen.add(id(part))
                path, culprit = path + suffix, part
                break
        else:
            break
    return path, culprit
