"""Numeric columns: two-sample Kolmogorov-Smirnov and Wasserstein, from histograms."""

from __future__ import annotations

import numpy as np
from scipy.special import kolmogorov

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.radix import Floats

__all__ = ["KolmogorovSmirnov", "RobustWasserstein", "WassersteinOverDeviation"]

_NUMBERS: tuple[ColumnKind, ...] = ("numeric", "datetime")


class KolmogorovSmirnov:
    """The largest difference of the two distribution functions, and its test.

    The p-value is the asymptotic one with Stephens' correction (Press et al.,
    Numerical Recipes, 14.3); with ties it is too large, never too small.
    """

    name = "ks"
    check = "values"
    kinds = _NUMBERS
    threshold: float | None = 0.05

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.bins.total or not current.bins.total:
            return None
        _, below_reference, below_current = _distributions(reference, current)
        distance = float(np.max(np.abs(below_reference - below_current)))
        sizes = reference.bins.total, current.bins.total
        root = np.sqrt(sizes[0] * sizes[1] / sum(sizes))
        p_value = float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
        return Measurement(distance, p_value)


class RobustWasserstein:
    """The mean distance values moved, over the reference's scale; outliers count little.

    Values further than five scales outside the reference's central 99 % are taken to
    lie at that bound, so that one wild value neither makes nor hides an effect. The
    scale is IQR / 1.349; a column that is mostly one value has none.
    """

    name = "wasserstein"
    check = "values"
    kinds = _NUMBERS
    threshold: float | None = 0.1

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.bins.total or not current.bins.total:
            return None
        scale = reference.scale
        if scale <= 0:
            return Measurement(None)
        lower, upper = reference.quantiles(0.005, 0.995)
        bounds = lower - 5 * scale, upper + 5 * scale
        return Measurement(_wasserstein(reference, current, bounds) / scale)


class WassersteinOverDeviation:
    """Wasserstein distance over the reference's standard deviation, as others report."""

    name = "wasserstein_over_sd"
    check = "values"
    kinds = _NUMBERS
    threshold: float | None = None

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.bins.total or not current.bins.total:
            return None
        deviation = reference.deviation
        if deviation <= 0:
            return Measurement(None)
        return Measurement(_wasserstein(reference, current, None) / deviation)


def _distributions(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[Floats, Floats, Floats]:
    """Positions of all filled bins and both shares at or below each."""
    parts = [
        column.bins.positions(whole=reference.whole and current.whole)
        for column in (reference, current)
    ]
    positions = np.unique(np.concatenate(parts))
    shares = []
    for column, places in zip((reference, current), parts, strict=True):
        ranks = np.concatenate([[0], np.cumsum(column.bins.counts)])
        below = ranks[np.searchsorted(places, positions, side="right")]
        shares.append(below / column.bins.total)
    return positions, shares[0], shares[1]


def _wasserstein(
    reference: ColumnProfile,
    current: ColumnProfile,
    bounds: tuple[float, float] | None,
) -> float:
    positions, first, second = _distributions(reference, current)
    if bounds is not None:
        positions = np.clip(positions, *bounds)
    gaps = np.abs(first - second)[:-1]
    return float(np.sum(gaps * np.diff(positions)))
