"""Do probabilities hold what they say?

The expected calibration error of Naeini, Cooper and Hauskrecht (2015) with 15 bins of
equal width, as ``torchmetrics`` has it: of the positive class's probability for two
classes, of the predicted class's for more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["calibration_draws", "confidence", "expected_calibration_error", "gaps"]

Floats = NDArray[np.float64]

_BINS = 15


def confidence(outcomes: Outcomes) -> tuple[Floats, NDArray[np.bool_]]:
    """How sure the model is of each row, and whether it holds; both (n_samples,)."""
    probabilities = outcomes.probabilities
    assert probabilities is not None  # metrics_for refused the metric otherwise
    if outcomes.task == "binary":
        code = outcomes.positive
        return probabilities[:, code], outcomes.truth == code
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == outcomes.truth


def expected_calibration_error(sure: Floats, holds: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and truth over the bins, weighted by their rows."""
    return float(np.abs(gaps(sure, holds)).sum() / sure.size)


def gaps(sure: Floats, holds: NDArray[np.bool_]) -> Floats:
    """Sum of confidence less truth in each bin, of shape (15,)."""
    each = np.bincount(_bins(sure), weights=sure - holds, minlength=_BINS)
    return each.astype(np.float64)


def calibration_draws(outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """The error for each way of counting the rows.

    Args:
        outcomes: Of one label a row, with probabilities.
        counts: How often each row counts, of shape (n_draws, n_samples).

    Returns:
        Array of shape (n_draws,).
    """
    sure, holds = confidence(outcomes)
    each = np.zeros((sure.size, _BINS))
    each[np.arange(sure.size), _bins(sure)] = sure - holds
    sums = np.abs(counts.astype(np.float64) @ each).sum(axis=1)
    errors: Floats = sums / counts.sum(axis=1)
    return errors


def _bins(sure: Floats) -> NDArray[np.int64]:
    return np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
