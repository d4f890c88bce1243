"""Adapter to pyarrow: arrays and objects of Python as Arrow arrays."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["as_array"]

_UNITS = {"M": ("D", "s", "ms", "us", "ns"), "m": ("s", "ms", "us", "ns")}


def as_array(values: Any) -> pa.Array:
    """Any values as an Arrow array, one a row; none of them is a reason to fail.

    Args:
        values: A numpy array, whose rows beyond the first dimension become lists, a
            pandas series or a list.
    """
    if isinstance(values, np.ndarray) and values.ndim > 1:
        size = int(np.prod(values.shape[1:]))
        return pa.FixedSizeListArray.from_arrays(as_array(values.reshape(-1)), size)
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        values = _in_known_units(values)
    try:
        made = pa.array(values, from_pandas=True)
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        made = _from_objects(list(values))
    if _is_coded(made.type) and _is_extension(made.type.value_type):
        made = _from_objects(list(values))
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _in_known_units(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Arrow has no hours, months ... of numpy."""
    kind, unit = values.dtype.kind, np.datetime_data(values.dtype)[0]
    return values if unit in _UNITS[kind] else values.astype(f"{kind}8[s]")


def _is_coded(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_))


def _is_extension(type_: pa.DataType) -> bool:
    return isinstance(type_, pa.BaseExtensionType)


def _from_objects(values: list[Any]) -> pa.Array:
    """Images of several dimensions as lists of numbers, other mixtures as their texts.

    Whole numbers of any size and decimals become floats.
    """
    known = [value for value in values if not _is_missing(value)]
    if known and all(_is_number(value) for value in known):
        return pa.array([None if _is_missing(v) else _float_of(v) for v in values])
    if known and all(isinstance(value, np.ndarray) for value in known):
        flat = [None if _is_missing(value) else value.ravel() for value in values]
        try:
            return pa.array(flat)
        except pa.ArrowException:
            pass
    texts = [None if _is_missing(value) else _text_of(value) for value in values]
    return pa.array(texts, pa.string())


def _text_of(value: object) -> str:
    """Half of a pair of UTF-16, which is no character, as its escape."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(
        value, (bool, np.bool_)
    )


def _float_of(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ == "NAType":
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and np.isnan(value)
