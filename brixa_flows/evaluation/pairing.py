"""Two models asked about the same rows, compared whole and by slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.aligning import align
from brixa_flows.evaluation.compare import (
    Difference,
    compare_outcomes,
    difference_of,
    with_verdicts,
)
from brixa_flows.evaluation.comparison import Comparison, SliceComparison
from brixa_flows.evaluation.measuring import open_sklearn, slice_rows
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import (
    MetricValues,
    metrics_for,
    named_metrics,
    obstacle,
)
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.run import Run, naming
from brixa_flows.evaluation.thresholds import refuse_two_units

__all__ = ["compare_run", "compare_slices"]

Pair = tuple[Outcomes, Outcomes]


def compare_run(run: Run, question: Question, margin: float = 0.0) -> Comparison:
    """Compare the two models of a run, the candidate first, on the metrics of both.

    Args:
        run: Of the candidate and the baseline, with the slice columns.
        question: What is asked of both.
        margin: How much worse still counts as not worse, in the metric's units.

    Raises:
        EvaluationError: If the two can't be compared on these metrics.
    """
    both = run.outcomes(question), run.outcomes(question, 1)
    refuse_two_units(question.threshold, *both)
    ours, theirs, warnings = align(*both)
    if not ours.has_ranking and all(each.has_ranking for each in both):
        _refuse_probabilities(question, ours.task, warnings[-1])
    candidate, baseline = run.metadata
    with naming(baseline):
        usable = {metric.name for metric in metrics_for(question.metrics, theirs)}
    with naming(candidate):
        chosen = metrics_for(question.metrics, ours)
    metrics = [metric for metric in chosen if metric.name in usable]
    return Comparison(
        model_name=candidate.name,
        baseline=baseline.version,
        candidate=candidate.version,
        metrics=compare_outcomes(
            theirs,
            ours,
            metrics,
            value_of=open_sklearn().value_of,
            margin=margin,
            seed=question.seed,
        ),
        dataset=run.facts,
        margin=margin,
        warnings=warnings,
        slices=compare_slices(
            run.columns, (theirs, ours), metrics, margin=margin, seed=question.seed
        ),
        task=ours.task,
        positive=ours.classes[ours.positive] if ours.task == "binary" else None,
        threshold=question.threshold,
        classes_differ=_classes_differ(*both),
    )


def _classes_differ(one: Outcomes, other: Outcomes) -> bool:
    classes = (set(each.classes[: each.known]) for each in (one, other))
    return one.classifies and next(classes) != next(classes)


def _refuse_probabilities(question: Question, task: Task, why: str) -> None:
    """Of models that know different classes, whose probabilities were left out."""
    if question.metrics is None:
        return
    for metric in named_metrics(question.metrics, task):
        if metric.needs == "probability":
            raise EvaluationError(
                f"{metric.name} can't be compared: {why}", metric=metric.name
            )


def compare_slices(
    columns: Mapping[str, NDArray[Any]],
    pair: Pair,
    metrics: Sequence[Metric],
    *,
    margin: float = 0.0,
    seed: int = 0,
) -> tuple[SliceComparison, ...]:
    """Compare on the rows of each value of each column.

    The p-values are adjusted over the values and metrics of a column: among many
    values some differ by luck.

    Args:
        columns: Values by name of the columns.
        pair: Baseline and candidate, on the same rows and in the same coding.
        metrics: What to compare; what a slice can't give is absent there, and why is
            noted.
        margin: How much worse still counts as not worse.
        seed: Of the draws.

    Raises:
        EvaluationError: If a column has too many different values to be a slice.
    """
    found: list[SliceComparison] = []
    for column, values in columns.items():
        found += _by_column(column, values, pair, metrics, margin, seed)
    return tuple(found)


def _by_column(
    column: str,
    values: NDArray[Any],
    pair: Pair,
    metrics: Sequence[Metric],
    margin: float,
    seed: int,
) -> Iterator[SliceComparison]:
    parts = [
        (value, rows, *_differences(pair, rows, metrics, seed))
        for value, rows in slice_rows(column, values)
    ]
    flat = [difference for *_, differences, _ in parts for difference in differences]
    compared = iter(with_verdicts(flat, margin))
    for value, rows, differences, notes in parts:
        told = MetricValues((metric.name, next(compared)) for metric, _ in differences)
        yield SliceComparison(column, value, rows.size, told, notes)


def _differences(
    pair: Pair, rows: NDArray[np.int64], metrics: Sequence[Metric], seed: int
) -> tuple[list[tuple[Metric, Difference]], tuple[str, ...]]:
    """What differs on some rows, and why a metric can't tell there."""
    part = pair[0].take(rows), pair[1].take(rows)
    value_of = open_sklearn().value_of
    differences, notes = [], []
    for metric in metrics:
        why = obstacle(metric, part[0]) or obstacle(metric, part[1])
        if why:
            notes.append(f"{metric.name} {why}")
        else:
            differences.append((metric, difference_of(metric, part, value_of, seed)))
    return differences, tuple(notes)
