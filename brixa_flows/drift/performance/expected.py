"""Metrics from probabilities in place of labels: the expected confusion matrix.

If a row is of the class with probability ``c``, it adds ``c`` to the true (or false)
positives. Every metric here is a smooth function of those sums, so to first order the
labels that do come move it by ``sum(g * (y - c))`` with its gradient ``g``, whose variance
is ``sum(g ** 2 * c * (1 - c))``. For labels that are known ``c`` is 0 or 1, and the
variance is that of other rows of the same population: the sum of squared influences
(for the AUC that of DeLong, DeLong and Clarke-Pearson, 1988).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brixa_flows.drift.radix import Floats

__all__ = ["Estimate", "binary_metrics", "multiclass_metrics"]

Flags = npt.NDArray[np.bool_]


class Estimate(NamedTuple):
    """A metric, and how far the labels of these rows (other rows) may move it."""

    value: float
    variance: float
    sampling: float


def binary_metrics(
    chances: Floats, called: Flags, scores: Floats | None
) -> dict[str, Estimate]:
    """Accuracy, precision, recall, specificity, F1 and ROC AUC.

    Args:
        chances: Probability of the class, or 0 and 1, of shape (n_rows,).
        called: Whether the model says the class, of shape (n_rows,).
        scores: What it ranks by, of shape (n_rows,).

    Returns:
        Those that exist: without calls there is no precision.
    """
    c, h, n = chances, called.astype(np.float64), len(chances)
    positive, negative, calls = c.sum(), n - c.sum(), h.sum()
    hits = float((c * h).sum())
    right = c * h + (1 - c) * (1 - h)
    accuracy = right.mean()
    found = {
        "accuracy": _estimate(accuracy, (2 * h - 1) / n, (right - accuracy) / n, c)
    }
    if calls:
        value = hits / calls
        found["precision"] = _estimate(value, h / calls, h * (c - value) / calls, c)
    if positive > 0:
        value = hits / positive
        gradient = (h - value) / positive
        found["recall"] = _estimate(value, gradient, c * gradient, c)
    if negative > 0:
        value = (n - calls - positive + hits) / negative
        gradient = (1 - h - value) / negative
        found["specificity"] = _estimate(value, -gradient, (1 - c) * gradient, c)
    if positive + calls > 0:
        value = 2 * hits / (positive + calls)
        gradient = (2 * h - value) / (positive + calls)
        influence = (2 * c * h - value * (c + h)) / (positive + calls)
        found["f1"] = _estimate(value, gradient, influence, c)
    if scores is not None and positive > 0 and negative > 0:
        found["roc_auc"] = _roc_auc(c, scores)
    return found


def multiclass_metrics(
    chances: Floats, called: npt.NDArray[np.int64], scores: Floats | None
) -> dict[str, Estimate]:
    """Accuracy, and macro averages over the classes.

    Args:
        chances: Of shape (n_rows, n_classes).
        called: Number of the class, -1 for one that is unknown, of shape (n_rows,).
        scores: Of shape (n_rows, n_classes).
    """
    rows = len(called)
    known = called >= 0
    right = np.where(known, chances[np.arange(rows), np.maximum(called, 0)], 0.0)
    accuracy = float(right.mean())
    errors = right * (1 - right)
    found = {
        "accuracy": Estimate(
            accuracy,
            float(errors.sum()) / rows**2,
            float(((right - accuracy) ** 2).sum()) / rows**2,
        )
    }
    classes = [
        binary_metrics(
            chances[:, number],
            called == number,
            None if scores is None else scores[:, number],
        )
        for number in range(chances.shape[1])
    ]
    for name, macro in (
        ("precision", "precision_macro"),
        ("recall", "recall_macro"),
        ("f1", "f1_macro"),
        ("roc_auc", "roc_auc_ovr"),
    ):
        each = [metrics[name] for metrics in classes if name in metrics]
        if each:
            # Classes share rows; the standard deviation of a mean is at most their mean.
            found[macro] = Estimate(
                float(np.mean([one.value for one in each])),
                float(np.mean([np.sqrt(one.variance) for one in each])) ** 2,
                float(np.mean([np.sqrt(one.sampling) for one in each])) ** 2,
            )
    return found


def _estimate(value: float, gradient: Floats, influence: Floats, c: Floats) -> Estimate:
    return Estimate(
        float(value),
        float(np.sum(gradient**2 * c * (1 - c))),
        float(np.sum(influence**2)),
    )


def _roc_auc(c: Floats, scores: Floats) -> Estimate:
    """Expected share of pairs in order; ties count half."""
    _, places = np.unique(scores, return_inverse=True)
    ones = np.bincount(places, weights=c)
    zeros = np.bincount(places, weights=1 - c)
    positive, negative = ones.sum(), zeros.sum()
    below = (np.cumsum(zeros) - zeros / 2)[places]
    above = (positive - np.cumsum(ones) + ones / 2)[places]
    value = float(np.sum(c * below)) / (positive * negative)
    gradient = (below - above) / (positive * negative)
    gradient -= value * (1 / positive - 1 / negative)
    influence = c * (below / negative - value) / positive
    influence += (1 - c) * (above / positive - value) / negative
    return _estimate(value, gradient, influence, c)
