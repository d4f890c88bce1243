"""The metrics that have a name here, as data.

Names are scikit-learn's (``auc`` is ``roc_auc``; ``f1_score``, ``rmse`` and the like
answer too). Averages: in a binary task ``precision``, ``recall``, ``f1``, ``f2``,
``f0.5`` and ``jaccard`` are of the positive class (the model's second class, unless
said otherwise); with more classes or several labels a row they are the plain mean over
classes (``macro``). ``_macro``, ``_micro`` and ``_weighted`` at the end of the name
say it openly, and ``_samples`` for several labels a row. A share of nothing (no row
predicted as the class) is 0 and gives a warning. ``roc_auc`` of several classes is the
plain mean of each class against the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.outcomes import Task

__all__ = ["DEFAULTS", "METRICS", "SHARES", "named_metric"]

SHARES = ("precision", "recall", "f1", "f2", "f0.5", "jaccard")

_ONE_LABEL: tuple[Task, ...] = ("binary", "multiclass")
_LABELS: tuple[Task, ...] = (*_ONE_LABEL, "multilabel")
_NUMBERS: tuple[Task, ...] = ("regression",)
_EVERY: tuple[Task, ...] = (*_LABELS, *_NUMBERS)


def _labels(name: str, *aliases: str, **facts: Any) -> Metric:
    """A metric that the confusion matrix holds all of."""
    facts = {"tasks": _ONE_LABEL, "method": "confusion", **facts}
    return Metric(name, aliases=aliases, **facts)


def _shares(name: str) -> list[Metric]:
    averages = ("macro", "micro", "weighted")
    return [
        _labels(name, f"{name}_score", tasks=_LABELS),
        *(_labels(f"{name}_{average}", tasks=_LABELS) for average in averages),
        _labels(f"{name}_samples", tasks=("multilabel",)),
    ]


def _scores(name: str, *aliases: str, **facts: Any) -> Metric:
    """A metric of probabilities."""
    facts = {"tasks": _ONE_LABEL, **facts}
    return Metric(name, needs="probability", aliases=aliases, **facts)


def _loss(name: str, *aliases: str, **facts: Any) -> Metric:
    """A mean error of numbers: less is better."""
    return Metric(
        name,
        _NUMBERS,
        higher_is_better=False,
        method=facts.pop("method", "mean"),
        aliases=(*aliases, f"neg_{name}"),
        **facts,
    )


def _tweedie_deviance(power: float, name: str = "") -> Metric:
    """Of a power of 0, or of 1 and more, as ``mean_tweedie_deviance_1.5``."""
    name = name or f"mean_tweedie_deviance_{power:g}"
    return _loss(name, parameter=power, values=_values_of_power(power))


def _values_of_power(power: float) -> str:
    if power < 1:
        return "any"
    return "counts" if power < 2 else "positive"


def _numbers_explained(name: str, parameter: float) -> Metric:
    """A share that is explained, so labels have to differ besides."""
    values = "any" if "pinball" in name else _values_of_power(parameter)
    if values == "any":
        values = "differing"
    facts: dict[str, Any] = {"parameter": parameter, "values": values}
    return Metric(name, _NUMBERS, **facts)


def _run(name: str, *aliases: str) -> Metric:
    return Metric(name, _EVERY, "run", False, method="batches", aliases=aliases)


def _by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_TWO_CLASSES: tuple[Task, ...] = ("binary",)
_LESS = {"higher_is_better": False}
_LABEL_RANKINGS: tuple[tuple[str, tuple[str, ...], dict[str, bool]], ...] = (
    ("label_ranking_average_precision", ("label_ranking_average_precision_score",), {}),
    ("label_ranking_loss", (), _LESS),
    ("coverage_error", (), _LESS),
)

METRICS: dict[str, Metric] = _by_name(
    [
        _labels("accuracy", "accuracy_score", tasks=_LABELS),
        _labels("balanced_accuracy", "balanced_accuracy_score"),
        _labels("negative_predictive_value", "npv", tasks=_TWO_CLASSES),
        _labels("false_positive_rate", "fpr", "fall_out", tasks=_TWO_CLASSES, **_LESS),
        _labels("false_negative_rate", "fnr", "miss_rate", tasks=_TWO_CLASSES, **_LESS),
        _labels("positive_likelihood_ratio", tasks=_TWO_CLASSES),
        _labels(
            "negative_likelihood_ratio",
            "neg_negative_likelihood_ratio",
            tasks=_TWO_CLASSES,
            **_LESS,
        ),
        *(metric for name in SHARES for metric in _shares(name)),
        _labels("specificity", "specificity_score", "true_negative_rate", "tnr"),
        _labels("matthews_corrcoef", "mcc"),
        _labels("cohen_kappa", "cohen_kappa_score", "kappa"),
        _labels("zero_one_loss", "error_rate", tasks=_LABELS, **_LESS),
        _labels("hamming_loss", tasks=_LABELS, **_LESS),
        _scores(
            "roc_auc",
            *("auc", "roc_auc_score", "roc_auc_ovr"),
            tasks=_LABELS,
            method="auc",
        ),
        _scores("roc_auc_ovr_weighted", tasks=("multiclass",)),
        _scores("roc_auc_ovo", tasks=("multiclass",)),
        _scores("roc_auc_ovo_weighted", tasks=("multiclass",)),
        _scores(
            "average_precision",
            "average_precision_score",
            tasks=_LABELS,
            method="ranking",
        ),
        _scores("log_loss", "neg_log_loss", method="mean", **_LESS),
        _scores("brier_score_loss", "brier", "neg_brier_score", method="mean", **_LESS),
        _scores("d2_log_loss_score", "d2_log_loss"),
        _scores("d2_brier_score"),
        _scores("hinge_loss", tasks=_TWO_CLASSES, method="mean", **_LESS),
        *(
            _scores(name, *aliases, tasks=("multilabel",), **direction)
            for name, aliases, direction in _LABEL_RANKINGS
        ),
        _scores("expected_calibration_error", "ece", **_LESS),
        _loss("mean_absolute_error", "mae"),
        _loss("mean_squared_error", "mse"),
        _loss("root_mean_squared_error", "rmse"),
        _loss("mean_absolute_percentage_error", "mape"),
        _loss("median_absolute_error", "medae", method="bootstrap"),
        _loss("mean_squared_log_error", "msle", values="non_negative"),
        _loss("root_mean_squared_log_error", "rmsle", values="non_negative"),
        _loss("mean_pinball_loss", parameter=0.5),
        _loss("mean_poisson_deviance", values="counts"),
        _loss("mean_gamma_deviance", values="positive"),
        _tweedie_deviance(0.0, "mean_tweedie_deviance"),
        _loss("max_error", method="bootstrap"),
        Metric(
            "r2", _NUMBERS, method="mean", aliases=("r2_score",), values="differing"
        ),
        Metric(
            "explained_variance",
            _NUMBERS,
            method="mean",
            aliases=("explained_variance_score",),
            values="differing",
        ),
        Metric(
            "d2_absolute_error_score",
            _NUMBERS,
            aliases=("d2_absolute_error",),
            values="differing",
        ),
        _numbers_explained("d2_pinball_score", 0.5),
        _numbers_explained("d2_tweedie_score", 0.0),
        _run("latency_per_row_ms", "latency"),
        _run("model_size_mb", "model_size"),
    ]
)

_NAMES = {
    name: metric.name
    for metric in METRICS.values()
    for name in (metric.name, *metric.aliases)
} | {
    # of the positive class, or of the classes' mean, as their other names are
    "ppv": "precision",
    "sensitivity": "recall",
    "tpr": "recall",
    "true_positive_rate": "recall",
}

DEFAULTS: dict[Task, tuple[str, ...]] = {
    "binary": (
        "accuracy",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "log_loss",
        "brier_score_loss",
    ),
    "multiclass": ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"),
    "multilabel": (
        "accuracy",
        "hamming_loss",
        "precision",
        "recall",
        "f1",
        "f1_micro",
        "roc_auc",
        "average_precision",
    ),
    "regression": ("mean_absolute_error", "root_mean_squared_error", "r2"),
}

_QUANTILE = re.compile(r"(?:mean_)?pinball_loss_(0?\.\d{1,6})")
_QUANTILE_EXPLAINED = re.compile(r"d2_pinball_score_(0?\.\d{1,6})")
_POWER = re.compile(r"(mean_tweedie_deviance|d2_tweedie_score)_([0-9](?:\.\d{1,6})?)")
_TOP = re.compile(r"top_(\d{1,3})_accuracy")
_TOP_OF_SCIKIT_LEARN = ("top_k_accuracy", "top_k_accuracy_score")  # k is 2 there


def named_metric(name: str) -> Metric | None:
    """The metric of a name, in capitals too, also of one with a number in it.

    ``mean_pinball_loss_0.9`` and ``d2_pinball_score_0.9`` are of the quantile 0.9,
    ``mean_tweedie_deviance_1.5`` and ``d2_tweedie_score_1.5`` of the power 1.5 (0, or 1
    and more), ``top_3_accuracy`` is the share of rows whose label is among the three
    most probable classes.
    """
    name = name.lower()
    known = METRICS.get(_NAMES.get(name, name))
    if known is not None:
        return known
    return _quantile(name) or _power(name) or _top(name)


def _quantile(name: str) -> Metric | None:
    lost, explained = _QUANTILE.fullmatch(name), _QUANTILE_EXPLAINED.fullmatch(name)
    found = lost or explained
    if not found or float(found[1]) == 0:
        return None
    alpha = float(found[1])
    if lost:
        return _loss(f"mean_pinball_loss_{alpha:g}", parameter=alpha)
    return _numbers_explained(f"d2_pinball_score_{alpha:g}", alpha)


def _power(name: str) -> Metric | None:
    found = _POWER.fullmatch(name)
    if not found or 0 < float(found[2]) < 1:  # no distribution has such a power
        return None
    power = float(found[2])
    if found[1] == "mean_tweedie_deviance":
        return _tweedie_deviance(power)
    return _numbers_explained(f"d2_tweedie_score_{power:g}", power)


def _top(name: str) -> Metric | None:
    found = _TOP.fullmatch("top_2_accuracy" if name in _TOP_OF_SCIKIT_LEARN else name)
    if not found or int(found[1]) == 0:
        return None
    best = int(found[1])
    return _scores(f"top_{best}_accuracy", parameter=best, method="mean")
