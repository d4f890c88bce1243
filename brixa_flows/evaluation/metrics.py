"""Metrics by name, and whether each can be computed from what is there.

The values are computed by scikit-learn in an adapter; see ``metric_catalog`` for what
the names mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.metric import CustomMetric, Metric
from brixa_flows.evaluation.metric_catalog import (
    DEFAULTS,
    METRICS,
    named_metric,
)
from brixa_flows.evaluation.outcomes import Judged, Task
from brixa_flows.tracking.limits import is_name

__all__ = [
    "METRICS",
    "CustomMetric",
    "Metric",
    "MetricValues",
    "canonical_metric",
    "default_metrics",
    "direction_sign",
    "finite",
    "metrics_for",
    "named_metrics",
    "no_such_metric",
    "obstacle",
]


class MetricValues(dict[str, Any]):
    """Facts by metric name, which also answers to a metric's other names."""

    def __missing__(self, name: str) -> Any:
        canonical = canonical_metric(name)
        if canonical == name or canonical not in self:
            raise KeyError(name)
        return self[canonical]


def canonical_metric(name: str) -> str:
    """The one name of a metric; a name that is not ours is returned as it is."""
    known = named_metric(name)
    return known.name if known else name


def default_metrics(outcomes: Judged) -> list[Metric]:
    """The usual metrics of the task that can be computed here."""
    metrics = named_metrics(None, outcomes.task)
    return [metric for metric in metrics if obstacle(metric, outcomes) is None]


def metrics_for(
    wanted: Sequence[str | Metric | CustomMetric] | None, outcomes: Judged
) -> list[Metric]:
    """The metrics asked for, each of which can be computed.

    Args:
        wanted: Names, metrics, or functions ``f(y_true, y_pred) -> float`` (more is
            better; say otherwise by a ``Metric``); ``None`` for the usual ones. A
            function of scikit-learn that is here by name is the one by that name.
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
    found = named_metrics(wanted, outcomes.task)
    for metric in found:
        if not is_name(metric.name):
            raise EvaluationError(
                f"a metric called {metric.name[:80]!r} can't be kept; give a function "
                "with a name, or Metric(name, tasks, function=...)",
                metric=metric.name,
            )
        because = obstacle(metric, outcomes)
        if because is not None:
            raise EvaluationError(f"{metric.name} {because}", metric=metric.name)
    return found


def named_metrics(
    wanted: Sequence[str | Metric | CustomMetric] | None, task: Task
) -> list[Metric]:
    """The metrics asked for, or the usual ones, whether or not they can be computed.

    Raises:
        EvaluationError: If one is unknown; lists those of the task.
    """
    if wanted is None:
        return [METRICS[name] for name in DEFAULTS[task]]
    listed = [_find(metric, task) for metric in wanted]
    return list({metric.name: metric for metric in listed}.values())


def _find(wanted: str | Metric | CustomMetric, task: Task) -> Metric:
    if isinstance(wanted, Metric):
        return _of_its_own_name(wanted)
    if callable(wanted):
        name = getattr(wanted, "__name__", type(wanted).__name__)
        known = named_metric(name)
        if known is not None and str(wanted.__module__).startswith("sklearn."):
            return known  # which knows its direction, and when it needs probabilities
        return _of_its_own_name(Metric(name, (task,), function=wanted))
    known = named_metric(wanted) if isinstance(wanted, str) else None
    if known is None:
        name = str(wanted)
        raise EvaluationError(no_such_metric(name, task), metric=name)
    return known


def _of_its_own_name(metric: Metric) -> Metric:
    known = named_metric(metric.name)
    if known is None or metric == known:
        return metric
    raise EvaluationError(
        f"{metric.name!r} is the name of a metric that is here already, so one of yours "
        "would be taken for it; call yours otherwise: Metric('my_"
        f"{metric.name}', tasks, function=...)",
        metric=metric.name,
    )


def no_such_metric(name: str, task: Task) -> str:
    """That no metric is called so, with those that are."""
    of_task = [known for known, metric in METRICS.items() if task in metric.tasks]
    return (
        f"there is no metric called {name[:80]!r}; those of a {task} task: "
        f"{', '.join(of_task)}"
    )


def obstacle(metric: Metric, outcomes: Judged) -> str | None:
    """Why the metric can't be computed, as the end of a sentence."""
    if outcomes.task not in metric.tasks:
        usual = ", ".join(DEFAULTS[outcomes.task])
        classes = outcomes.task == "regression" and "binary" in metric.tasks
        remedy = ", or say task='binary' if the labels are classes" * classes
        return (
            f"is a metric of {' and '.join(metric.tasks)} tasks, but this is a "
            f"{outcomes.task} task; use for example {usual}{remedy}"
        )
    return _OBSTACLES[metric.needs](metric, outcomes)


