"""Metrics of order: areas under the ROC curve and average precision.

DeLong, DeLong and Clarke-Pearson (1988), by the midranks of Sun and Xu (2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtr, stdtrit

from brixa_flows.evaluation.intervals import (
    LEVEL,
    ROWS_THAT_TELL,
    Interval,
    mean_draws,
    unvarying_difference,
)
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = [
    "Part",
    "area_difference",
    "area_draws",
    "area_parts",
    "auc_interval",
    "average_precision_draws",
    "belongs",
    "counted_areas",
    "log_odds",
]

Floats = NDArray[np.float64]

_NO_VARIANCE = 1e-24


def placements(score: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative."""
    up, down = score[positive], score[~positive]
    both = np.concatenate([up, down])
    ranks = _midranks(both)
    hits = (ranks[: up.size] - _midranks(up)) / down.size
    misses = 1.0 - (ranks[up.size :] - _midranks(down)) / up.size
    return hits, misses


def _midranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks


class Part(NamedTuple):
    """What one class adds to the variance of an area.

    Attributes:
        variance: Added variance.
        rows: Of the class.
    """

    variance: float
    rows: int


def auc_interval(area: float, parts: Sequence[Part]) -> Interval:
    """Interval of an area under the ROC curve on the logit scale.

    Student's t with the degrees of freedom that Brunner and Munzel (2000) give the
    statistic, after Satterthwaite: the rarer class decides. At 0 and 1 the variance is
    0 and says nothing; there the bound is the exact (Clopper-Pearson) one of as many
    independent pairs, all ordered alike, as the rarer class has rows. One row of a
    class has no variance, so the interval is everything.

    Args:
        area: The estimate.
        parts: DeLong's variance by the rows of the class and by the others, or by the
            rows of every class.
    """
    if area in (0.0, 1.0):
        pairs = min(part.rows for part in parts)
        bound = ((1 - LEVEL) / 2) ** (1 / max(pairs, 1))
        return Interval(bound, 1.0) if area == 1.0 else Interval(0.0, 1 - bound)
    if min(part.rows for part in parts) < 2:
        return Interval(0.0, 1.0)
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return Interval(area, area)
    lost = sum(part.variance**2 / max(part.rows - 1, 1) for part in parts)
    quantile = float(stdtrit(variance**2 / lost, 0.5 + LEVEL / 2))
    half = quantile * math.sqrt(variance) / (area * (1 - area))
    logit = math.log(area / (1 - area))
    low, high = (float(expit(logit + side)) for side in (-half, half))
    return Interval(low, high)


def area_parts(outcomes: Outcomes) -> tuple[float, tuple[Part, Part]]:
    """Area of two-class outcomes, and DeLong's variance of it by class."""
    code = outcomes.positive if outcomes.task == "binary" else 1
    hits, misses = placements(_scores(outcomes, code), outcomes.truth == code)
    return float(hits.mean()), (_part(hits), _part(misses))


def _part(values: Floats) -> Part:
    if values.size < 2:
        return Part(0.0, values.size)
    return Part(float(values.var(ddof=1)) / values.size, values.size)


def area_difference(
    pair: Sequence[Outcomes],
) -> tuple[float, Interval, float]:
    """Difference of two areas of the same two-class rows, its interval and p-value.

    DeLong's variance with Student's t, whose degrees of freedom are Satterthwaite's as
    in :func:`auc_interval`: of many rows the normal distribution. One row of a class
    tells nothing of its spread, so the interval is everything.
    """
    first = pair[0]
    code = first.positive if first.task == "binary" else 1
    both = [placements(_scores(m, code), first.truth == code) for m in pair]
    changes = [after - before for before, after in zip(*both, strict=True)]
    difference = float(changes[0].mean())
    fewest = min(change.size for change in changes)
    if not any(change.any() for change in changes):
        return 0.0, *unvarying_difference(0.0, fewest)
    if fewest < 2:
        return difference, Interval(-1.0, 1.0), 1.0
    parts = [_part(change) for change in changes]
    variance = sum(part.variance for part in parts)
    if variance < _NO_VARIANCE:
        return difference, *unvarying_difference(difference, fewest)
    lost = sum(part.variance**2 / (part.rows - 1) for part in parts)
    freedom, error = variance**2 / lost, math.sqrt(variance)
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    low, high = difference - half, difference + half
    if fewest < ROWS_THAT_TELL:  # their spread is little more than a guess
        alike, least = unvarying_difference(difference, fewest)
        low, high = min(low, alike.low), max(high, alike.high)
        p_value = max(p_value, least)
    return difference, Interval(low, high), p_value


def _scores(outcomes: Outcomes, code: int) -> Floats:
    ranking = outcomes.ranking
    assert ranking is not None  # metrics_for refused it otherwise
    return ranking[:, code]


def log_odds(logits: Floats) -> Floats:
    """How much more a class has than all others together, in the order of its softmax.

    Where the softmax of large logits is 1 or 0 for many rows, these still differ.

    Args:
        logits: Of shape (n_samples, n_classes).

    Returns:
        Array of the same shape.
    """
    if logits.shape[1] == 2:
        ahead = logits[:, 1] - logits[:, 0]
        return np.stack([-ahead, ahead], axis=1)
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    ahead = logits - logits[rows, best][:, None]
    shares = np.exp(ahead)
    # What all others have is at least the 1 of the best, so little is lost; of the best
    # itself nearly all would be, so its others are summed up alone.
    odds: Floats = ahead - np.log(np.maximum(shares.sum(axis=1)[:, None] - shares, 1))
    ahead[rows, best] = -np.inf
    second = ahead.max(axis=1)
    others = np.exp(ahead - second[:, None]).sum(axis=1)
    odds[rows, best] = -second - np.log(others)
    return odds


