"""Values and intervals of metrics for outcomes, whole or sliced."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.draws import Valuer, draws_of
from brixa_flows.evaluation.intervals import Interval, percentile_interval
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import MetricValues, obstacle
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.ranking import areas_of, auc_interval
from brixa_flows.evaluation.results import SliceResult

__all__ = ["interval_of", "measure", "open_sklearn", "share_warnings", "slice_by"]

_SLICES_AT_MOST = 50


def open_sklearn() -> Any:
    """The adapter that computes values; scikit-learn is imported here and not before."""
    return importlib.import_module("brixa_flows.evaluation._sklearn")


def measure(
    outcomes: Outcomes, metrics: Sequence[Metric], *, seed: int = 0
) -> tuple[MetricValues, MetricValues]:
    """Value and 95 % interval of each metric.

    Args:
        outcomes: What is judged.
        metrics: Those that can be computed from it.
        seed: Of the draws; the same seed gives the same intervals.
    """
    value_of: Valuer = open_sklearn().value_of
    values, intervals = MetricValues(), MetricValues()
    for metric in metrics:
        values[metric.name] = value_of(metric, outcomes)
        intervals[metric.name] = interval_of(
            metric, outcomes, values[metric.name], value_of, seed
        )
    return values, intervals


def interval_of(
    metric: Metric, outcomes: Outcomes, point: float, value_of: Valuer, seed: int
) -> Interval:
    """The metric's 95 % interval around its value ``point``."""
    if metric.method == "auc" and outcomes.classifies and outcomes.known == 2:
        areas, covariance = areas_of([outcomes])
        rarer = int(np.bincount(outcomes.truth, minlength=2).min())
        return auc_interval(float(areas[0]), float(covariance[0, 0]), rarer)
    draws = draws_of(metric, [outcomes], value_of, seed)
    return percentile_interval(draws[:, 0], point)


def share_warnings(outcomes: Outcomes, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Warnings about shares of nothing, which are 0 by convention."""
    if not outcomes.classifies:
        return ()
    names = {metric.name.partition("_")[0] for metric in metrics}
    answered = set(np.unique(outcomes.predicted).tolist())
    present = set(np.unique(outcomes.truth).tolist())
    judged = {outcomes.positive} if outcomes.task == "binary" else present | answered
    warnings = []
    never = [outcomes.classes[code] for code in sorted(judged - answered)]
    if never and names & {"precision", "f1"}:
        warnings.append(
            f"never predicted, so their precision is 0: {some_of(map(repr, never))}"
        )
    absent = [outcomes.classes[code] for code in sorted(judged - present)]
    if absent and names & {"recall", "f1"}:
        warnings.append(
            f"no row has the label, so recall is 0: {some_of(map(repr, absent))}"
        )
    return tuple(warnings)


def slice_by(
    columns: Mapping[str, NDArray[Any]],
    outcomes: Outcomes,
    metrics: Sequence[Metric],
    *,
    seed: int = 0,
) -> tuple[SliceResult, ...]:
    """The metrics for the rows of each value of each column.

    A metric that a slice can't give (one class only, say) is absent there, and the
    slice says why.

    Raises:
        EvaluationError: If a column has too many different values to be a slice.
    """
    results = []
    for column, values in columns.items():
        texts = np.array(["" if value is None else str(value) for value in values])
        different = np.unique(texts)
        if different.size > _SLICES_AT_MOST:
            raise EvaluationError(
                f"the column {column!r} has {different.size} different values; a slice "
                f"column may have {_SLICES_AT_MOST}: bin it first"
            )
        for value in different:
            part = outcomes.take(np.flatnonzero(texts == value))
            results.append(_slice(column, str(value), part, metrics, seed))
    return tuple(results)


def _slice(
    column: str, value: str, part: Outcomes, metrics: Sequence[Metric], seed: int
) -> SliceResult:
    obstacles = {metric.name: obstacle(metric, part) for metric in metrics}
    possible = [metric for metric in metrics if obstacles[metric.name] is None]
    values, intervals = measure(part, possible, seed=seed)
    notes = tuple(f"{name} {why}" for name, why in obstacles.items() if why)
    return SliceResult(column, value, part.rows, values, intervals, notes)
