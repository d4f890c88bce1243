"""Adapter: the values of the metrics, by scikit-learn; and curves for the reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.metrics import Metric
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["curves", "value_of"]

_SHARES: dict[str, Callable[..., Any]] = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "jaccard": sk.jaccard_score,
}

_OTHERS: dict[str, Callable[..., Any]] = {
    "accuracy": sk.accuracy_score,
    "matthews_corrcoef": sk.matthews_corrcoef,
    "cohen_kappa": sk.cohen_kappa_score,
    "mean_absolute_error": sk.mean_absolute_error,
    "mean_squared_error": sk.mean_squared_error,
    "root_mean_squared_error": sk.root_mean_squared_error,
    "mean_absolute_percentage_error": sk.mean_absolute_percentage_error,
    "median_absolute_error": sk.median_absolute_error,
    "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
}

_CURVE_POINTS = 200
_CALIBRATION_BINS = 10


def value_of(metric: Metric, outcomes: Outcomes) -> float:
    """The metric's value, equal to scikit-learn's.

    Raises:
        EvaluationError: If it is no finite number.
    """
    value = float(_compute(metric, outcomes))
    if not np.isfinite(value):
        raise EvaluationError(
            f"{metric.name} of {outcomes.rows} rows is {value}, which is no number to "
            "decide on; it can't be computed from these rows",
            metric=metric.name,
        )
    return value


def _compute(metric: Metric, outcomes: Outcomes) -> Any:
    if metric.function is not None:
        return metric.function(*_decoded(outcomes))
    if metric.needs == "probability":
        return _from_probabilities(metric.name, outcomes)
    if metric.name == "balanced_accuracy":
        return _balanced_accuracy(outcomes)
    name, _, average = metric.name.partition("_")
    if name in _SHARES:
        return _share(_SHARES[name], average, outcomes)
    return _OTHERS[metric.name](outcomes.truth, outcomes.predicted)


def _decoded(outcomes: Outcomes) -> tuple[NDArray[Any], NDArray[Any]]:
    if outcomes.task == "regression":
        return outcomes.truth, outcomes.predicted
    labels = np.asarray(outcomes.classes)
    return labels[outcomes.truth], labels[outcomes.predicted]


def _share(function: Callable[..., Any], average: str, outcomes: Outcomes) -> Any:
    if not average and outcomes.task == "binary":
        hits = outcomes.truth == outcomes.positive
        return function(hits, outcomes.predicted == outcomes.positive, zero_division=0)
    return function(
        outcomes.truth,
        outcomes.predicted,
        average=average or "macro",
        zero_division=0,
    )


def _balanced_accuracy(outcomes: Outcomes) -> Any:
    """Mean recall of the classes that occur, without the warning about others."""
    present = np.unique(outcomes.truth)
    return sk.recall_score(
        outcomes.truth,
        outcomes.predicted,
        labels=present,
        average="macro",
        zero_division=0,
    )


def _from_probabilities(name: str, outcomes: Outcomes) -> Any:
    probabilities = outcomes.probabilities
    assert probabilities is not None  # metrics_for refused the metric otherwise
    if name == "log_loss":
        codes = np.arange(outcomes.known)
        return sk.log_loss(outcomes.truth, probabilities, labels=codes)
    if outcomes.task == "multiclass":
        return _one_against_rest(outcomes.truth, probabilities)
    hits = outcomes.truth == outcomes.positive
    score = probabilities[:, outcomes.positive]
    if name == "brier_score_loss":
        return sk.brier_score_loss(hits, score)
    functions = {
        "roc_auc": sk.roc_auc_score,
        "average_precision": sk.average_precision_score,
    }
    return functions[name](hits, score)


def _one_against_rest(truth: NDArray[Any], probabilities: NDArray[np.float64]) -> Any:
    if probabilities.shape[1] == 2:
        return sk.roc_auc_score(truth == 1, probabilities[:, 1])
    return sk.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")


def curves(outcomes: Outcomes) -> dict[str, Any]:
    """What the plots of a report need, as short plain lists.

    Returns:
        ``roc`` and ``calibration`` of a binary model with probabilities, ``residuals``
        of a regression; absent where they mean nothing.
    """
    if outcomes.task == "regression":
        return {"residuals": _residuals(outcomes)}
    if outcomes.task != "binary" or outcomes.probabilities is None:
        return {}
    hits = outcomes.truth == outcomes.positive
    if outcomes.unseen or hits.all() or not hits.any():
        return {}
    score = outcomes.probabilities[:, outcomes.positive]
    return {
        "roc": _thin(*sk.roc_curve(hits, score)[:2]),
        "calibration": _calibration(hits, score),
    }


def _thin(x: NDArray[Any], y: NDArray[Any]) -> list[list[float]]:
    steps = np.linspace(0, len(x) - 1, min(len(x), _CURVE_POINTS)).round().astype(int)
    return [[round(float(x[i]), 5), round(float(y[i]), 5)] for i in steps]


def _calibration(hits: NDArray[Any], score: NDArray[Any]) -> list[list[float]]:
    """Mean score, share of hits and rows of each tenth of the scale that has rows."""
    bins = np.minimum((score * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    rows = ((b, bins == b) for b in range(_CALIBRATION_BINS))
    return [
        [float(score[m].mean()), float(hits[m].mean()), int(m.sum())]
        for _, m in rows
        if m.any()
    ]


def _residuals(outcomes: Outcomes) -> list[list[float]]:
    """Prediction and error of up to a few hundred rows, evenly chosen."""
    count = min(outcomes.rows, 2 * _CURVE_POINTS)
    rows = np.linspace(0, outcomes.rows - 1, count).round().astype(int)
    errors = outcomes.truth - outcomes.predicted
    return [[float(outcomes.predicted[i]), float(errors[i])] for i in rows]
