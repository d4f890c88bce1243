"""Adapter to pyarrow: images, embeddings and other tensors, each row summed up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift.radix import Floats

__all__ = ["flattened", "is_tensor", "summarise"]

_NUMBERS_AT_ONCE = 4_000_000


def is_tensor(type_: pa.DataType) -> bool:
    """Whether rows are lists of numbers, however deep."""
    depth = 0
    while _is_list(type_):
        type_, depth = type_.value_type, depth + 1
    number = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    return bool(depth and (number or pa.types.is_decimal(type_)))


def summarise(array: pa.Array) -> dict[str, Floats]:
    """Mean, deviation, extremes and size of each row's numbers.

    Args:
        array: Rows of lists of numbers; missing rows are left out.

    Returns:
        Arrays of shape (n_rows,) by name, NaN where a row has no finite number.
    """
    names = ("mean", "deviation", "minimum", "maximum", "size", "not_finite")
    rows = array.drop_null()
    parts = [np.empty((len(names), 0))]
    start, step = 0, 256
    while start < len(rows):
        chunk = rows.slice(start, step)
        numbers, owners = flattened(chunk)
        parts.append(_of_rows(numbers, owners, len(chunk)))
        start += step
        largest = max(len(numbers) / max(len(chunk), 1), 1.0)
        step = max(int(_NUMBERS_AT_ONCE / largest), 1)
    return dict(zip(names, np.concatenate(parts, axis=1), strict=True))


def _of_rows(numbers: Floats, owners: np.ndarray, rows: int) -> Floats:
    finite = np.isfinite(numbers)
    sizes = np.bincount(owners, minlength=rows)
    kept, of_row = numbers[finite], owners[finite]
    counts = np.bincount(of_row, minlength=rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(of_row, weights=kept, minlength=rows) / counts
        distances = (kept - means[of_row]) ** 2
        variances = np.bincount(of_row, weights=distances, minlength=rows) / counts
    extremes = np.full((2, rows), np.nan)
    filled = np.flatnonzero(counts)
    if len(filled):
        starts = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
        extremes[0, filled] = np.minimum.reduceat(kept, starts)
        extremes[1, filled] = np.maximum.reduceat(kept, starts)
    return np.stack([means, np.sqrt(variances), *extremes, sizes, sizes - counts])


def flattened(array: pa.Array) -> tuple[Floats, np.ndarray]:
    """All numbers, and the row of each."""
    owners = np.arange(len(array))
    while _is_list(array.type):
        owners = owners[pc.list_parent_indices(array).to_numpy(zero_copy_only=False)]
        array = pc.list_flatten(array)
    numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers, owners


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )
