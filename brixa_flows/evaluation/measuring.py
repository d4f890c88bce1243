"""Values and intervals of metrics for outcomes, whole or sliced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.confusion import Cells
from brixa_flows.evaluation.draws import Valuer, draws_of
from brixa_flows.evaluation.intervals import (
    Interval,
    mean_interval,
    percentile_interval,
)
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import (
    METRICS,
    MetricValues,
    metrics_for,
    obstacle,
)
from brixa_flows.evaluation.outcomes import Judged, Outcomes
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.ranking import area_parts, auc_interval
from brixa_flows.evaluation.results import LabelResult, SliceResult
from brixa_flows.evaluation.terms import terms_of
from brixa_flows.plugins import import_adapter

__all__ = [
    "OF_A_LABEL",
    "SLICES_AT_MOST",
    "Found",
    "each_label",
    "found_in",
    "interval_of",
    "matrix_shown",
    "measure",
    "number_warnings",
    "open_sklearn",
    "share_warnings",
    "slice_by",
    "slice_of",
    "slice_rows",
    "slice_texts",
]

OF_A_LABEL = ("precision", "recall", "f1", "roc_auc")
SLICES_AT_MOST = 50
_CLASSES_SHOWN = 50
_MISSING = "(missing)"


@dataclass(frozen=True)
class Found:
    """What the rows of a dataset show of a model.

    Attributes:
        judged: The rows, kept or summed up.
        values: Value by metric.
        intervals: 95 % interval by metric.
        bounds: How far a value can be from that of the rows, where it is not theirs.
        method: ``exact`` or ``streamed``.
        confusion: Rows by true and predicted class.
        curves: Points of the plots.
        slices: The same metrics for parts of the rows.
        labels: Each of several labels a row.
        warnings: What a reader of the numbers must know.
    """

    judged: Judged
    values: MetricValues
    intervals: MetricValues
    confusion: tuple[tuple[int, ...], ...]
    curves: dict[str, Any]
    slices: tuple[SliceResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    warnings: tuple[str, ...] = ()
    bounds: MetricValues = field(default_factory=MetricValues)
    method: Literal["exact", "streamed"] = "exact"


def open_sklearn() -> Any:
    """The adapter that computes values; scikit-learn is imported here and not before."""
    return import_adapter("brixa_flows.evaluation._sklearn")


def found_in(
    outcomes: Outcomes, question: Question, columns: Mapping[str, NDArray[Any]]
) -> Found:
    """What rows that are kept show.

    Raises:
        EvaluationError: If a metric can't be computed, or a column is no slice.
    """
    chosen = metrics_for(question.metrics, outcomes)
    values, intervals = measure(outcomes, chosen, seed=question.seed)
    return Found(
        judged=outcomes,
        values=values,
        intervals=intervals,
        confusion=matrix_shown(Cells.of(outcomes)) if outcomes.classifies else (),
        curves=open_sklearn().curves(outcomes),
        slices=slice_by(columns, outcomes, chosen, seed=question.seed),
        labels=each_label(outcomes, question.seed),
        warnings=outcomes.warnings
        + share_warnings(outcomes, chosen)
        + number_warnings(outcomes, chosen),
    )


def matrix_shown(cells: Cells) -> tuple[tuple[int, ...], ...]:
    """The confusion matrix of a result; none of very many classes."""
    if cells.size > _CLASSES_SHOWN:
        return ()
    return tuple(tuple(row) for row in cells.matrix.tolist())


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
        return auc_interval(*area_parts(outcomes))
    if metric.method == "mean":
        terms, combine = terms_of(metric)
        rows = terms(outcomes)
        if rows.shape[1] == 1:
            low, high = combine(np.array(mean_interval(rows[:, 0]))[:, None])
            return Interval(min(float(low), point), max(float(high), point))
    draws = draws_of(metric, [outcomes], value_of, seed)
    return percentile_interval(draws[:, 0], point)


def share_warnings(outcomes: Judged, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Warnings about shares of nothing, which are 0 by convention."""
    if not outcomes.classifies:
        return ()
    names = {metric.name.partition("_")[0] for metric in metrics}
    answered, present = outcomes.answered, outcomes.present
    judged = {outcomes.positive} if outcomes.task == "binary" else present | answered
    if "negative_predictive_value" in {metric.name for metric in metrics}:
        judged, names = judged | {1 - outcomes.positive}, names | {"precision"}
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


