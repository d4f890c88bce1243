"""Histograms of any numeric column at any scale, with no range to choose before.

A value's bin is the upper half of the bits of ``float32(value - centre)``: sign,
exponent and seven bits of mantissa. So a bin is never wider than 1/128 of its distance
from the centre, order is kept, and an outlier sits alone in its own bin. Where much of
the reference lies close together far from the centre (years beside a sentinel of -1),
anchors are further centres, each of the values that are nearest to it. Bins depend on
nothing but centre and anchors: histograms with the same ones add and subtract exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["EMPTY_HISTOGRAM", "Anchors", "Histogram", "anchors_for", "count_bins"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Anchors = tuple[float, ...]

_KEYS = 65_536
_ANCHORS_AT_MOST = 8
_HEAVY_SHARE = 0.01
_HEAVY_ROWS = 10
"""Of a smooth distribution no bin holds more than some 0.4 % of the values."""
_LARGEST = np.float64(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of the bins that are not empty.

    Attributes:
        keys: Bins in ascending order, of shape (n_bins,).
        counts: Values in each, of shape (n_bins,).
        anchors: Further centres, relative to the centre, ascending.
    """

    keys: Integers
    counts: Integers
    anchors: Anchors = ()

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def __add__(self, other: Histogram) -> Histogram:
        if not len(self.keys):
            return other
        keys = np.concatenate([self.keys, other.keys])
        counts = np.concatenate([self.counts, other.counts])
        return _summed(keys, counts, self.anchors)

    def __sub__(self, other: Histogram) -> Histogram:
        keys = np.concatenate([self.keys, other.keys])
        counts = np.concatenate([self.counts, -other.counts])
        return _summed(keys, counts, self.anchors)

    def positions(self, *, whole: bool = False) -> Floats:
        """Where each bin's values lie, relative to the centre, of shape (n_bins,).

        Args:
            whole: The values are whole numbers (and so is the centre): a bin that can
                hold only one of them lies exactly there, not at its middle.
        """
        segments, keys = np.divmod(self.keys + _KEYS // 2, _KEYS)
        keys -= _KEYS // 2
        found = _positions(keys, whole)
        if not self.anchors:
            return found
        points, bounds = _points_of(self.anchors)
        low = np.concatenate([[-np.inf], bounds])[segments]
        high = np.concatenate([bounds, [np.inf]])[segments]
        placed: Floats = np.clip(points[segments] + found, low, high)
        return placed

    def moved(
        self, move: float, anchors: Anchors = (), *, whole: bool = False
    ) -> Histogram:
        """The same values about another centre, right to the width of a bin.

        Args:
            move: The old centre minus the new one.
            anchors: The new ones, relative to the new centre.
            whole: As in :meth:`positions`.
        """
        keys = _anchored_keys(self.positions(whole=whole) + move, anchors)
        return _summed(keys, self.counts, anchors)

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


def count_bins(offsets: Floats, anchors: Anchors = ()) -> Histogram:
    """Count finite values that were moved by the centre.

    Args:
        offsets: ``value - centre``, of shape (n_values,), finite.
        anchors: Further centres, relative to the centre, ascending.
    """
    keys = _anchored_keys(offsets, anchors)
    if len(keys) > _KEYS // 8:
        dense = np.bincount(keys + _KEYS // 2, minlength=_KEYS)
        filled = np.flatnonzero(dense)
        counted = dense[filled].astype(np.int64)
        return Histogram(filled - _KEYS // 2, counted, anchors)
    found, counts = np.unique(keys, return_counts=True)
    return Histogram(found.astype(np.int64), counts.astype(np.int64), anchors)


def anchors_for(offsets: Floats, histogram: Histogram, *, whole: bool) -> Anchors:
    """Where values lie so close together that one bin holds many of them.

    A bin there hides how they move, up to its width.

    Args:
        offsets: ``value - centre``, of shape (n_values,), finite.
        histogram: What :func:`count_bins` made of them, without anchors.
        whole: The values are whole numbers, so a bin that holds only one hides none.

    Returns:
        Relative to the centre, ascending, at most eight: of the fullest bins.
    """
    heavy = histogram.counts > max(_HEAVY_SHARE * len(offsets), _HEAVY_ROWS)
    sides = np.abs(_value_at(histogram.keys[heavy], 0xFFFF)), np.abs(
        _value_at(histogram.keys[heavy], 0)
    )
    width = np.abs(sides[0] - sides[1])
    wide = width > (1 if whole else np.finfo(np.float32).tiny)
    keys, counts = histogram.keys[heavy][wide], histogram.counts[heavy][wide]
    fullest = keys[np.argsort(-counts, kind="stable")[:_ANCHORS_AT_MOST]]
    if not len(fullest):
        return ()
    own = _keys_of(offsets)
    found = {float(np.median(offsets[own == key])) for key in fullest}
    if whole:
        found = {float(np.floor(each)) for each in found}
    return tuple(sorted(found - {0.0}))


def _points_of(anchors: Anchors) -> tuple[Floats, Floats]:
    """Centre and anchors, ascending, and the bounds half-way between them."""
    points = np.array(sorted((0.0, *anchors)))
    return points, (points[:-1] + points[1:]) / 2


def _anchored_keys(offsets: Floats, anchors: Anchors) -> npt.NDArray[np.int32]:
    if not anchors:
        return _keys_of(offsets)
    points, bounds = _points_of(anchors)
    segments = np.searchsorted(bounds, offsets, side="right").astype(np.int32)
    return _keys_of(offsets - points[segments]) + segments * np.int32(_KEYS)


def _positions(keys: Integers, whole: bool) -> Floats:
    middles = _value_at(keys, 0x8000)
    if not whole:
        return middles
    near = np.minimum(np.abs(_value_at(keys, 0)), np.abs(middles))
    near = np.where(keys < 0, np.abs(_value_at(keys, 0xFFFF)), near)
    only = np.ceil(near)
    single = 2 * np.abs(np.abs(middles) - near) <= 1
    return np.where(single, np.copysign(only, middles), middles)


def _keys_of(offsets: Floats) -> npt.NDArray[np.int32]:
    bounded = np.clip(offsets, -_LARGEST, _LARGEST).astype(np.float32)
    bits = (bounded + np.float32(0)).view(np.int32)
    keys: npt.NDArray[np.int32] = (bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> 16
    return keys


def _summed(
    keys: npt.NDArray[np.signedinteger[Any]], counts: Integers, anchors: Anchors
) -> Histogram:
    found, places = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, places, counts)
    kept = sums != 0
    return Histogram(found[kept].astype(np.int64), sums[kept], anchors)


def _value_at(keys: Integers, low_bits: int) -> Floats:
    ordered = ((keys << 16) | low_bits).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return bits.view(np.float32).astype(np.float64)
