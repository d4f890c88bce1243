"""Adapter: the values of the metrics, by scikit-learn; and curves for the reports."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import permutations
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.calibration import confidence, expected_calibration_error
from brixa_flows.evaluation.confusion import Cells
from brixa_flows.evaluation.costs import cost_of
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metric_catalog import SHARES
from brixa_flows.evaluation.metrics import finite
from brixa_flows.evaluation.outcomes import CLASSES_WITH_CURVES, Outcomes
from brixa_flows.evaluation.terms import brier_explained_draws, log_loss_of_margins

__all__ = ["curves", "value_of"]

_SHARES: dict[str, Callable[..., Any]] = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "f2": partial(sk.fbeta_score, beta=2),
    "f0.5": partial(sk.fbeta_score, beta=0.5),
    "jaccard": sk.jaccard_score,
}
assert tuple(_SHARES) == SHARES

_OTHERS: dict[str, Callable[..., Any]] = {
    "accuracy": sk.accuracy_score,
    "zero_one_loss": sk.zero_one_loss,
    "hamming_loss": sk.hamming_loss,
    "matthews_corrcoef": sk.matthews_corrcoef,
    "cohen_kappa": sk.cohen_kappa_score,
    "mean_absolute_error": sk.mean_absolute_error,
    "mean_squared_error": sk.mean_squared_error,
    "root_mean_squared_error": sk.root_mean_squared_error,
    "mean_absolute_percentage_error": sk.mean_absolute_percentage_error,
    "median_absolute_error": sk.median_absolute_error,
    "mean_squared_log_error": sk.mean_squared_log_error,
    "root_mean_squared_log_error": sk.root_mean_squared_log_error,
    "mean_poisson_deviance": sk.mean_poisson_deviance,
    "mean_gamma_deviance": sk.mean_gamma_deviance,
    "max_error": sk.max_error,
    "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "d2_absolute_error_score": sk.d2_absolute_error_score,
}

_NUMBERED: dict[str, tuple[Callable[..., Any], str]] = {
    "mean_pinball_loss": (sk.mean_pinball_loss, "alpha"),
    "d2_pinball_score": (sk.d2_pinball_score, "alpha"),
    "mean_tweedie_deviance": (sk.mean_tweedie_deviance, "power"),
    "d2_tweedie_score": (sk.d2_tweedie_score, "power"),
}

_CURVE_POINTS = 200
_CALIBRATION_BINS = 10


def value_of(metric: Metric, outcomes: Outcomes) -> float:
    """The metric's value, equal to scikit-learn's.

    Raises:
        EvaluationError: If it is no finite number.
    """
    if metric.function is not None:
        return finite(metric, _of_ones_own(metric, outcomes), outcomes.rows)
    return finite(metric, float(_compute(metric, outcomes)), outcomes.rows)


def _of_ones_own(metric: Metric, outcomes: Outcomes) -> float:
    """What a custom metric gives.

    Raises:
        EvaluationError: If it raises, or gives something else than a number.
    """
    assert metric.function is not None
    try:
        given: Any = metric.function(*_decoded(metric, outcomes))
    except Exception as err:
        raise EvaluationError(
            f"the function of the metric {metric.name} raised {type(err).__name__} for "
            f"{outcomes.rows} rows: {err}",
            metric=metric.name,
        ) from err
    if isinstance(given, Real | np.bool_) or (
        isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "fiub"
    ):
        return float(given)
    shape = f" of shape {np.shape(given)}" if hasattr(given, "__len__") else ""
    raise EvaluationError(
        f"the function of the metric {metric.name} gave a {type(given).__qualname__}"
        f"{shape}; it has to give one number",
        metric=metric.name,
    )


def _compute(metric: Metric, outcomes: Outcomes) -> Any:
    if metric.needs == "run":
        return cost_of(metric.name, outcomes)
    if metric.needs == "probability":
        return _from_probabilities(metric, outcomes)
    name, _, average = metric.name.partition("_")
    if name in _SHARES:
        return _share(_SHARES[name], average, outcomes)
    if metric.name in _OF_CLASSES:
        return _OF_CLASSES[metric.name](outcomes)
    if metric.parameter is not None:
        root = next(root for root in _NUMBERED if metric.name.startswith(root))
        function, argument = _NUMBERED[root]
        asked = {argument: metric.parameter}
        return function(outcomes.truth, outcomes.predicted, **asked)
    return _OTHERS[metric.name](outcomes.truth, outcomes.predicted)


def _decoded(metric: Metric, outcomes: Outcomes) -> tuple[NDArray[Any], NDArray[Any]]:
    """What a custom metric is given."""
    answers = outcomes.predicted
    if metric.needs == "probability":
        assert outcomes.probabilities is not None  # metrics_for refused it otherwise
        answers = outcomes.probabilities
    if not outcomes.classifies:
        return outcomes.truth, answers
    labels = np.asarray(outcomes.classes)
    if metric.needs == "label":
        answers = labels[answers]
    return labels[outcomes.truth], answers


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


def _specificity(outcomes: Outcomes) -> Any:
    """Recall of the rest, of the positive class or in the mean over classes."""
    seen = np.union1d(np.unique(outcomes.truth), np.unique(outcomes.predicted))
    codes = [outcomes.positive] if outcomes.task == "binary" else seen
    pairs = ((outcomes.truth != code, outcomes.predicted != code) for code in codes)
    return np.mean([sk.recall_score(*pair, zero_division=0) for pair in pairs])


def _negative_predictive_value(outcomes: Outcomes) -> Any:
    misses = outcomes.truth != outcomes.positive
    called = outcomes.predicted != outcomes.positive
    return sk.precision_score(misses, called, zero_division=0)


def _of_cells(name: str, outcomes: Outcomes) -> float:
    """What scikit-learn has no function for, or one that gives several numbers."""
    return Cells.of(outcomes).value(name)


_OF_CLASSES: dict[str, Callable[[Outcomes], Any]] = {
    "balanced_accuracy": _balanced_accuracy,
    "specificity": _specificity,
    "negative_predictive_value": _negative_predictive_value,
    **{
        name: partial(_of_cells, name)
        for name in (
            "false_positive_rate",
            "false_negative_rate",
            "positive_likelihood_ratio",
            "negative_likelihood_ratio",
        )
    },
}


def _from_probabilities(metric: Metric, outcomes: Outcomes) -> Any:
    probabilities, ranking = outcomes.probabilities, outcomes.ranking
    assert ranking is not None  # metrics_for refused the metric otherwise
    name = metric.name
    if name in _LABEL_RANKINGS:
        return _LABEL_RANKINGS[name](outcomes.truth, ranking)
    if outcomes.task == "multilabel":
        return _RANKINGS[name](outcomes.truth, ranking, average="macro")
    if name == "hinge_loss":
        decisions = ranking[:, outcomes.positive]
        return sk.hinge_loss(outcomes.truth == outcomes.positive, decisions)
    if name == "d2_brier_score":  # which older releases of scikit-learn lack
        once = np.ones((1, outcomes.rows))
        return brier_explained_draws(outcomes, once)[0]
    if name == "expected_calibration_error":
        return expected_calibration_error(*confidence(outcomes))
    if metric.parameter is not None:
        return sk.top_k_accuracy_score(
            outcomes.truth,
            _top_scores(ranking),
            k=int(metric.parameter),
            labels=np.arange(outcomes.known),
        )
    if name in _LOSSES:
        assert probabilities is not None
        return _loss(name, outcomes, probabilities)
    if outcomes.task == "multiclass":
        return _of_many(name, outcomes, ranking)
    hits = outcomes.truth == outcomes.positive
    return _RANKINGS[name](hits, ranking[:, outcomes.positive])


def _loss(name: str, outcomes: Outcomes, probabilities: NDArray[np.float64]) -> Any:
    """In the type that the model gave: what is nearer to 0 than it can tell is 0."""
    if outcomes.margins is not None and name != "brier_score_loss":
        return log_loss_of_margins(name, outcomes)
    given = probabilities.astype(outcomes.scores_type)
    with warnings.catch_warnings():
        # Rounded shares sum to 1 as nearly as Reading asks; more scikit-learn only warns.
        warnings.filterwarnings("ignore", "The y_prob values do not sum to one")
        return _LOSSES[name](outcomes.truth, given, labels=np.arange(outcomes.known))


_LOSSES: dict[str, Callable[..., Any]] = {
    "log_loss": sk.log_loss,
    "brier_score_loss": sk.brier_score_loss,
    "d2_log_loss_score": sk.d2_log_loss_score,
}

_LABEL_RANKINGS: dict[str, Callable[..., Any]] = {
    "label_ranking_average_precision": sk.label_ranking_average_precision_score,
    "label_ranking_loss": sk.label_ranking_loss,
    "coverage_error": sk.coverage_error,
}

_RANKINGS: dict[str, Callable[..., Any]] = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
}


def _top_scores(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two columns are one score of the second class for scikit-learn."""
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