def _of_labels(metric: Metric, outcomes: Judged) -> str | None:
    if metric.values == "any":
        return None
    explains = metric.values == "differing" or metric.name.startswith("d2_")
    if explains and not outcomes.labels_differ:
        return f"needs labels that differ, but all {outcomes.rows} are the same"
    if metric.values == "differing":
        return None
    both = zip(("labels", "predictions"), outcomes.signs, strict=True)
    for (what, signs), zero in zip(both, _ZERO_ALLOWED[metric.values], strict=True):
        bad = signs.negative if zero else signs.zero_or_less
        if bad:
            words = "0 or more" if zero else "more than 0"
            first = signs.first_negative if zero else signs.first_zero_or_less
            return (
                f"needs {what} of {words}, but {bad} of {outcomes.rows} are "
                f"not (the first is row {first})"
            )
    return None


_ZERO_ALLOWED = {
    "non_negative": (True, True),
    "positive": (False, False),
    "counts": (True, False),
}


_NO_DECISIONS = (
    "needs one decision score a row, which is not between 0 and 1, such as the "
    "decision_function of a LinearSVC; use log_loss of probabilities"
)


def _of_probabilities(metric: Metric, outcomes: Judged) -> str | None:
    if metric.name == "hinge_loss":
        return None if outcomes.one_score else _NO_DECISIONS
    if not metric.has_scores_of(outcomes):
        only, other = "labels", "of labels such as f1"
        if outcomes.has_ranking:
            only, other = "decision scores", "of their order such as roc_auc"
        scores = ""
        if outcomes.task == "multiclass" and len(outcomes.present) == 2:
            scores = ", or task='binary' if its answers are scores of the two labels"
        return (
            f"needs class probabilities, but the model gives {only} only; use a metric "
            f"{other}, or a model with probabilities{scores}"
        )
    if outcomes.task == "multilabel":
        return _lonely_columns(outcomes) if metric.ranks else None
    if outcomes.unseen:
        return (
            "can't be computed: the model gives no probability to the labels "
            f"{some_of(map(repr, outcomes.unseen))} of the dataset; drop these rows"
        )
    if metric.parameter is not None and metric.parameter >= outcomes.known:
        return f"means nothing with {outcomes.known} classes; ask for fewer of them"
    return _absent_classes(outcomes) if metric.ranks else None


def _of_the_run(metric: Metric, outcomes: Judged) -> str | None:
    if outcomes.costs is None:
        return "is of the whole run of a model, not of some of its rows"
    if metric.name == "model_size_mb" and outcomes.costs.size_bytes is None:
        return "needs the size of the model's files, which is not known"
    return None


_OBSTACLES: dict[str, Callable[[Metric, Judged], str | None]] = {
    "label": _of_labels,
    "probability": _of_probabilities,
    "run": _of_the_run,
}


def _lonely_columns(outcomes: Judged) -> str | None:
    """Labels that all rows have, or none, have no ranking."""
    sums = outcomes.label_rows
    lonely = (sums == 0) | (sums == outcomes.rows)
    if not lonely.any():
        return None
    names = [outcomes.classes[index] for index in np.flatnonzero(lonely)]
    return (
        f"needs rows with and without every label, but of {outcomes.rows} rows all or "
        f"none have {some_of(map(repr, names))}"
    )


def finite(metric: Metric, value: float, rows: int) -> float:
    """The value, if it is a number.

    Raises:
        EvaluationError: If it is not finite.
    """
    if not np.isfinite(value):
        raise EvaluationError(
            f"{metric.name} of {rows} rows is {value}, which is no number to decide "
            "on; it can't be computed from these rows",
            metric=metric.name,
        )
    return value


def direction_sign(name: str) -> int:
    """1 if more of a metric is better (also of one that is not ours), else -1."""
    known = named_metric(name)
    return known.sign if known else 1


def _absent_classes(outcomes: Judged) -> str | None:
    present = outcomes.present
    absent = [c for code, c in enumerate(outcomes.classes) if code not in present]
    if not absent:
        return None
    only = [outcomes.classes[code] for code in sorted(present)]
    return (
        f"needs rows of every class, but of {outcomes.rows} rows none is "
        f"{some_of(map(repr, absent))} (there are only {some_of(map(repr, only))})"
    )
