"""Adapter to pyarrow: an Arrow array summed up as a column profile."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.radix import Floats, count_bins

__all__ = ["instants", "kind_of", "measure"]

# Longer texts with the same beginning count as one category.
_CATEGORY_CHARACTERS = 200
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DAY_SECONDS = 86_400.0
# Beyond this a square is no number any more; such values count as this one.
_LARGEST = 1e140


def kind_of(type_: pa.DataType) -> ColumnKind:
    """What the values of an Arrow type are."""
    if pa.types.is_dictionary(type_):
        return "category"
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_null(type_):
        return "empty"
    if _is_number(type_) or pa.types.is_duration(type_) or pa.types.is_time(type_):
        return "numeric"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "datetime"
    return "category" if _is_text(type_) else "unsupported"


def measure(array: pa.Array, centre: float | None = None) -> ColumnProfile:
    """Sum up one array.

    Args:
        array: Of any type; of an unsupported one only nulls are counted.
        centre: To bin about; by default the array's own median.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = kind_of(array.type)
    if kind in ("category", "boolean"):
        return _categories(array, kind)
    if kind in ("numeric", "datetime"):
        return _numbers(array, kind, centre)
    return ColumnProfile(kind, str(array.type), len(array), missing=array.null_count)


def instants(array: pa.Array) -> Floats:
    """Seconds since 1970 of dates and times, NaN where missing, of shape (n_rows,)."""
    return _as_floats(array)


def _numbers(array: pa.Array, kind: ColumnKind, centre: float | None) -> ColumnProfile:
    values = _as_floats(array)
    finite = np.isfinite(values)
    missing = infinite = 0
    if not finite.all():
        missing = int(np.isnan(values).sum())
        infinite = int(len(values) - finite.sum()) - missing
        values = values[finite]
    whole = pa.types.is_integer(array.type)
    counted = ColumnProfile(
        kind, str(array.type), len(array), missing, infinite, whole=whole
    )
    if not len(values):
        return counted
    minimum, maximum = float(values.min()), float(values.max())
    if max(-minimum, maximum) > _LARGEST:
        values = np.clip(values, -_LARGEST, _LARGEST)
    if centre is None:
        centre = float(np.median(values))
        centre = float(np.floor(centre)) if whole else centre
    offsets = values - centre
    return ColumnProfile(
        kind,
        counted.type_name,
        counted.rows,
        missing,
        infinite,
        total=float(offsets.sum()),
        # Not ``@``: the threads of BLAS cost more than they save on short vectors.
        squares=float(np.einsum("i,i->", offsets, offsets)),
        minimum=minimum,
        maximum=maximum,
        centre=centre,
        whole=whole and centre.is_integer(),
        bins=count_bins(offsets),
    )


def _categories(array: pa.Array, kind: ColumnKind) -> ColumnProfile:
    type_name = str(array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    missing = array.null_count
    if pa.types.is_floating(array.type):
        missing = int(np.isnan(array.to_numpy(zero_copy_only=False)).sum())
        array = array.filter(pc.invert(pc.is_nan(array)))
    counts: dict[str, int] = {}
    for pair in pc.value_counts(array.drop_null()).to_pylist():
        name = _label(pair["values"])
        counts[name] = counts.get(name, 0) + pair["counts"]
    rows = missing + sum(counts.values())
    return ColumnProfile(kind, type_name, rows, missing=missing, categories=counts)


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:_CATEGORY_CHARACTERS]


def _as_floats(array: pa.Array) -> Floats:
    type_, factor = array.type, 1.0
    if pa.types.is_timestamp(type_) or pa.types.is_duration(type_):
        array, factor = array.cast(pa.int64()), _SECONDS[type_.unit]
    elif pa.types.is_time(type_):
        width = pa.int32() if type_.bit_width == 32 else pa.int64()
        array, factor = array.cast(width), _SECONDS[type_.unit]
    elif pa.types.is_date(type_):
        array, factor = array.cast(pa.date32()).cast(pa.int32()), _DAY_SECONDS
    if array.type != pa.float64():
        array = array.cast(pa.float64(), safe=False)
    values: Floats = array.to_numpy(zero_copy_only=False)
    return values if factor == 1.0 else values * factor


def _is_number(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
    )


def _is_text(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )
