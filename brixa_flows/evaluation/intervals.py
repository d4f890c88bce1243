"""95 % intervals and p-values: numpy and two special functions.

A draw is one plausible value of a metric had other rows of the same population been
judged; an interval is made of the percentiles of many. Nothing here knows metrics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, stdtrit

__all__ = [
    "LEVEL",
    "ROWS_THAT_TELL",
    "Z",
    "Interval",
    "adjusted_p_values",
    "correct_share_difference",
    "holm_p_values",
    "largest_draws",
    "mcnemar_p_value",
    "mean_draws",
    "mean_interval",
    "normal_draws",
    "percentile_interval",
    "share_interval",
    "two_sided_p_value",
    "unvarying_difference",
]

Floats = NDArray[np.float64]

LEVEL = 0.95
ROWS_THAT_TELL = 6
"""Of fewer no exact test can say at 5 % that two models differ."""
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_RESAMPLED_UP_TO_ROWS = 1_000
_DRAWS = 2_000


class Interval(NamedTuple):
    """Bounds of a 95 % interval."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.4f} to {self.high:.4f}"


def percentile_interval(draws: Floats, point: float) -> Interval:
    """The central 95 % of ``draws`` of shape (n_draws,), widened to hold ``point``.

    The Jeffreys interval ends at the estimate where that is the end of the scale (all
    right, all wrong); widening does the same for every metric.
    """
    finite = draws[np.isfinite(draws)]
    if finite.size == 0:
        return Interval(point, point)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(min(float(low), point), max(float(high), point))


def two_sided_p_value(differences: Floats) -> float:
    """Share of draws of a difference on the other side of zero, doubled.

    Half a draw is added to each side so that no p-value is 0 (Davison and Hinkley,
    1997, section 4.2).
    """
    finite = differences[np.isfinite(differences)]
    below = (np.count_nonzero(finite <= 0) + 0.5) / (finite.size + 1)
    above = (np.count_nonzero(finite >= 0) + 0.5) / (finite.size + 1)
    return float(min(1.0, 2 * min(below, above)))


def mean_interval(terms: Floats) -> Interval:
    """Interval of the mean of terms of shape (n_samples,), which may be skewed.

    Hall's (1992) cubic transformation of Student's statistic takes the skewness out,
    so that losses of rare, badly missed rows are not cut off above. Terms that are all
    0 or 1 get the Jeffreys interval of a share. Terms of 0 or more have no mean below.
    """
    if np.isin(terms, (0.0, 1.0)).all():
        return share_interval(int(terms.sum()), terms.size)
    mean, deviation = float(terms.mean()), float(terms.std())
    if terms.size < 2 or deviation == 0:
        return Interval(mean, mean)
    scores = (terms - mean) / deviation
    skewness = float(np.mean(scores * scores * scores))  # a power of 3 is slow
    quantile = float(stdtrit(terms.size - 1, 0.5 + LEVEL / 2))
    error = deviation / math.sqrt(terms.size - 1)
    low, high = (
        mean - error * _unskewed(side, skewness, terms.size)
        for side in (quantile, -quantile)
    )
    return Interval(max(low, 0.0) if terms.min() >= 0 else low, high)


def _unskewed(quantile: float, skewness: float, count: int) -> float:
    """Where Hall's transformation of a mean's Student statistic is the quantile."""
    root = math.sqrt(count)
    slope = skewness / (3 * root)
    moved = quantile - skewness / (6 * root)
    if abs(slope) < 1e-9:
        return moved
    return (math.cbrt(1 + 3 * slope * moved) - 1) / slope


def share_interval(hits: int, rows: int) -> Interval:
    """Jeffreys interval of a share; it ends at 0 of no hits and at 1 of nothing else."""
    tail = (1 - LEVEL) / 2
    low = betaincinv(hits + 0.5, rows - hits + 0.5, tail) if hits else 0.0
    high = betaincinv(hits + 0.5, rows - hits + 0.5, 1 - tail) if hits < rows else 1.0
    return Interval(float(low), float(high))


def mean_draws(rows: Floats, generator: np.random.Generator) -> Floats:
    """Draws of the column means of ``rows`` of shape (n_samples, n_moments).

    Up to 1,000 rows they are resampled; above, the means are drawn from the normal
    distribution that the central limit theorem gives them, whose cost does not grow.
    Deviations are stretched to Student's t with n - 1 degrees of freedom, which undoes
    the narrowness of the percentile interval on few rows.

    Returns:
        Array of shape (2000, n_moments).
    """
    count, width = rows.shape
    means = rows.mean(axis=0)
    if count < 2:
        return np.repeat(means[None, :], _DRAWS, axis=0)
    if count <= _RESAMPLED_UP_TO_ROWS:
        picks = generator.integers(count, size=(_DRAWS, count))
        draws = np.stack([rows[:, i][picks].mean(axis=1) for i in range(width)], axis=1)
        quantile = float(stdtrit(count - 1, 0.5 + LEVEL / 2))
        stretch = quantile / Z * math.sqrt(count / (count - 1))
        stretched: Floats = means + (draws - means) * stretch
        return stretched
    covariance = np.atleast_2d(np.cov(rows, rowvar=False)) / count
    return normal_draws(means, covariance, generator)


