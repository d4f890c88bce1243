"""Adapter: columns of a table in the types that a model was trained on.

Nothing is changed for that: a value that a type can't hold is refused by ``check_values``
where a model answers for good, as its endpoint does, and stays as it came where it is
only judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError
from brixa_flows.prediction._tables import NUMBER_NAMES, column_values
from brixa_flows.prediction.value_rules import ValueRule

__all__ = ["check_types", "check_values", "frame_of", "matrix_of"]

_NUMBERS = ("int", "uint", "float")
_FLAGS = ("true", "false", "0", "1")
_NULLABLE = ("Int", "UInt", "Float", "boolean")


def frame_of(table: pa.Table, dtypes: dict[str, str], *, as_given: bool = False) -> Any:
    """A pandas frame whose columns have the types that the model was given.

    Args:
        table: The columns.
        dtypes: pandas type name by column; others stay as they come.
        as_given: Whether names that were numbers are numbers again.
    """
    frame = table.to_pandas()
    numbers = json.loads((table.schema.metadata or {}).get(NUMBER_NAMES, b"[]"))
    if as_given and numbers:
        return frame.rename(columns={str(number): number for number in numbers})
    for name, dtype in dtypes.items():
        if str(frame[name].dtype) != dtype:
            frame[name] = _as_trained(frame[name], table.column(name), dtype)
    return frame


def _as_trained(column: Any, raw: pa.ChunkedArray, dtype: str) -> Any:
    """In another type, or as it is where that would lose something."""
    if dtype == "category":
        return column.astype(dtype)
    if dtype.startswith("datetime64["):
        return _moments(column, raw, dtype)
    if dtype.startswith(_NULLABLE) and _is_numeric(raw.type):
        # Not by way of floats with NaN, which hold no large number.
        return _nullable(raw, dtype, column)
    known, values = _known_type(dtype), raw.to_numpy()
    if known is None or values.dtype.kind not in "biuf":
        return column
    return column.astype(known) if _loss(values, known) is None else column


def _moments(column: Any, raw: pa.ChunkedArray, dtype: str) -> Any:
    """Days and moments in the unit and zone of training; those of no zone are UTC."""
    if not (pa.types.is_date(raw.type) or pa.types.is_timestamp(raw.type)):
        return column
    try:
        moments = pd.to_datetime(raw.to_pandas(), utc=True)
        if "," not in dtype:
            moments = moments.dt.tz_localize(None)
        return moments.astype(dtype)
    except ValueError:  # outside of what the unit can hold
        return column


def _nullable(raw: pa.ChunkedArray, dtype: str, column: Any) -> Any:
    values = pd.Series(pd.array(raw.to_pylist(), dtype=_own_nullable(raw.type)))
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):
        return column


def _own_nullable(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_floating(kind):
        return "Float64"
    return "UInt64" if pa.types.is_unsigned_integer(kind) else "Int64"


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    )


def _known_type(dtype: str) -> np.dtype[Any] | None:
    """Of numbers or flags, also where pandas has its own of that name."""
    name = "bool" if dtype == "boolean" else dtype.lower()
    try:
        known = np.dtype(name)
    except TypeError:
        return None
    return known if known.kind in "biuf" else None


def _loss(values: NDArray[Any], dtype: np.dtype[Any]) -> tuple[int, str] | None:
    """The first row that a type can't hold, and why; ``None`` if it holds all.

    Digits that a smaller floating type rounds away are no loss: models round too.
    """
    if dtype.kind == "f":
        return _first(_too_large(values, dtype), f"too large for {dtype.name}")
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(1, bool)
    if missing.any():
        return _first(missing, "no value")
    if dtype.kind == "b":
        return _first((values != 0) & (values != 1), "neither true or false nor 0 or 1")
    return _loss_of_whole(values, dtype)


def _loss_of_whole(
    values: NDArray[Any], dtype: np.dtype[Any]
) -> tuple[int, str] | None:
    if values.dtype.kind == "f":
        found = _first(values != np.floor(values), "no whole number")
        if found is not None:
            return found
    limits = np.iinfo(dtype)
    outside = _beyond(values, limits.min, limits.max)
    return _first(outside, f"outside of {limits.min} to {limits.max}")


def _beyond(values: NDArray[Any], least: int, most: int) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":  # the next float is 2**63, which int64 does not hold
        return np.asarray((values < float(least)) | (values >= float(most) + 1))
    if values.dtype.kind == "b":
        return np.zeros(values.shape, dtype=np.bool_)
    return np.asarray((values < least) | (values > most))


def _too_large(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        narrowed = values.astype(dtype)
    return np.asarray(np.isinf(narrowed) & ~np.isinf(values))


def _first(found: NDArray[np.bool_], why: str) -> tuple[int, str] | None:
    return (int(np.argmax(found)), why) if found.any() else None


def matrix_of(table: pa.Table, dtype: str | None) -> NDArray[Any]:
    """The columns side by side, of shape (n_samples, n_columns)."""
    matrix = np.column_stack(
        [column_values(table, name) for name in table.column_names]
    )
    known = None if dtype is None else _known_type(dtype)
    if known is None or matrix.dtype.kind not in "biuf":
        return matrix if dtype is None else matrix.astype(dtype)
    return matrix.astype(known) if _loss(matrix, known) is None else matrix


def check_types(
    table: pa.Table, rules: Mapping[str, ValueRule], model: str, first_row: int
) -> None:
    """Return if columns of numbers hold numbers and columns of text hold text.

    Args:
        table: Some rows.
        rules: What columns may hold, by name.
        model: Name and version, for the message.
        first_row: So many rows came before.

    Raises:
        DatasetError: If not; names the column and what it holds.
    """
    for name, rule in rules.items():
        kind = table.schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        dtype = rule.dtype.lower()
        if text and dtype.startswith((*_NUMBERS, "bool")):
            said = _no_number(table.column(name), dtype.startswith("bool"), first_row)
            trained = f"but {model} was trained on {rule.dtype}"
            raise DatasetError(f"column {name!r} {said}, {trained}", columns=(name,))
        if rule.is_text and not (text or _may_be_text(kind)):
            raise DatasetError(
                f"column {name!r} holds {kind}, but {model} was trained on text",
                columns=(name,),
            )


def _may_be_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_null(kind) or pa.types.is_string_view(kind))


def _no_number(column: pa.ChunkedArray, is_flag: bool, first_row: int) -> str:
    """Where and what the first text is that is none; one such makes a column text."""
    for row, text in enumerate(column.to_pylist()):
        if text is not None and not _reads(text, is_flag):
            return f"holds {text!r} in row {first_row + row} (the first is 0)"
    return "holds text"


def _reads(text: str, is_flag: bool) -> bool:
    if is_flag:
        return text.strip().lower() in _FLAGS
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_values(
    table: pa.Table, rules: Mapping[str, ValueRule], model: str, first_row: int
) -> None:
    """Return if a model's endpoint would take these values too.

    Args:
        table: Some rows.
        rules: What columns may hold, by name.
        model: Name and version, for the message.
        first_row: So many rows came before.

    Raises:
        DatasetError: If one is missing that must not be, or can't be held by the type
            that the model was trained on; names the column, the row and the value.
    """
    for name, rule in rules.items():
        fault = _fault(table, name, rule)
        if fault is None:
            continue
        row, said, why = fault
        where = f"in row {first_row + row} (the first is 0)"
        raise DatasetError(
            f"column {name!r} holds {said} {where}{why.format(model=model)}",
            columns=(name,),
        )


def _fault(table: pa.Table, name: str, rule: ValueRule) -> tuple[int, str, str] | None:
    column = table.column(name)
    missing = _missing(column)
    if missing.any() and not rule.nullable:
        why = ", and the schema of {model} allows none to be missing"
        return int(np.argmax(missing)), "no value", why
    if rule.kind not in ("number", "integer", "boolean"):
        return None
    values = column_values(table, name)
    known = _known_type(rule.dtype) if rule.dtype else None
    if known is None:
        names = {"integer": "int64", "boolean": "bool"}
        known = np.dtype(names.get(rule.kind, "float64"))
    if values.dtype.kind not in "biuf":
        return None
    places = np.flatnonzero(~missing)
    found = _loss(values[places], _for_kind(known, rule.kind))
    if found is None:
        return None
    row, why = int(places[found[0]]), found[1]
    trained = f", but {{model}} was trained on {rule.dtype or rule.kind}"
    return row, _shown(values[row]), f", {why}{trained}"


def _for_kind(known: np.dtype[Any], kind: str) -> np.dtype[Any]:
    """Whole numbers with some missing among them were floats in training."""
    return np.dtype(np.int64) if kind == "integer" and known.kind == "f" else known


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = column.is_null(nan_is_null=True).to_numpy()
    return missing


def _shown(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    whole = isinstance(plain, float) and plain.is_integer() and abs(plain) < 2**53
    return repr(int(plain) if whole else plain)