def _of_many(name: str, outcomes: Outcomes, ranking: NDArray[np.float64]) -> Any:
    truth = outcomes.truth
    if ranking.shape[1] == 2:
        hits = truth == 1
        kind = "average_precision" if name == "average_precision" else "roc_auc"
        return _RANKINGS[kind](hits, ranking[:, 1])
    if name == "average_precision":
        return sk.average_precision_score(truth, ranking, average="macro")
    kind = "ovo" if name.startswith("roc_auc_ovo") else "ovr"
    average = "weighted" if name.endswith("_weighted") else "macro"
    if outcomes.margins is not None:  # scikit-learn takes shares of 1 alone
        return _area_of_margins(kind, average, truth, ranking)
    probabilities = ranking
    if not np.allclose(probabilities.sum(axis=1), 1):  # which scikit-learn refuses
        probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return sk.roc_auc_score(truth, probabilities, multi_class=kind, average=average)


def _area_of_margins(
    kind: str, average: str, truth: NDArray[Any], margins: NDArray[np.float64]
) -> float:
    """What ``roc_auc_score`` does with probabilities, class by class or by pairs."""
    codes = range(margins.shape[1])
    if kind == "ovr":
        areas = [sk.roc_auc_score(truth == code, margins[:, code]) for code in codes]
        rows = [np.count_nonzero(truth == code) for code in codes]
        return float(np.average(areas, weights=rows if average == "weighted" else None))
    areas, rows = [], []
    for code, other in permutations(codes, 2):
        pair = (truth == code) | (truth == other)
        areas.append(sk.roc_auc_score(truth[pair] == code, margins[pair, code]))
        rows.append(np.count_nonzero(pair))
    return float(np.average(areas, weights=rows if average == "weighted" else None))


