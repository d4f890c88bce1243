"""The parts of an object, each with the text that leads to it, as pickle sees them."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

import numpy as np

__all__ = ["parts_of"]

_PROTOCOL = 5
_OF_TORCH = ("_parameters", "_buffers", "_modules")
_LEAVES = (type, str, bytes, int, float, complex, bool, type(None))


def parts_of(obj: Any) -> Iterator[tuple[str, Any]]:
    """Suffix (``.name``, ``[2]``, ``['key']``) and value of what pickle would write next.

    Nothing for what has no parts, or refuses to be taken apart.
    """
    if isinstance(obj, _LEAVES):
        return
    if isinstance(obj, FunctionType):
        yield from _function(obj)
    elif isinstance(obj, MethodType):
        yield ".__self__", obj.__self__
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield from ((f".args[{index}]", arg) for index, arg in enumerate(obj.args))
        yield from (
            (f".keywords[{key!r}]", value) for key, value in obj.keywords.items()
        )
    elif type(obj) in (list, tuple, set, frozenset, deque):
        yield from _indexed(obj)
    elif type(obj) is np.ndarray:
        yield from _indexed(obj.ravel() if obj.dtype.hasobject else ())
    else:
        yield from _reduced(obj)


def _indexed(values: Any) -> Iterator[tuple[str, Any]]:
    return ((f"[{index}]", value) for index, value in enumerate(values))


def _function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function written by value takes along: its closure and its globals."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # the cell is still empty
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f".__globals__[{name!r}]", function.__globals__[name]


def _reduced(obj: Any) -> Iterator[tuple[str, Any]]:
    try:
        reduced = obj.__reduce_ex__(_PROTOCOL)
    except Exception:  # noqa: B902 - then the object itself is to blame
        return
    if not isinstance(reduced, tuple):
        return
    _, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    yield from ((f"[{index}]", value) for index, value in enumerate(items or ()))
    yield from ((f"[{key!r}]", value) for key, value in pairs or ())
    yield from _state(state)
    for index, argument in enumerate(arguments):
        if not isinstance(argument, type):  # the class is told with the object
            yield f"(argument {index})", argument


def _state(state: Any) -> Iterator[tuple[str, Any]]:
    """Attributes: a dictionary, or with ``__slots__`` a pair of them."""
    slots = isinstance(state, tuple) and len(state) == 2
    for each in state if slots else (state,):
        if isinstance(each, dict):
            yield from _attributes(each)
        elif each is not None:
            yield ".__getstate__()", each


def _attributes(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Those of the object first; then what torch keeps in dictionaries, by its names."""
    inner = {
        name: state[name] for name in _OF_TORCH if isinstance(state.get(name), dict)
    }
    yield from ((f".{name}", state[name]) for name in state if name not in inner)
    for children in inner.values():
        for name, child in children.items():
            yield f"[{name}]" if str(name).isdigit() else f".{name}", child
