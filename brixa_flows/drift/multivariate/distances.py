"""Energy distance and maximum mean discrepancy, tested by permutations.

Both are a quadratic form of the same weights ``w`` (``1 / n`` for each row of one sample,
``-1 / m`` for the other): ``-w D w`` with all distances (Szekely and Rizzo, 2013), and
``w K w`` with a kernel of them (Gretton and others, 2012). So a permutation costs one
product, and all of them one more.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.radix import Floats

__all__ = ["EnergyDistance", "MaximumMeanDiscrepancy", "energy_squared", "mmd_squared"]

_PERMUTATIONS = 499
_MOST_ROWS = 1_000


class EnergyDistance:
    """The energy distance over the mean distance between the samples, within 0 to 1.

    What chance makes of it (the mean over the permutations) is subtracted.
    """

    name = "energy"
    threshold = 0.01

    def measure(
        self, reference: Floats, current: Floats, rng: np.random.Generator
    ) -> Measurement:
        rows, sizes = _sampled(reference, current, rng)
        distances = cdist(rows, rows)
        observed, others = _permuted(-distances, sizes, rng)
        between = 2 * float(distances[: sizes[0], sizes[0] :].mean())
        excess = max(observed - float(others.mean()), 0.0)
        effect = excess / between if between else 0.0
        return Measurement(effect, _p_value(observed, others))


class MaximumMeanDiscrepancy:
    """Distance of the means under a Gaussian kernel as wide as the median distance.

    The root of what is left after the mean over the permutations is subtracted.
    """

    name = "mmd"
    threshold = 0.05

    def measure(
        self, reference: Floats, current: Floats, rng: np.random.Generator
    ) -> Measurement:
        rows, sizes = _sampled(reference, current, rng)
        observed, others = _permuted(_kernel(rows), sizes, rng)
        excess = max(observed - float(others.mean()), 0.0)
        return Measurement(float(np.sqrt(excess)), _p_value(observed, others))


def energy_squared(reference: Floats, current: Floats) -> float:
    """``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` of the samples, of shape (n_rows, n)."""
    rows = np.vstack([reference, current])
    weights = _weights(len(reference), len(current))
    return float(-weights @ cdist(rows, rows) @ weights)


def mmd_squared(reference: Floats, current: Floats) -> float:
    """Squared distance of the kernel means of the samples, of shape (n_rows, n)."""
    weights = _weights(len(reference), len(current))
    return float(weights @ _kernel(np.vstack([reference, current])) @ weights)


def _kernel(rows: Floats) -> Floats:
    squared: Floats = cdist(rows, rows, "sqeuclidean")
    width = float(np.median(squared[squared > 0])) if squared.any() else 1.0
    return np.exp(-squared / width)


def _weights(n: int, m: int) -> Floats:
    return np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)])


def _sampled(
    reference: Floats, current: Floats, rng: np.random.Generator
) -> tuple[Floats, tuple[int, int]]:
    """All pairs are looked at, so only so many rows."""
    parts = [
        rows if len(rows) <= _MOST_ROWS else rng.permutation(rows)[:_MOST_ROWS]
        for rows in (reference, current)
    ]
    return np.vstack(parts), (len(parts[0]), len(parts[1]))


def _permuted(
    form: Floats, sizes: tuple[int, int], rng: np.random.Generator
) -> tuple[float, Floats]:
    weights = _weights(*sizes)
    shuffled = rng.permuted(np.tile(weights, (_PERMUTATIONS, 1)), axis=1)
    others: Floats = np.einsum("ij,ij->i", shuffled @ form, shuffled)
    return float(weights @ form @ weights), others


def _p_value(observed: float, others: Floats) -> float:
    """Of a permutation test; the observed order counts as one."""
    return float((1 + np.sum(others >= observed - 1e-12)) / (1 + len(others)))
