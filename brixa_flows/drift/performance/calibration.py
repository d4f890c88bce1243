"""What a score means: the probability of its class, given the features if they are known.

Isotonic regression (Zadrozny and Elkan, 2002) is right over all rows together and wrong
in a window of special ones: a score of .3 of the census' employment model means less in
a dormitory. So with features a logistic regression on their bins and categories follows,
each with an intercept and a slope of its own for the calibrated log odds.
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

__all__ = ["Calibration", "fit_calibration"]

_SMALLEST = 1e-6
_DIGITS = 8


@dataclass(frozen=True)
class Calibration:
    """From a score (and codes of features) to a probability.

    Attributes:
        scores: Ascending, where the isotonic step function has its corners.
        chances: Probabilities there.
        linear: Intercept and slope on the log odds, if there are features.
        shifts: What a code adds to the intercept.
        slopes: What a code adds to the slope.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]
    linear: tuple[float, float] = (0.0, 1.0)
    shifts: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()

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
    plain = Calibration(_rounded(corners), _rounded(chances))
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
    )


def _odds(chances: Floats) -> Floats:
    odds: Floats = logit(np.clip(chances, _SMALLEST, 1 - _SMALLEST))
    return odds


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())
