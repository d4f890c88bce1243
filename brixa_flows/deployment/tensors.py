"""Tensors of the Open Inference Protocol v2 in JSON, to and from numpy.

Pure: values in, values out. What can't be read raises ``BadRequestError``, which names
the tensor. JSON has no NaN, so a missing number is ``null`` on the wire and NaN here,
in both directions; an infinite number is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import BadRequestError, some_of

__all__ = [
    "DATATYPES",
    "Tensor",
    "TensorHead",
    "datatype_of",
    "decode_tensor",
    "encode_tensor",
    "has_missing",
    "is_any",
    "json_scalar",
    "json_values",
    "missing_mask",
    "of_one_type",
    "read_head",
]

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_BY_DTYPE = {dtype: name for name, dtype in DATATYPES.items()}
_MAX_DIMENSIONS = 16
_FEW_VALUES = 8
_MISSING = type(None)
_EXACT_IN_FLOATS = 2**53
_ALLOWED: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true or false"),
    "i": (frozenset({int}), "whole numbers"),
    "u": (frozenset({int}), "whole numbers"),
    "f": (frozenset({int, float}), "numbers"),
    "O": (frozenset({str}), "texts"),
}


@dataclass(frozen=True)
class Tensor:
    """A named tensor.

    Attributes:
        name: Its name.
        datatype: Its datatype in the protocol's words (``FP32``, ``BYTES`` ...).
        values: Its values; integers or booleans with a missing one among them are
            FP64 with NaN or objects with ``None``.
    """

    name: str
    datatype: str
    values: NDArray[Any]

    @property
    def has_missing(self) -> bool:
        """Is there a null among the values?"""
        return has_missing(self.values)


def has_missing(values: NDArray[Any]) -> bool:
    """Whether a value is missing."""
    if values.dtype.kind == "f":
        return is_any(values, math.isnan, np.isnan)
    return bool(missing_mask(values).any())


def is_any(values: NDArray[Any], one: Callable[[float], bool], each: np.ufunc) -> bool:
    """Whether something is so of any float; of a few, numpy would cost more than Python.

    Args:
        values: Floats.
        one: Asks a number.
        each: The same for an array.
    """
    if values.size <= _FEW_VALUES:
        return any(map(one, values.ravel().tolist()))
    return bool(each(values).any())


def missing_mask(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value is missing; boolean, of the shape of ``values``."""
    mask: NDArray[np.bool_]
    if values.dtype.kind == "f":
        mask = np.isnan(values)
    elif values.dtype.kind == "O":
        mask = np.asarray(values == np.array(None, dtype=np.object_), dtype=np.bool_)
    else:
        mask = np.zeros(values.shape, dtype=np.bool_)
    return mask


def decode_tensor(raw: object, position: int) -> Tensor:
    """Read one entry of ``inputs``.

    Args:
        raw: The parsed JSON.
        position: Its place in the list, for messages.

    Raises:
        BadRequestError: If it is no tensor; names the field and what is allowed.
    """
    head = read_head(raw, position, tuple(DATATYPES))
    if "data" not in head.raw:
        raise BadRequestError(head.field, "has no data")
    flat = flatten(head.raw["data"], head.shape, head.field)
    values = decode_values(flat, head.datatype, head.field)
    return Tensor(head.name, head.datatype, values.reshape(head.shape))


