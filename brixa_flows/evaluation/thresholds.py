"""From which score on a row of two classes is called positive.

The score is the probability of the positive class; of a model that gives one decision
score a row it is that score, which has no bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.confusion import ratio
from brixa_flows.evaluation.metrics import canonical_metric, direction_sign
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = [
    "ThresholdChoice",
    "at_threshold",
    "choose",
    "refuse_two_units",
    "threshold_warnings",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold and what it gives on the rows that chose it.

    Attributes:
        threshold: From this probability (or decision score) on a row is called
            positive.
        metric: The number that it makes best.
        metrics: Every metric of this kind at the threshold.
        rows: How many rows chose it.
        unit: What the threshold is one of: ``probability``, or ``decision score`` of a
            model that gives one such a row.
    """

    threshold: float
    metric: str
    metrics: dict[str, float]
    rows: int
    unit: Literal["probability", "decision score"] = "probability"


@dataclass(frozen=True)
class _Counts:
    """Cells of the confusion matrix by threshold, each of shape (n_thresholds,)."""

    hits: Floats
    alarms: Floats
    missed: Floats
    quiet: Floats


def at_threshold(outcomes: Outcomes, threshold: float) -> Outcomes:
    """The same with the positive class predicted from the threshold on.

    Raises:
        EvaluationError: If the task is not binary, there are no probabilities, or the
            threshold is none of their scores.
    """
    score = _scores(outcomes)
    least, most = (-np.inf, np.inf) if outcomes.one_score else (0, 1)
    number = isinstance(threshold, int | float | np.number) and np.isfinite(threshold)
    if not number or not least <= threshold <= most:
        allowed = "a finite score" if outcomes.one_score else "between 0 and 1"
        raise EvaluationError(
            f"a threshold is {allowed}, not {threshold!r}", argument="threshold"
        )
    called = score >= threshold
    code = outcomes.positive
    return replace(
        outcomes,
        predicted=np.where(called, code, 1 - code),
        warnings=outcomes.warnings + threshold_warnings(outcomes.one_score, threshold),
    )


def refuse_two_units(
    threshold: float | None, candidate: Outcomes, baseline: Outcomes
) -> None:
    """Refuse one threshold for a probability and for a decision score.

    Raises:
        EvaluationError: If the two models would take it so.
    """
    if threshold is None or candidate.one_score == baseline.one_score:
        return
    raise EvaluationError(
        f"the threshold {threshold:g} would be a probability of one model and a decision "
        "score of the other; leave it out, or compare models of one kind",
        argument="threshold",
    )


def threshold_warnings(one_score: bool, threshold: float | None) -> tuple[str, ...]:
    """That a threshold is of other units than usual."""
    if threshold is None or not one_score:
        return ()
    return (
        f"the threshold {threshold:g} is one of the model's decision scores, which are "
        "no probabilities",
    )


def choose(
    outcomes: Outcomes, metric: str, at_least: Mapping[str, float] | None = None
) -> ThresholdChoice:
    """The best threshold among the scores that occur.

    Of equally good ones the lowest is taken.

    Args:
        outcomes: Of a binary task with probabilities.
        metric: The number to make best.
        at_least: What others must reach.

    Raises:
        EvaluationError: If the task is not binary, a metric is none of labels, or no
            threshold reaches what is asked.
    """
    for name in (metric, *(at_least or {})):
        if canonical_metric(name) not in _OF_COUNTS:
            raise EvaluationError(
                f"a threshold can't be chosen by {name!r}; choose by "
                f"{', '.join(_OF_COUNTS)}",
                metric=name,
            )
    thresholds, counts = _counts(outcomes)
    name = canonical_metric(metric)
    worth = direction_sign(name) * _OF_COUNTS[name](counts)
    allowed = np.ones(thresholds.size, dtype=bool)
    wanted = at_least or {}
    for other, least in wanted.items():
        allowed &= _OF_COUNTS[canonical_metric(other)](counts) >= least
    if not allowed.any():
        asked = some_of(f"{other} >= {least:g}" for other, least in wanted.items())
        raise EvaluationError(
            f"no threshold reaches {asked} on these {outcomes.rows} rows"
        )
    best = int(np.where(allowed, worth, -np.inf).argmax())
    found = {each: float(of(counts)[best]) for each, of in _OF_COUNTS.items()}
    unit: Literal["probability", "decision score"] = "probability"
    if outcomes.one_score:
        unit = "decision score"
    return ThresholdChoice(float(thresholds[best]), name, found, outcomes.rows, unit)


def _scores(outcomes: Outcomes) -> Floats:
    if outcomes.unseen:
        unseen = some_of(f"{k!r} ({n} rows)" for k, n in outcomes.unseen.items())
        raise EvaluationError(
            f"a threshold is between two classes, but the model does not know the labels {unseen}; "
            "drop these rows"
        )
    if outcomes.task != "binary":
        raise EvaluationError(
            f"a threshold is for a binary task, but this is a {outcomes.task} task"
        )
    scores = outcomes.margins if outcomes.one_score else outcomes.probabilities
    if scores is None:
        raise EvaluationError(
            "a threshold needs class probabilities, but the model gives labels only"
        )
    return scores[:, outcomes.positive]


def _counts(outcomes: Outcomes) -> tuple[Floats, _Counts]:
    """Different scores, lowest first, and the cells when each is the threshold."""
    score = _scores(outcomes)
    positive = outcomes.truth == outcomes.positive
    if positive.all() or not positive.any():
        only = outcomes.classes[int(outcomes.truth[0])]
        raise EvaluationError(
            f"a threshold can't be chosen: all {outcomes.rows} labels are {only!r}"
        )
    thresholds, place = np.unique(score, return_inverse=True)
    up = np.bincount(place, weights=positive, minlength=thresholds.size)
    down = np.bincount(place, weights=~positive, minlength=thresholds.size)
    hits, alarms = np.cumsum(up[::-1])[::-1], np.cumsum(down[::-1])[::-1]
    cells = hits, alarms, up.sum() - hits, down.sum() - alarms
    return thresholds, _Counts(*(cell.astype(np.float64) for cell in cells))


def _f(square: float) -> Callable[[_Counts], Floats]:
    def f(c: _Counts) -> Floats:
        above = (1 + square) * c.hits
        return ratio(above, above + square * c.missed + c.alarms)

    return f


def _recall(c: _Counts) -> Floats:
    return ratio(c.hits, c.hits + c.missed)


def _specificity(c: _Counts) -> Floats:
    return ratio(c.quiet, c.quiet + c.alarms)


def _accuracy(c: _Counts) -> Floats:
    return ratio(c.hits + c.quiet, c.hits + c.quiet + c.alarms + c.missed)


def _matthews(c: _Counts) -> Floats:
    sides = (c.hits + c.alarms) * (c.hits + c.missed)
    others = (c.quiet + c.alarms) * (c.quiet + c.missed)
    return ratio(c.hits * c.quiet - c.alarms * c.missed, np.sqrt(sides * others))


_OF_COUNTS: dict[str, Callable[[_Counts], Floats]] = {
    "f1": _f(1.0),
    "f2": _f(4.0),
    "f0.5": _f(0.25),
    "precision": lambda c: ratio(c.hits, c.hits + c.alarms),
    "recall": _recall,
    "specificity": _specificity,
    "accuracy": _accuracy,
    "balanced_accuracy": lambda c: (_recall(c) + _specificity(c)) / 2,
    "matthews_corrcoef": _matthews,
    "jaccard": lambda c: ratio(c.hits, c.hits + c.missed + c.alarms),
}