def curves(outcomes: Outcomes) -> dict[str, Any]:
    """What the plots of a report need, as short plain lists.

    Returns:
        ``roc`` and ``precision_recall`` of a binary model with scores, ``calibration``
        of one with probabilities; ``roc_by_class`` and ``precision_recall_by_class``, each class
        against the rest, of a few; ``residuals`` of a regression. Absent where they
        mean nothing.
    """
    if outcomes.task == "regression":
        return {"residuals": _residuals(outcomes)}
    if outcomes.task == "multiclass":
        return _curves_by_class(outcomes)
    ranking = outcomes.ranking
    if outcomes.task != "binary" or ranking is None:
        return {}
    hits = outcomes.truth == outcomes.positive
    if outcomes.unseen or hits.all() or not hits.any():
        return {}
    false_rate, recall, precision = _rates(hits, ranking[:, outcomes.positive])
    shown: dict[str, Any] = {
        "roc": _points(false_rate, recall),
        "precision_recall": _points(recall[1:], precision[1:]),
    }
    if outcomes.probabilities is None:
        return shown
    score = outcomes.probabilities[:, outcomes.positive]
    return {**shown, "calibration": _calibration(hits, score)}


def _curves_by_class(outcomes: Outcomes) -> dict[str, Any]:
    """Lists of points, in the order of the classes."""
    many = outcomes.known > CLASSES_WITH_CURVES
    if outcomes.ranking is None or many or outcomes.unseen:
        return {}
    if len(outcomes.present) < outcomes.known:
        return {}
    found: dict[str, Any] = {"roc_by_class": [], "precision_recall_by_class": []}
    for code in range(outcomes.known):
        score = outcomes.ranking[:, code]
        false_rate, recall, precision = _rates(outcomes.truth == code, score)
        found["roc_by_class"].append(_points(false_rate, recall))
        points = _points(recall[1:], precision[1:])
        found["precision_recall_by_class"].append(points)
    return found


def _rates(
    hits: NDArray[np.bool_], score: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """False positive rate, recall and precision at up to 200 scores, highest first.

    They lie on scikit-learn's curves, which have a point for each row.
    """
    shares = np.linspace(0, 1, _CURVE_POINTS)
    cuts = np.unique(np.quantile(score, shares, method="lower"))
    place = np.searchsorted(cuts, score, side="right") - 1
    up = np.bincount(place[hits], minlength=cuts.size)[::-1].cumsum()
    down = np.bincount(place[~hits], minlength=cuts.size)[::-1].cumsum()
    found, missed = np.append(0, up), np.append(0, down)
    called = np.maximum(found + missed, 1)
    return missed / missed[-1], found / found[-1], found / called


def _points(x: NDArray[Any], y: NDArray[Any]) -> list[list[float]]:
    return np.round(np.stack([x, y], axis=1), 5).tolist()  # type: ignore[no-any-return]


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
