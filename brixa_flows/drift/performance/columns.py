"""Scores, labels and features of any data as arrays: only the columns that are asked."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brixa_flows.drift.radix import Floats

__all__ = ["Texts", "as_floats", "as_texts", "read_columns"]

Texts = npt.NDArray[np.object_]


def read_columns(data: Any, names: Sequence[str]) -> dict[str, Any]:
    """The named columns as Arrow arrays of all rows.

    Raises:
        DriftError: If the data can't be read or have no such column.
    """
    adapter = importlib.import_module("brixa_flows.drift.performance._arrow")
    read: dict[str, Any] = adapter.read(data, names)
    return read


def as_floats(column: Any, name: str) -> Floats:
    """Numbers, NaN where missing, of shape (n_rows,).

    Raises:
        DriftError: If the column holds no numbers.
    """
    adapter = importlib.import_module("brixa_flows.drift.performance._arrow")
    values: Floats = adapter.floats(column, name)
    return values


def as_texts(column: Any) -> Texts:
    """Labels as texts, ``None`` where missing: 1, 1.0 and "1" are one, of shape (n_rows,)."""
    adapter = importlib.import_module("brixa_flows.drift.performance._arrow")
    values: Texts = adapter.texts(column)
    return values