def largest_draws(largest: Floats, generator: np.random.Generator) -> Floats:
    """Draws of the largest of many numbers, by the Poisson bootstrap of the rows.

    A draw leaves out each row with probability 1/e, so some dozen of the largest hold
    all that matters.

    Args:
        largest: Those of each model, of shape (n_rows, n_models).
        generator: Draws.

    Returns:
        Array of shape (2000, n_models).
    """
    kept = generator.poisson(1.0, size=(_DRAWS, len(largest))) > 0
    drawn: Floats = np.where(kept[:, :, None], largest, 0.0).max(axis=1)
    return drawn


def normal_draws(
    means: Floats, covariance: Floats, generator: np.random.Generator
) -> Floats:
    """Draws of means of many rows, by the central limit theorem.

    Args:
        means: Of shape (n_moments,).
        covariance: Of the means, of shape (n_moments, n_moments).
        generator: Draws.

    Returns:
        Array of shape (2000, n_moments).
    """
    spread, axes = np.linalg.eigh(covariance)
    factors = axes * np.sqrt(np.clip(spread, 0.0, None))
    normal = generator.standard_normal((_DRAWS, means.size))
    drawn: Floats = means + normal @ factors.T
    return drawn


def mcnemar_p_value(only_first_right: int, only_second_right: int) -> float:
    """Exact McNemar test: is one right more often where the two differ?"""
    differing = only_first_right + only_second_right
    if differing == 0:
        return 1.0
    smaller = min(only_first_right, only_second_right)
    return float(min(1.0, 2 * bdtr(smaller, differing, 0.5)))


def correct_share_difference(
    only_first_right: int, only_second_right: int, rows: int
) -> Interval:
    """Interval of the second's accuracy minus the first's on the same rows.

    Wald's interval after half a row more in each of the four cells (Agresti and Min,
    2005), which holds its level where few rows differ. Where it leaves 0 out and the
    exact test of the same rows does not, as of three rows of three, the bound is that of
    the test: Clopper and Pearson's of the share of differing rows that one is right on.
    """
    first, second, total = only_first_right + 0.5, only_second_right + 0.5, rows + 2
    centre = (second - first) / total
    variance = (first + second - (second - first) ** 2 / total) / total**2
    half = Z * math.sqrt(variance)
    point = (only_second_right - only_first_right) / rows
    low, high = min(centre - half, point), max(centre + half, point)
    if low > 0 or high < 0:
        exact = _exact_difference(only_first_right, only_second_right, rows)
        if exact.low <= 0 <= exact.high:
            return Interval(min(low, exact.low), max(high, exact.high))
    return Interval(low, high)


def _exact_difference(lost: int, won: int, rows: int) -> Interval:
    tail, differing = (1 - LEVEL) / 2, lost + won
    low = betaincinv(won, lost + 1, tail) if won else 0.0
    high = betaincinv(won + 1, lost, 1 - tail) if lost else 1.0
    bounds = ((2 * float(share) - 1) * differing / rows for share in (low, high))
    return Interval(*bounds)


def unvarying_difference(difference: float, rows: int) -> tuple[Interval, float]:
    """Interval and p-value of a difference that every row shows alike.

    No spread says nothing of rows that were not seen. That so many rows are alike is as
    likely as an exact bound allows if a share ``(0.05 / 2) ** (1 / rows)`` of all are
    (Clopper and Pearson, 1934); the others may be as far on the other side. The p-value
    is that of the sign test.

    Args:
        difference: What each row shows.
        rows: How many; of an area under a ROC curve those of the rarer class.
    """
    share = ((1 - LEVEL) / 2) ** (1 / max(rows, 1))
    if difference == 0:
        # Of many rows it is taken for the same answers; few can't tell that.
        bound = 0.0 if rows >= ROWS_THAT_TELL else 1 - share
        return Interval(-bound, bound), 1.0
    other = difference * (2 * share - 1)
    bounds = min(difference, other), max(difference, other)
    return Interval(*bounds), min(1.0, 2 * 0.5**rows)


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's (1995) adjusted p-values, in the order given."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)[::-1]
    ranks = np.arange(values.size, 0, -1)
    falling = np.minimum.accumulate(values[order] * values.size / ranks)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(falling, 1.0)
    return [float(value) for value in adjusted]


def holm_p_values(
    p_values: Sequence[float], hypotheses: int | None = None
) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given.

    Args:
        p_values: Of the hypotheses that are told.
        hypotheses: How many there are in all, if some are not told: their p-values may
            be anything, so the i-th smallest of those told is at least the i-th of all.
    """
    values = np.asarray(p_values, dtype=np.float64)
    total = values.size if hypotheses is None else hypotheses
    order = np.argsort(values)
    steps = values[order] * (total - np.arange(values.size))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