class TensorHead(NamedTuple):
    """All of a tensor but its values.

    Attributes:
        name: Its name.
        datatype: In the protocol's words.
        shape: Its sizes, all positive.
        field: What a message calls it.
        raw: Where it was read from.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    field: str
    raw: dict[str, Any]


def read_head(raw: object, position: int, datatypes: tuple[str, ...]) -> TensorHead:
    """Read name, datatype and shape of one entry of ``inputs``.

    Args:
        raw: The parsed JSON.
        position: Its place in the list, for messages.
        datatypes: Those that are allowed.

    Raises:
        BadRequestError: If one of them is wrong; names the field and what is allowed.
    """
    field = f"inputs[{position}]"
    if not isinstance(raw, dict):
        raise BadRequestError(
            field, "is not an object with name, shape, datatype, data"
        )
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequestError(f"{field}.name", "give the name of the input as a text")
    field = f"input {name[:100]!r}"
    datatype = raw.get("datatype")
    if not isinstance(datatype, str) or datatype not in datatypes:
        raise BadRequestError(
            field,
            f"datatype {str(datatype)[:40]!r} can't be sent in this way; use one of "
            f"{', '.join(datatypes)}",
        )
    return TensorHead(name, datatype, _shape(raw.get("shape"), field), field, raw)


def _shape(raw: object, field: str) -> tuple[int, ...]:
    is_list = isinstance(raw, list) and 0 < len(raw) <= _MAX_DIMENSIONS
    if not is_list or not all(type(size) is int and size >= 0 for size in _items(raw)):
        raise BadRequestError(
            field, f"shape {str(raw)[:60]} is not a list of sizes such as [3] or [3, 4]"
        )
    shape = tuple(_items(raw))
    if math.prod(shape) == 0:
        raise BadRequestError(field, f"shape {list(shape)} holds no rows or no values")
    return shape


def _items(raw: object) -> list[Any]:
    return raw if isinstance(raw, list) else []


def flatten(data: object, shape: tuple[int, ...], field: str) -> list[Any]:
    """Values in row-major order of data that is flat or nested like ``shape``.

    Raises:
        BadRequestError: If it is neither; names ``field``.
    """
    if not isinstance(data, list):
        raise BadRequestError(field, "data is not a list")
    count = math.prod(shape)
    level: list[Any] = data
    depth = 0
    while level and isinstance(level[0], list):
        inner = shape[depth + 1] if depth + 1 < len(shape) else -1
        if not all(isinstance(item, list) and len(item) == inner for item in level):
            raise BadRequestError(field, f"data is not nested like shape {list(shape)}")
        level = list(chain.from_iterable(level))
        depth += 1
    if len(level) != count:
        raise BadRequestError(
            field,
            f"data has {len(level)} values, but shape {list(shape)} needs {count}",
        )
    return level


def decode_values(flat: list[Any], datatype: str, field: str) -> NDArray[Any]:
    """Turn plain values into a one-dimensional array.

    Args:
        flat: JSON scalars; ``None`` is a missing value.
        datatype: Of the protocol.
        field: What a message calls them.

    Returns:
        Values of shape (n_values,); see :class:`Tensor` for missing ones.

    Raises:
        BadRequestError: If a value is of another type or does not fit.
    """
    dtype = DATATYPES[datatype]
    allowed, words = _ALLOWED[dtype.kind]
    types = set(map(type, flat))
    if not types <= allowed | {_MISSING}:
        _refuse_value(flat, allowed, field, f"{datatype} takes {words}")
    missing = _MISSING in types
    if dtype.kind in "iu":
        return _integers(flat, dtype, missing, field)
    if dtype.kind == "f":
        return _floats(flat, dtype, field)
    return np.array(flat, dtype=np.object_ if missing else dtype)


def _refuse_value(
    flat: list[Any], allowed: frozenset[type], field: str, rule: str
) -> None:
    for position, value in enumerate(flat):
        if value is not None and type(value) not in allowed:
            shown = str(value)[:40]
            raise BadRequestError(
                field, f"value {position} is {shown!r} ({_kind(value)}), but {rule}"
            )


def _kind(value: object) -> str:
    names = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def _integers(
    flat: list[Any], dtype: np.dtype[Any], missing: bool, field: str
) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    present = [value for value in flat if value is not None] if missing else flat
    if present and not (limits.min <= min(present) and max(present) <= limits.max):
        raise BadRequestError(
            field, f"a value lies outside of {limits.min} to {limits.max}"
        )
    return np.array(flat, dtype=np.float64 if missing else dtype)


def _floats(flat: list[Any], dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    try:
        wide = np.array(flat, dtype=np.float64)
    except OverflowError as err:
        raise BadRequestError(field, "a value is too large for FP64") from err
    with np.errstate(over="ignore"):
        values: NDArray[Any] = wide.astype(dtype, copy=False)
    if np.isinf(values).any():
        raise BadRequestError(
            field, f"a value is infinite or too large for {_BY_DTYPE[dtype]}"
        )
    return values


def datatype_of(values: NDArray[Any]) -> str:
    """The protocol's datatype for an array; texts, dates and objects are BYTES."""
    return _BY_DTYPE.get(values.dtype.newbyteorder("="), "BYTES")


def encode_tensor(
    name: str, values: NDArray[Any], parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write one tensor as the protocol's JSON object, data flat in row-major order.

    Args:
        name: Its name.
        values: Its values, of any shape; NaN becomes ``null``.
        parameters: Facts to send along.
    """
    encoded: dict[str, Any] = {
        "name": name,
        "shape": list(values.shape),
        "datatype": datatype_of(values),
        "data": json_values(values),
    }
    if parameters:
        encoded["parameters"] = parameters
    return encoded


def json_values(values: NDArray[Any]) -> list[Any]:
    """Values as JSON scalars in row-major order."""
    flat = values.ravel()
    if flat.dtype.kind in "biu":
        return flat.tolist()
    if flat.dtype.kind == "f":
        listed: list[Any] = flat.tolist()
        if np.isfinite(flat).all():
            return listed
        return [value if math.isfinite(value) else None for value in listed]
    if flat.dtype.kind == "M":
        return [None if t == "NaT" else t for t in np.datetime_as_string(flat).tolist()]
    return [_text(value) for value in flat.tolist()]


def of_one_type(values: NDArray[Any]) -> NDArray[Any]:
    """Objects that are all numbers or all booleans, as such; all else as it is.

    Among numbers a missing one becomes NaN.
    """
    if values.dtype.kind != "O":
        return values
    flat = values.ravel().tolist()
    kinds = {_object_kind(value) for value in flat}
    if kinds == {"b"} or kinds == {"i"}:
        return np.array(flat).reshape(values.shape)
    exact = not any(isinstance(v, int) and abs(v) > _EXACT_IN_FLOATS for v in flat)
    if kinds - {None} and kinds <= {"i", "f", None} and exact:
        return np.array(flat, dtype=np.float64).reshape(values.shape)
    return values


def _object_kind(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return "b"
    if isinstance(value, int | np.integer):
        return "i"
    return "f" if isinstance(value, float | np.floating) else "O"


def json_scalar(value: object) -> object:
    """A value as JSON has it: what is no number, truth or text becomes a text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float) else _text(value)


def _text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def names_of(tensors: Iterable[Tensor]) -> str:
    """Names for a message."""
    return some_of(repr(tensor.name) for tensor in tensors)
