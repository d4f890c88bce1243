"""Metrics by name: what each needs, which way is better, how its interval is made.

Names are scikit-learn's (``auc`` is ``roc_auc``; ``f1_score``, ``rmse`` and the like
answer too). Averages: in a binary task ``precision``, ``recall``, ``f1`` and
``jaccard`` are of the positive class (the model's second class, unless said
otherwise); in a multiclass task they are the plain mean over classes (``macro``).
``_macro``, ``_micro`` and ``_weighted`` at the end of the name say it openly. A share
of nothing (no row predicted as the class) is 0 and gives a warning. ``roc_auc`` of
several classes is the plain mean of each class against the rest.

The values are computed by scikit-learn in an adapter; this file is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.tracking.limits import is_name

__all__ = [
    "METRICS",
    "CustomMetric",
    "Metric",
    "MetricValues",
    "canonical_metric",
    "default_metrics",
    "metrics_for",
    "no_such_metric",
    "obstacle",
]

CustomMetric: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], float]

_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_NUMBERS: tuple[Task, ...] = ("regression",)


@dataclass(frozen=True)
class Metric:
    """A metric as data.

    Attributes:
        name: Its name.
        tasks: Where it means something.
        needs: ``label`` (or number), or ``probability`` of each class.
        higher_is_better: Direction.
        method: How its interval is made: ``confusion`` matrix, ``mean`` of a term per
            row, ``auc`` (DeLong), ``ranking`` or ``bootstrap``.
        aliases: Other names it answers to.
        function: ``f(y_true, y_pred) -> float`` on labels; only of a custom metric.
    """

    name: str
    tasks: tuple[Task, ...]
    needs: Literal["label", "probability"] = "label"
    higher_is_better: bool = True
    method: Literal["confusion", "mean", "auc", "ranking", "bootstrap"] = "bootstrap"
    aliases: tuple[str, ...] = ()
    function: CustomMetric | None = None

    @property
    def sign(self) -> int:
        """1 if more is better, else -1."""
        return 1 if self.higher_is_better else -1


def _shares(name: str) -> list[Metric]:
    plain = Metric(name, _CLASSES, method="confusion", aliases=(f"{name}_score",))
    averaged = (
        Metric(f"{name}_{average}", _CLASSES, method="confusion")
        for average in ("macro", "micro", "weighted")
    )
    return [plain, *averaged]


def _error(name: str, *aliases: str) -> Metric:
    return Metric(
        name,
        _NUMBERS,
        higher_is_better=False,
        method="mean",
        aliases=(*aliases, f"neg_{name}"),
    )


def _by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _by_name(
    [
        Metric("accuracy", _CLASSES, method="confusion", aliases=("accuracy_score",)),
        Metric(
            "balanced_accuracy",
            _CLASSES,
            method="confusion",
            aliases=("balanced_accuracy_score",),
        ),
        *_shares("precision"),
        *_shares("recall"),
        *_shares("f1"),
        *_shares("jaccard"),
        Metric("matthews_corrcoef", _CLASSES, method="confusion", aliases=("mcc",)),
        Metric(
            "cohen_kappa", _CLASSES, method="confusion", aliases=("cohen_kappa_score",)
        ),
        Metric(
            "roc_auc",
            _CLASSES,
            "probability",
            method="auc",
            aliases=("auc", "roc_auc_score", "roc_auc_ovr"),
        ),
        Metric(
            "average_precision",
            ("binary",),
            "probability",
            method="ranking",
            aliases=("average_precision_score",),
        ),
        Metric(
            "log_loss",
            _CLASSES,
            "probability",
            higher_is_better=False,
            method="mean",
            aliases=("neg_log_loss",),
        ),
        Metric(
            "brier_score_loss",
            ("binary",),
            "probability",
            higher_is_better=False,
            method="mean",
            aliases=("brier", "neg_brier_score"),
        ),
        _error("mean_absolute_error", "mae"),
        _error("mean_squared_error", "mse"),
        _error("root_mean_squared_error", "rmse"),
        _error("mean_absolute_percentage_error", "mape"),
        Metric(
            "median_absolute_error",
            _NUMBERS,
            higher_is_better=False,
            aliases=("medae", "neg_median_absolute_error"),
        ),
        Metric("r2", _NUMBERS, method="mean", aliases=("r2_score",)),
        Metric(
            "explained_variance",
            _NUMBERS,
            method="mean",
            aliases=("explained_variance_score",),
        ),
    ]
)

_CANONICAL = {
    name: metric.name
    for metric in METRICS.values()
    for name in (metric.name, *metric.aliases)
}

_DEFAULTS: dict[Task, tuple[str, ...]] = {
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
    "regression": ("mean_absolute_error", "root_mean_squared_error", "r2"),
}


class MetricValues(dict[str, Any]):
    """Facts by metric name, which also answers to a metric's other names."""

    def __missing__(self, name: str) -> Any:
        canonical = canonical_metric(name)
        if canonical == name or canonical not in self:
            raise KeyError(name)
        return self[canonical]