def area_draws(models: Sequence[Outcomes], generator: np.random.Generator) -> Floats:
    """Draws of the mean area of each class against the rest.

    Each row's influence on the mean is summed over the classes first, so what the
    classes share is counted.

    Returns:
        Array of shape (n_draws, n_models).
    """
    parts = [_mean_influence(outcomes) for outcomes in models]
    areas = np.array([area for area, _ in parts])
    rows = np.stack([influence for _, influence in parts], axis=1)
    means = mean_draws(rows, generator)
    draws: Floats = np.clip(areas + means - rows.mean(axis=0), 0.0, 1.0)
    return draws


def _mean_influence(outcomes: Outcomes) -> tuple[float, Floats]:
    parts = [
        _influence(_scores(outcomes, code), belongs(outcomes, code))
        for code in range(outcomes.known)
    ]
    areas = [area for area, _ in parts]
    influence: Floats = np.mean([rows for _, rows in parts], axis=0)
    return math.fsum(areas) / len(areas), influence


def belongs(outcomes: Outcomes, code: int) -> NDArray[np.bool_]:
    """Which rows are of a class, or have a label."""
    several = outcomes.task == "multilabel"
    found: NDArray[np.bool_] = (
        outcomes.truth[:, code] == 1 if several else outcomes.truth == code
    )
    return found


def _influence(score: Floats, positive: NDArray[np.bool_]) -> tuple[float, Floats]:
    hits, misses = placements(score, positive)
    area, share = float(hits.mean()), float(positive.mean())
    influence = np.empty(score.size)
    influence[positive] = (hits - area) / share
    influence[~positive] = (misses - area) / (1 - share)
    return area, influence


def average_precision_draws(outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """Average precision for each way of counting the rows.

    Args:
        outcomes: With probabilities; of more than two classes, or several labels, it
            is the mean over them.
        counts: How often each row counts, of shape (n_draws, n_samples).

    Returns:
        Array of shape (n_draws,).
    """
    binary = outcomes.task == "binary"
    codes = [outcomes.positive] if binary else range(outcomes.known)
    parts = [
        _precision_draws(_scores(outcomes, code), belongs(outcomes, code), counts)
        for code in codes
    ]
    mean: Floats = np.mean(parts, axis=0)
    return mean


def _precision_draws(
    score: Floats, positive: NDArray[np.bool_], counts: NDArray[Any]
) -> Floats:
    order, last = _ranked(score)
    hit = positive[order]
    return np.array([_average_precision(row[order], hit, last) for row in counts])


def _ranked(score: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Order of the rows, best first, and the last place of each group of equals."""
    order = np.argsort(-score, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)


def counted_areas(name: str, outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """``roc_auc_ovo`` or a ``_weighted`` area for each way of counting the rows.

    Returns:
        Array of shape (n_draws,).
    """
    every = range(outcomes.known)
    if name == "roc_auc_ovr_weighted":
        areas = [
            _areas(_scores(outcomes, c), belongs(outcomes, c), counts) for c in every
        ]
        shares = [counts @ belongs(outcomes, code) for code in every]
        weighted: Floats = np.average(areas, axis=0, weights=np.asarray(shares))
        return weighted
    parts, shares = [], []
    for code, other in permutations(every, 2):
        rows = belongs(outcomes, code) | belongs(outcomes, other)
        score, hit = _scores(outcomes, code)[rows], belongs(outcomes, code)[rows]
        parts.append(_areas(score, hit, counts[:, rows]))
        shares.append(counts @ rows)
    weights = np.asarray(shares) if name == "roc_auc_ovo_weighted" else None
    mean: Floats = np.average(parts, axis=0, weights=weights)
    return mean


def _areas(score: Floats, positive: NDArray[np.bool_], counts: NDArray[Any]) -> Floats:
    order, last = _ranked(score)
    hit = positive[order]
    return np.array([_area(row[order], hit, last) for row in counts])


def _area(counts: NDArray[Any], hit: NDArray[np.bool_], last: NDArray[Any]) -> float:
    """By trapezoids; a half where one side has no rows."""
    found = np.append(0, np.cumsum(counts * hit)[last])
    missed = np.append(0, np.cumsum(counts * ~hit)[last])
    if found[-1] == 0 or missed[-1] == 0:
        return 0.5
    return float(np.trapezoid(found, missed) / found[-1] / missed[-1])


def _average_precision(
    counts: NDArray[Any], hit: NDArray[np.bool_], last: NDArray[Any]
) -> float:
    """Precision at each threshold, weighted by the recall it adds.

    Args:
        counts: How often each row counts, best score first.
        hit: Which rows are positive.
        last: Last row of each group of equal scores.
    """
    found = np.cumsum(counts * hit)[last]
    called = np.cumsum(counts)[last]
    if found[-1] == 0:
        return 0.0
    precision = found / np.maximum(called, 1)
    return float(np.sum(np.diff(found, prepend=0) * precision) / found[-1])
