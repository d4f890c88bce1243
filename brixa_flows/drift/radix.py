"""Histograms of any numeric column at any scale, with no range to choose before.

A value's bin is the upper half of the bits of ``float32(value - centre)``: sign,
exponent and seven bits of mantissa. So a bin is never wider than 1/128 of its distance
from the centre, order is kept, and an outlier sits alone in its own bin. Bins depend on
nothing but the centre: histograms with one centre add and subtract exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["EMPTY_HISTOGRAM", "Histogram", "count_bins"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_KEYS = 65_536
_LARGEST = np.float64(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of the bins that are not empty.

    Attributes:
        keys: Bins in ascending order, of shape (n_bins,).
        counts: Values in each, of shape (n_bins,).
    """

    keys: Integers
    counts: Integers

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def __add__(self, other: Histogram) -> Histogram:
        if not len(self.keys):
            return other
        keys = np.concatenate([self.keys, other.keys])
        counts = np.concatenate([self.counts, other.counts])
        return _summed(keys, counts)

    def __sub__(self, other: Histogram) -> Histogram:
        keys = np.concatenate([self.keys, other.keys])
        return _summed(keys, np.concatenate([self.counts, -other.counts]))

    def positions(self, *, whole: bool = False) -> Floats:
        """Where each bin's values lie, relative to the centre, of shape (n_bins,).

        Args:
            whole: The values are whole numbers (and so is the centre): a bin that can
                hold only one of them lies exactly there, not at its middle.
        """
        middles = _value_at(self.keys, 0x8000)
        if not whole:
            return middles
        near = np.minimum(np.abs(_value_at(self.keys, 0)), np.abs(middles))
        near = np.where(self.keys < 0, np.abs(_value_at(self.keys, 0xFFFF)), near)
        only = np.ceil(near)
        single = 2 * np.abs(np.abs(middles) - near) <= 1
        return np.where(single, np.copysign(only, middles), middles)

    def moved(self, move: float, *, whole: bool = False) -> Histogram:
        """The same values about another centre, right to the width of a bin.

        Args:
            move: The old centre minus the new one.
            whole: As in :meth:`positions`.
        """
        return _summed(_keys_of(self.positions(whole=whole) + move), self.counts)

    def coarsened(self, edges: Floats, *, whole: bool = False) -> Integers:
        """Count into other bins, values outside of them into the outermost.

        Args:
            edges: Ascending, relative to the centre, of shape (n_bins + 1,).
            whole: As in :meth:`positions`.
        """
        places = np.searchsorted(edges, self.positions(whole=whole), side="right") - 1
        places = np.clip(places, 0, len(edges) - 2)
        weights = np.bincount(places, weights=self.counts, minlength=len(edges) - 1)
        return weights.astype(np.int64)


EMPTY_HISTOGRAM = Histogram(np.empty(0, np.int64), np.empty(0, np.int64))


def count_bins(offsets: Floats) -> Histogram:
    """Count finite values that were moved by the centre.

    Args:
        offsets: ``value - centre``, of shape (n_values,), finite.
    """
    keys = _keys_of(offsets)
    if len(keys) > _KEYS // 8:
        dense = np.bincount(keys + _KEYS // 2, minlength=_KEYS)
        filled = np.flatnonzero(dense)
        return Histogram(filled - _KEYS // 2, dense[filled].astype(np.int64))
    found, counts = np.unique(keys, return_counts=True)
    return Histogram(found.astype(np.int64), counts.astype(np.int64))


def _keys_of(offsets: Floats) -> npt.NDArray[np.int32]:
    bounded = np.clip(offsets, -_LARGEST, _LARGEST).astype(np.float32)
    bits = (bounded + np.float32(0)).view(np.int32)
    keys: npt.NDArray[np.int32] = (bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> 16
    return keys


def _summed(keys: npt.NDArray[np.signedinteger[Any]], counts: Integers) -> Histogram:
    found, places = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, places, counts)
    kept = sums != 0
    return Histogram(found[kept].astype(np.int64), sums[kept])


def _value_at(keys: Integers, low_bits: int) -> Floats:
    ordered = ((keys << 16) | low_bits).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return bits.view(np.float32).astype(np.float64)
