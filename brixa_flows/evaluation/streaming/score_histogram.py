"""Scores of one class in fixed bins: order without the rows.

A bin is a step of the significand of the probability, or of what it lacks to 1, so bins
are equally fine in proportion near 0 and near 1, where rare and sure rows lie. Scores
without bounds are brought between 0 and 1 by their scale, in the same order. How far a
metric of order can be from that of the rows follows from the bins themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from brixa_flows.evaluation.ranking import Part

__all__ = ["Bounded", "ScoreHistogram"]

Floats = NDArray[np.float64]

_OCTAVES = 32
_SIGNIFICAND_BITS = 52
_DRAWS = 500


@dataclass(frozen=True)
class Bounded:
    """A number and how far that of the rows can be from it.

    Attributes:
        value: The number.
        bound: The largest possible difference.
    """

    value: float
    bound: float


class ScoreHistogram:
    """Rows of a class and of the others by their score of the class.

    Args:
        bits: A bin is 1 / 2**bits of the probability, or of what it lacks to 1.
        scale: Of scores without bounds, how far they usually are from 0; ``None`` for
            probabilities.

    Attributes:
        up: Rows of the class by bin, of shape (n_bins,).
        down: The others.
    """

    def __init__(self, bits: int = 10, scale: float | None = None) -> None:
        self._scale = scale
        self._shift = _SIGNIFICAND_BITS - bits
        half = np.array([0.5]).view(np.int64)[0] >> self._shift
        self._first = int(half) - _OCTAVES * 2**bits
        self._top = int(half) - self._first
        bins = 2 * self._top + 1
        self.up = np.zeros(bins, dtype=np.int64)
        self.down = np.zeros(bins, dtype=np.int64)
        self._low = np.full(bins, np.inf)
        self._high = np.full(bins, -np.inf)

    def add(self, score: Floats, hit: NDArray[np.bool_]) -> None:
        """Add rows.

        Args:
            score: Of the class, of shape (n_samples,).
            hit: Which rows are of the class.
        """
        place = self._place(score)
        self.up += np.bincount(place[hit], minlength=self.up.size)
        self.down += np.bincount(place[~hit], minlength=self.up.size)
        np.minimum.at(self._low, place, score)
        np.maximum.at(self._high, place, score)

    def _place(self, score: Floats) -> NDArray[np.int64]:
        """Bins in the order of the scores: the bits of a float are in its order."""
        if self._scale is not None:
            far = 0.5 / (1 + np.abs(score) / self._scale)
            score = np.where(score < 0, far, 1 - far)
        near = np.ascontiguousarray(np.minimum(score, 1 - score))
        key = (near.view(np.int64) >> self._shift) - self._first
        np.clip(key, 0, self._top, out=key)
        place: NDArray[np.int64] = np.where(score < 0.5, key, 2 * self._top - key)
        return place

    @property
    def both(self) -> bool:
        """Whether there are rows of the class and others."""
        return bool(self.up.any() and self.down.any())

    @property
    def _mixed(self) -> NDArray[np.bool_]:
        """Bins of different scores, whose order is lost."""
        return self._high > self._low

    def area(self) -> Bounded:
        """Area under the ROC curve.

        Rows of one bin count as equal: a half for each pair. Bins of one score are
        exact, so a tree of few leaves has the bound 0.
        """
        pairs = float(self.up.sum()) * float(self.down.sum())
        up, down = self.up.astype(np.float64), self.down.astype(np.float64)
        below = np.cumsum(down) - down
        lost = (up * down)[self._mixed].sum() / 2
        return Bounded(float((up * (below + down / 2)).sum() / pairs), lost / pairs)

    def area_parts(self) -> tuple[Part, Part]:
        """DeLong's variance of the area by class, rows of one bin as equals."""
        hits, misses = self.placements()
        return _part(hits, self.up), _part(misses, self.down)

    def placements(self) -> tuple[Floats, Floats]:
        """Share of others below, and of the class above, for each bin."""
        up, down = self.up, self.down
        hits = (np.cumsum(down) - down / 2) / down.sum()
        misses = 1 - (np.cumsum(up) - up / 2) / up.sum()
        return hits, misses

    def influence(self, score: Floats, hit: NDArray[np.bool_]) -> Floats:
        """How much each of some rows moves the area, of shape (n_samples,)."""
        place, area = self._place(score), self.area().value
        share = self.up.sum() / (self.up.sum() + self.down.sum())
        hits, misses = self.placements()
        above: Floats = (hits[place] - area) / share
        below: Floats = (misses[place] - area) / (1 - share)
        return np.where(hit, above, below)

    def average_precision(self) -> Bounded:
        """Average precision, and the worst and best order inside of the bins."""
        up, down = (x[::-1].astype(np.float64) for x in (self.up, self.down))
        mixed = self._mixed[::-1] & (up > 0)
        found, missed = np.cumsum(up), np.cumsum(down)
        called = np.maximum(found + missed, 1)
        value = (up * found / called).sum() / found[-1]
        p, after, wrong = up[mixed], found[mixed], missed[mixed]
        best = p * after / (after + wrong - down[mixed])
        # The sum of j / (j + wrong) over the p places up to the last, in closed form.
        lost = digamma(after + wrong + 1) - digamma(after - p + wrong + 1)
        worst = p - wrong * lost
        own = p * after / (after + wrong)
        gaps = (best - own).sum(), (own - worst).sum()
        return Bounded(float(value), float(max(0.0, *gaps) / found[-1]))

    def precision_draws(self, generator: np.random.Generator) -> Floats:
        """Draws of average precision by the Poisson bootstrap of the bins' rows.

        Of shape (n_draws,).
        """
        some = np.flatnonzero(self.up + self.down)[::-1]
        draws = []
        for _ in range(_DRAWS):
            up = generator.poisson(self.up[some])
            down = generator.poisson(self.down[some])
            found = np.cumsum(up)
            called = np.maximum(found + np.cumsum(down), 1)
            draws.append((up * found / called).sum() / max(found[-1], 1))
        return np.array(draws)

    def thresholds(self, points: int) -> tuple[Floats, Floats]:
        """Rows of the class and others from up to so many scores on, highest first."""
        total = np.cumsum(self.up + self.down)
        shares = np.linspace(0, total[-1] - 1, points)
        cuts = np.unique(np.searchsorted(total, shares, side="right"))
        up, down = (np.cumsum(x[::-1])[::-1][cuts][::-1] for x in (self.up, self.down))
        return up.astype(np.float64), down.astype(np.float64)


def _part(values: Floats, counts: NDArray[np.int64]) -> Part:
    rows = int(counts.sum())
    if rows < 2:
        return Part(0.0, rows)
    mean = (values * counts).sum() / rows
    variance = (counts * (values - mean) ** 2).sum() / (rows - 1) / rows
    return Part(float(variance), rows)
