"""Adapter to scikit-learn: the three models that an estimator learns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge

from brixa_flows.drift.radix import Floats, Integers

__all__ = ["isotonic", "logistic", "ridge"]

_INVERSE_PENALTY = 0.3
_STEPS = 300
# Log odds are several times as large as the 0 and 1 of a code.
_ODDS_SCALE = 3.0


def isotonic(scores: Floats, hits: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Corners of the step function and its values there."""
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fitted.fit(scores, hits.astype(np.float64))
    return fitted.X_thresholds_, fitted.y_thresholds_


def logistic(
    odds: Floats, codes: Integers, size: int, hits: npt.NDArray[np.bool_]
) -> tuple[float, Floats]:
    """Intercept, and the weights of the odds, of the codes and of both together."""
    ones = _one_hot(codes, size)
    scaled = odds[:, None] / _ODDS_SCALE
    design = sparse.hstack([sparse.csr_array(scaled), ones, ones.multiply(scaled)])
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_STEPS)
    model.fit(design.tocsr(), hits)
    weights = model.coef_[0].copy()
    weights[0] /= _ODDS_SCALE
    weights[1 + size :] /= _ODDS_SCALE
    return float(model.intercept_[0]), weights


def ridge(codes: Integers, size: int, losses: Floats) -> tuple[float, Floats]:
    """Intercept and the weights of the codes."""
    model = Ridge(alpha=1.0).fit(_one_hot(codes, size), losses)
    return float(model.intercept_), model.coef_


def _one_hot(codes: Integers, size: int) -> sparse.csr_array:
    rows, features = codes.shape
    places = np.arange(rows + 1) * features
    ones = np.ones(rows * features)
    return sparse.csr_array((ones, codes.ravel(), places), shape=(rows, size))
