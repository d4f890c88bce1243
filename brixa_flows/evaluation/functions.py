"""Judges functions that are in no registry, such as a rule to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from brixa_flows.evaluation.answering import Elsewhere
from brixa_flows.evaluation.outcomes import Task
from brixa_flows.evaluation.question import EXACT_ROWS, Question, Wanted
from brixa_flows.evaluation.results import EvaluationResult
from brixa_flows.evaluation.run import result_of
from brixa_flows.prediction import as_batches
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.versioning import ModelVersion

__all__ = ["evaluate_function"]

_UNREGISTERED = "0.0.0-unregistered"


def evaluate_function(
    function: Callable[[Any], Any],
    dataset: Any,
    metrics: Wanted | None = None,
    *,
    name: str | None = None,
    target: str | Sequence[str] | None = None,
    dataset_name: str | None = None,
    slices: Sequence[str] = (),
    task: Task | None = None,
    positive: Any = None,
    threshold: float | None = None,
    seed: int = 0,
    exact_rows: int = EXACT_ROWS,
) -> EvaluationResult:
    """Judge any function of inputs; nothing is kept.

    Args:
        function: Takes a batch of inputs (a frame of the columns beside the target, or
            an array); gives an array of labels, numbers or scores, or a ``Prediction``.
        dataset: Labelled rows in any form that
            :func:`brixa_flows.prediction.as_batches` reads; a table needs ``target``.
        metrics: Names, metrics or functions; ``None`` for the usual ones.
        name: What reports call it; its own name if not given.
        target: Name of the label column, or of several.
        dataset_name: What people call the data.
        slices: Columns for each of whose values the metrics are computed too.
        task: Said instead of inferred.
        positive: The positive label of a binary task.
        threshold: Probability from which on a row is called positive.
        seed: Of the intervals.
        exact_rows: Of more rows only sums are kept, as ``ModelEvaluator`` does.

    Raises:
        DatasetError: If the data can't be read or has no labels.
        EvaluationError: If labels, predictions or metrics don't fit.
    """
    metadata = ModelMetadata(
        name=name or getattr(function, "__name__", type(function).__name__),
        version=ModelVersion.parse(_UNREGISTERED),
        model_type="",
        created_at=datetime.now(UTC),
    )
    question = Question(metrics, slices, task, positive, threshold, seed, exact_rows)
    batches = as_batches(
        dataset,
        target=target,
        metadata=metadata,
        name=dataset_name,
        besides=question.slices,
    )
    return result_of(Elsewhere(metadata, function), batches, question)
