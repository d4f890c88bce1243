"""Adapter to pyarrow: an Arrow array summed up as a column profile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift._arrow_tensors import is_tensor, summarise
from brixa_flows.drift._arrow_text import count_words, reads_like_text
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.radix import Floats, anchors_for, count_bins
from brixa_flows.errors import DriftError

__all__ = ["SAID", "instants", "kind_of", "measure"]

# Type of a column whose kind a person said, before its values are known.
SAID = "said"

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
    if _is_text(type_):
        return "category"
    return "tensor" if is_tensor(type_) else "unsupported"


def measure(array: pa.Array, like: ColumnProfile | None = None) -> ColumnProfile:
    """Sum up one array.

    Args:
        array: Of any type; of an unsupported one only nulls are counted.
        like: Take its centre, and its kind where the type leaves a choice; by default
            the centre is the array's own median.

    Raises:
        DriftError: If it can't be of the kind that was said.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind, type_name = kind_of(array.type), str(array.type)
    if like is not None:
        array, kind = _as_kind(array, kind, like)
    elif kind == "category" and _is_text(array.type) and reads_like_text(array):
        kind = "text"
    if kind == "text":
        return _with_parts(array, kind, like, *count_words(array))
    if kind == "tensor":
        return _with_parts(array, kind, like, {}, summarise(array))
    if kind in ("category", "boolean"):
        return replace(_categories(array, kind), type_name=type_name)
    if kind in ("numeric", "datetime"):
        return _numbers(array, kind, like)
    return ColumnProfile(kind, str(array.type), len(array), missing=array.null_count)


def _as_kind(
    array: pa.Array, kind: ColumnKind, like: ColumnProfile
) -> tuple[pa.Array, ColumnKind]:
    """Strings are texts or categories, and numbers codes, as they were before."""
    if kind == "category" and like.kind in ("category", "text"):
        if like.kind == "text" and pa.types.is_dictionary(array.type):
            array = array.dictionary_decode().cast(pa.string())
        return array, like.kind
    said = like.type_name == SAID
    if like.kind == "category" and kind == "numeric":
        if said or _names_a_number(like.type_name):
            # Whole numbers that were floats because some were missing are no new codes.
            return _as_codes(array), "category"
    if said and kind not in (like.kind, "empty"):
        raise DriftError(
            f"holds {array.type} values, which are no {like.kind}; leave its kind out"
        )
    return array, kind


def _as_codes(array: pa.Array) -> pa.Array:
    values = _as_floats(array)
    finite = values[np.isfinite(values)]
    if not pa.types.is_integer(array.type) and np.all(finite == np.floor(finite)):
        whole = np.where(np.isfinite(values), values, 0.0)
        if np.abs(whole).max(initial=0.0) < 2**53:
            made = pa.array(whole.astype(np.int64), mask=~np.isfinite(values))
            return made.cast(pa.string())
    return array.cast(pa.string())


def _names_a_number(type_name: str) -> bool:
    return type_name.startswith(("int", "uint", "float", "double", "half", "decimal"))


def _with_parts(
    array: pa.Array,
    kind: ColumnKind,
    like: ColumnProfile | None,
    words: dict[str, int],
    parts: dict[str, Floats],
) -> ColumnProfile:
    known = {} if like is None else like.parts
    measured = {
        name: measure(pa.array(values), known.get(name))
        for name, values in parts.items()
    }
    return ColumnProfile(
        kind,
        str(array.type),
        len(array),
        missing=array.null_count,
        categories=words,
        parts=measured,
    )


def instants(array: pa.Array) -> Floats:
    """Seconds since 1970 of dates and times, NaN where missing, of shape (n_rows,)."""
    return _as_floats(array)


def _numbers(
    array: pa.Array, kind: ColumnKind, like: ColumnProfile | None
) -> ColumnProfile:
    values = _as_floats(array)
    finite = np.isfinite(values)
    missing = infinite = negative = 0
    if not finite.all():
        missing = int(np.isnan(values).sum())
        infinite = int(len(values) - finite.sum()) - missing
        negative = int(np.isneginf(values).sum())
        values = values[finite]
    whole = pa.types.is_integer(array.type)
    counted = ColumnProfile(
        kind, str(array.type), len(array), missing, infinite, negative, whole=whole
    )
    if not len(values):
        return counted
    minimum, maximum = float(values.min()), float(values.max())
    if max(-minimum, maximum) > _LARGEST:
        values = np.clip(values, -_LARGEST, _LARGEST)
    centre, bins = None if like is None else like.centre, None
    if like is not None and centre is not None:
        offsets = values - centre
        bins = count_bins(offsets, like.bins.anchors)
    else:
        centre = float(np.median(values))
        centre = float(np.floor(centre)) if whole else centre
        offsets = values - centre
        bins = count_bins(offsets)
        anchors = anchors_for(offsets, bins, whole=whole)
        bins = count_bins(offsets, anchors) if anchors else bins
    return replace(
        counted,
        total=float(offsets.sum()),
        # Not ``@``: the threads of BLAS cost more than they save on short vectors.
        squares=float(np.einsum("i,i->", offsets, offsets)),
        minimum=minimum,
        maximum=maximum,
        centre=centre,
        whole=whole and centre.is_integer(),
        bins=bins,
    )


def _categories(array: pa.Array, kind: ColumnKind) -> ColumnProfile:
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
    return ColumnProfile(kind, "", rows, missing=missing, categories=counts)


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
