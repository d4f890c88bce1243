"""Pickling with the two answers that pickle itself does not give.

Does the object need its classes by value (they live in ``__main__``, which no other
process has), and which attribute is to blame when it can't be pickled?
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import cloudpickle

from brixa_flows.errors import SerializationError

__all__ = [
    "PICKLE_PROTOCOL",
    "PICKLING_ERRORS",
    "UNPICKLING_ERRORS",
    "find_main_reference",
    "unpicklable",
    "unpickle",
    "unreadable",
]

PICKLE_PROTOCOL = 5
_LEVELS_AT_MOST = 12

PICKLING_ERRORS = (
    AttributeError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.PicklingError,
)
UNPICKLING_ERRORS = (
    AttributeError,
    EOFError,
    ImportError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class _Sink(io.RawIOBase):
    """Takes bytes and keeps none."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


class _Scout(pickle.Pickler):
    """Pickles into nothing and notes what would be looked up in ``__main__``.

    Arrays go out of band, so their bytes are not copied.
    """

    def __init__(self) -> None:
        super().__init__(
            _Sink(), protocol=PICKLE_PROTOCOL, buffer_callback=lambda _: None
        )
        self.of_main: str | None = None

    def reducer_override(self, obj: Any) -> Any:
        is_definition = isinstance(obj, (type, FunctionType))
        if is_definition and obj.__module__ == "__main__" and self.of_main is None:
            self.of_main = obj.__qualname__
        return NotImplemented


def find_main_reference(model: Any) -> str | None:
    """Name of a class or function of ``__main__`` that ``model`` refers to, if any.

    Raises:
        SerializationError: If it can't be pickled; names the attribute to blame.
    """
    scout = _Scout()
    try:
        scout.dump(model)
    except PICKLING_ERRORS as err:
        raise unpicklable(model, err) from err
    return scout.of_main


def unpicklable(
    model: Any, err: BaseException, *, by_value: bool = False
) -> SerializationError:
    """The error for an object that can't be pickled, naming the attribute to blame.

    Args:
        model: The object.
        err: What pickle said.
        by_value: Whether cloudpickle was tried.
    """
    attempt = _pickles_by_value if by_value else _pickles
    path, culprit = _blame(model, attempt)
    kind = type(culprit)
    remedy = (
        "remove it from the model or make it in __setstate__"
        if by_value
        else "use a function or class of an importable module, remove it before "
        "saving, or pass format='cloudpickle'"
    )
    reason = str(err).split("\n", 1)[0][:200]
    return SerializationError(
        f"the {type(model).__qualname__} can't be saved because of its attribute "
        f"{path} ({kind.__module__}.{kind.__qualname__}): {reason}; {remedy}",
        attribute=path,
    )


def unpickle(path: Path) -> Any:
    """Read a pickle (or cloudpickle) file.

    Raises:
        SerializationError: If a class of it is not installed, or it is no pickle.
    """
    try:
        with path.open("rb") as file:
            return pickle.load(file)
    except UNPICKLING_ERRORS as err:
        raise unreadable(path, err) from err


def unreadable(path: Path, err: BaseException) -> SerializationError:
    """The error for a verified file that the installed packages can't read."""
    return SerializationError(
        f"{path.name} can't be read with the packages installed here ({err}); install "
        "what the version's recorded environment names"
    )


def _pickles(obj: Any) -> bool:
    try:
        _Scout().dump(obj)
    except PICKLING_ERRORS:
        return False
    return True


def _pickles_by_value(obj: Any) -> bool:
    try:
        cloudpickle.Pickler(
            _Sink(), protocol=PICKLE_PROTOCOL, buffer_callback=lambda _: None
        ).dump(obj)
    except PICKLING_ERRORS:
        return False
    return True


def _blame(model: Any, pickles: Callable[[Any], bool]) -> tuple[str, Any]:
    """Follow the parts that can't be pickled down to the smallest one."""
    path, culprit = "model", model
    seen = {id(model)}
    for _ in range(_LEVELS_AT_MOST):
        for suffix, part in _parts(culprit):
            if id(part) not in seen and not pickles(part):
                seen.add(id(part))
                path, culprit = path + suffix, part
                break
        else:
            break
    return path, culprit


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(obj, dict):
        for key, value in obj.items():
            yield f"[{key!r}]", value
    elif isinstance(obj, (list, tuple)):
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    elif not isinstance(obj, (type, FunctionType)):
        for name, value in getattr(obj, "__dict__", {}).items():
            yield f".{name}", value