def number_warnings(judged: Judged, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Warnings about numbers and intervals that tell less than one may think."""
    names = {metric.name for metric in metrics}
    warnings = []
    if "mean_absolute_percentage_error" in names:
        labels = judged.signs[0]
        zeros = labels.zero_or_less - labels.negative
        if zeros:
            warnings.append(
                f"{zeros} of {judged.rows} labels are 0, of which no error is a "
                "percentage: as in scikit-learn it is divided by 2.2e-16 there, which "
                "decides mean_absolute_percentage_error; judge the other rows alone"
            )
    if "max_error" in names:
        warnings.append(
            "the interval of max_error ends at its value: rows tell nothing of a larger "
            "error that none of them has"
        )
    costs = judged.costs
    if "latency_per_row_ms" in names and costs is not None and len(costs.rows) == 1:
        warnings.append(
            "all rows were asked in one batch, so the interval of latency_per_row_ms has "
            "no width; give more rows or a smaller batch_rows"
        )
    return tuple(warnings)


def each_label(outcomes: Outcomes, seed: int) -> tuple[LabelResult, ...]:
    """Each label of a multilabel task as a binary task of its own; none of others.

    What a label can't give (all rows have it, say) is absent there, with the reason.
    """
    if outcomes.task != "multilabel":
        return ()
    return tuple(
        _label(outcomes, column, label, seed)
        for column, label in enumerate(outcomes.classes)
    )


def _label(outcomes: Outcomes, column: int, label: Any, seed: int) -> LabelResult:
    alone = outcomes.label_alone(column)
    part = slice_of("", "", alone, [METRICS[name] for name in OF_A_LABEL], seed)
    rows = int(outcomes.label_rows[column])
    return LabelResult(label, rows, part.metrics, part.intervals, part.notes)


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
    return tuple(
        slice_of(column, value, outcomes.take(rows), metrics, seed)
        for column, values in columns.items()
        for value, rows in slice_rows(column, values)
    )


def slice_rows(
    column: str, values: NDArray[Any]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each value of a column as slices are named, and the indices of its rows.

    Raises:
        EvaluationError: If it has too many different values to be a slice.
    """
    texts = slice_texts(values)
    different = np.unique(texts)
    if different.size > SLICES_AT_MOST:
        raise EvaluationError(
            f"the column {column!r} has {different.size} different values; a slice "
            f"column may have {SLICES_AT_MOST}: bin it first"
        )
    for value in different:
        yield str(value), np.flatnonzero(texts == value)


def slice_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Values of a column as slices are named, of shape (n_samples,).

    An empty text is a value; one that is missing (``None``, NaN) has a name of its own,
    and a text that is spelled like that name is shown in quotes.
    """
    texts = [_MISSING if _is_missing(v) else str(v) for v in values]
    spelled = [isinstance(v, str) and v == _MISSING for v in values]
    return np.array([repr(t) if s else t for t, s in zip(texts, spelled, strict=True)])


def _is_missing(value: Any) -> bool:
    return value is None or bool(value != value)


def slice_of(
    column: str, value: str, part: Outcomes, metrics: Sequence[Metric], seed: int
) -> SliceResult:
    """The metrics of one slice; what can't be computed is absent, with the reason."""
    obstacles = {metric.name: obstacle(metric, part) for metric in metrics}
    notes = [f"{name} {why}" for name, why in obstacles.items() if why]
    values, intervals = MetricValues(), MetricValues()
    for metric in metrics:
        if obstacles[metric.name] is None:
            try:
                found, around = measure(part, [metric], seed=seed)
            except EvaluationError as err:  # nothing by nothing, say
                notes.append(err.message)
                continue
            values |= found
            intervals |= around
    return SliceResult(column, value, part.rows, values, intervals, tuple(notes))