def canonical_metric(name: str) -> str:
    """The one name of a metric; a name that is not ours is returned as it is."""
    return _CANONICAL.get(name, name)


def default_metrics(outcomes: Outcomes) -> list[Metric]:
    """The usual metrics of the task that can be computed here."""
    metrics = (METRICS[name] for name in _DEFAULTS[outcomes.task])
    return [metric for metric in metrics if obstacle(metric, outcomes) is None]


def metrics_for(
    wanted: Sequence[str | Metric | CustomMetric] | None, outcomes: Outcomes
) -> list[Metric]:
    """The metrics asked for, each of which can be computed.

    Args:
        wanted: Names, metrics, or functions ``f(y_true, y_pred) -> float`` (more is
            better; say otherwise by a ``Metric``); ``None`` for the usual ones.
        outcomes: What they will be computed from.

    Raises:
        EvaluationError: If one is unknown (lists those of the task), or needs what
            these data or this model do not give.
    """
    if wanted is None:
        return default_metrics(outcomes)
    if isinstance(wanted, str) or not wanted:
        raise EvaluationError(
            "metrics= takes a list of names such as ['accuracy', 'f1'], or None for "
            "the usual ones of the task"
        )
    found = _by_name(_find(metric, outcomes.task) for metric in wanted)
    for metric in found.values():
        if not is_name(metric.name):
            raise EvaluationError(
                f"a metric called {metric.name[:80]!r} can't be kept; give a function "
                "with a name, or Metric(name, tasks, function=...)",
                metric=metric.name,
            )
        because = obstacle(metric, outcomes)
        if because is not None:
            raise EvaluationError(f"{metric.name} {because}", metric=metric.name)
    return list(found.values())


def _find(wanted: str | Metric | CustomMetric, task: Task) -> Metric:
    if isinstance(wanted, Metric):
        return wanted
    if callable(wanted):
        name = getattr(wanted, "__name__", type(wanted).__name__)
        return Metric(name, (task,), function=wanted)
    known = METRICS.get(canonical_metric(wanted))
    if known is None:
        raise EvaluationError(no_such_metric(wanted, task), metric=wanted)
    return known


def no_such_metric(name: str, task: Task) -> str:
    """That no metric is called so, with those that are."""
    of_task = [known for known, metric in METRICS.items() if task in metric.tasks]
    return (
        f"there is no metric called {name[:80]!r}; those of a {task} task: "
        f"{', '.join(of_task)}"
    )


def obstacle(metric: Metric, outcomes: Outcomes) -> str | None:
    """Why the metric can't be computed, as the end of a sentence."""
    if outcomes.task not in metric.tasks:
        usual = ", ".join(_DEFAULTS[outcomes.task])
        return (
            f"is a metric of {' and '.join(metric.tasks)} tasks, but this is a "
            f"{outcomes.task} task; use for example {usual}"
        )
    if metric.name in ("r2", "explained_variance") and np.ptp(outcomes.truth) == 0:
        return f"needs labels that differ, but all {outcomes.rows} are the same"
    if metric.needs == "label":
        return None
    if outcomes.probabilities is None:
        return (
            "needs class probabilities, but the model gives labels only; use a metric "
            "of labels such as f1, or a model with probabilities"
        )
    if outcomes.unseen:
        return (
            "can't be computed: the model gives no probability to the labels "
            f"{some_of(map(repr, outcomes.unseen))} of the dataset; drop these rows"
        )
    if metric.method in ("auc", "ranking"):
        return _absent_classes(outcomes)
    return None


def _absent_classes(outcomes: Outcomes) -> str | None:
    present = set(outcomes.truth.tolist())
    absent = [c for code, c in enumerate(outcomes.classes) if code not in present]
    if not absent:
        return None
    only = [outcomes.classes[code] for code in sorted(present)]
    return (
        f"needs rows of every class, but of {outcomes.rows} rows none is "
        f"{some_of(map(repr, absent))} (there are only {some_of(map(repr, only))})"
    )
