"""What a score means: the probability of its class, given the features if they are known.

Isotonic regression (Zadrozny and Elkan, 2002) is right over all rows together and wrong
in a window of special ones: a score of .3 of the census' employment model means less in
a dormitory. So with features a logistic regression on their bins and categories follows,
each with an intercept and a slope of its own for the calibrated log odds.

Without features nobody sees which rows came. How far their scores lie from those that
were learned from tells at least how many are others, and of others a score may mean more
or less. Of 95 groups of the census (each category of each feature) the log odds are off
by .4 of that distance in the mean square, and their slope by .3; hence the constants.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from brixa_flows.drift.performance.encoding import sums
from brixa_flows.drift.radix import Floats, Integers

__all__ = ["Calibration", "fit_calibration", "leaned"]

_SMALLEST = 1e-6
_DIGITS = 8
_LEVELS = np.linspace(0, 1, 101)
# Of the distance of Kolmogorov and Smirnov by which two samples of one source differ.
_CHANCE = 1.36
_LEAN_OF_ODDS, _LEAN_OF_SLOPE = 0.5, 0.35


@dataclass(frozen=True)
class Calibration:
    """From a score (and codes of features) to a probability.

    Attributes:
        scores: Ascending, where the isotonic step function has its corners.
        chances: Probabilities there.
        linear: Intercept and slope on the log odds, if there are features.
        shifts: What a code adds to the intercept.
        slopes: What a code adds to the slope.
        learned: Quantiles of the scores that were learned from; none in estimators of
            earlier releases.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]
    linear: tuple[float, float] = (0.0, 1.0)
    shifts: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()
    learned: tuple[float, ...] = ()

    def __call__(self, scores: Floats, codes: Integers | None = None) -> Floats:
        """Probabilities, of shape (n_rows,).

        Args:
            scores: Finite, of shape (n_rows,).
            codes: Of the features, of shape (n_rows, n_features).
        """
        chances: Floats = np.interp(scores, self.scores, self.chances)
        if codes is None or not self.shifts:
            return chances
        odds = _odds(chances)
        slope = self.linear[1] + sums(np.array(self.slopes), codes)
        shift = self.linear[0] + sums(np.array(self.shifts), codes)
        raised: Floats = expit(shift + slope * odds)
        return raised

    def distance(self, scores: Floats) -> float:
        """How far scores lie from those learned from, beyond what chance does: 0 to 1.

        Args:
            scores: Finite, of shape (n_rows,).
        """
        if not self.learned or not len(scores):
            return 0.0
        known, ordered = np.array(self.learned), np.sort(scores)
        gaps = [
            np.abs(
                np.searchsorted(known, known, side) / len(known)
                - np.searchsorted(ordered, known, side) / len(ordered)
            ).max()
            for side in ("left", "right")
        ]
        return float(max(max(gaps) - _CHANCE / np.sqrt(len(scores)), 0.0))


def leaned(chances: Floats, distance: float, towards: Floats) -> list[list[Floats]]:
    """What chances may be of rows that lie so far from those learned from.

    Args:
        chances: By the scores, of shape (n_rows, n_scores).
        distance: Of the scores, 0 to 1.
        towards: 1 where the log odds are raised, of the same shape.

    Returns:
        For each way to be wrong, a deviation down and one up.
    """
    odds, odd, steep = _odds(chances), _LEAN_OF_ODDS, _LEAN_OF_SLOPE
    return [
        [expit(odds + sign * distance * odd * towards) for sign in (-1, 1)],
        [expit(odds * (1 + sign * distance * steep)) for sign in (-1, 1)],
    ]


def fit_calibration(
    scores: Floats, hits: npt.NDArray[np.bool_], codes: Integers | None, size: int
) -> Calibration:
    """Learn from rows whose labels are known.

    Args:
        scores: Finite, of shape (n_rows,).
        hits: Whether the row is of the class, of shape (n_rows,).
        codes: Of the features, if there are any, of shape (n_rows, n_features).
        size: How many codes there are.
    """
    fitting: Any = importlib.import_module("brixa_flows.drift.performance._fitting")
    corners, chances = fitting.isotonic(scores, hits)
    learned = _rounded(np.quantile(scores, _LEVELS))
    plain = Calibration(_rounded(corners), _rounded(chances), learned=learned)
    if codes is None or hits.all() or not hits.any():
        return plain
    odds = _odds(plain(scores))
    intercept, weights = fitting.logistic(odds, codes, size, hits)
    return Calibration(
        plain.scores,
        plain.chances,
        (round(intercept, _DIGITS), round(float(weights[0]), _DIGITS)),
        _rounded(weights[1 : 1 + size]),
        _rounded(weights[1 + size :]),
        learned,
    )


def _odds(chances: Floats) -> Floats:
    odds: Floats = logit(np.clip(chances, _SMALLEST, 1 - _SMALLEST))
    return odds


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())
