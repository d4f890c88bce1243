"""Models asked about every row of a dataset, and what follows from their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.answering import Answered, Answerer, answer
from brixa_flows.evaluation.judging import judge
from brixa_flows.evaluation.measuring import Found, found_in
from brixa_flows.evaluation.metrics import MetricValues, named_metrics
from brixa_flows.evaluation.outcomes import Judged, Outcomes, Task
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.evaluation.streaming.stream import Stream
from brixa_flows.evaluation.thresholds import at_threshold
from brixa_flows.prediction import LabelledBatches
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.serializers.progress import progress_of_rows

__all__ = ["Run", "naming", "result_of"]


class Run:
    """Models asked at once about the same rows, all of whose answers are kept.

    Args:
        answerers: The models; the batches are in the form of the first.
        batches: Labelled rows.
        columns: Names of columns to keep.

    Attributes:
        metadata: Of the models.
        columns: Values by name of the columns.
        facts: The data.
    """

    def __init__(
        self,
        answerers: Sequence[Answerer],
        batches: LabelledBatches,
        columns: Sequence[str] = (),
    ) -> None:
        self.metadata = [each.metadata for each in answerers]
        with _progress(self.metadata, batches) as advance:
            self._answered = answer(answerers, batches, columns, advance)
        self.columns = self._answered.columns
        self.facts = DatasetFacts.of(batches)

    def outcomes(self, question: Question, place: int = 0) -> Outcomes:
        """Labels and answers of one of the models, checked.

        Args:
            question: What is asked.
            place: Which of the models.

        Raises:
            EvaluationError: If the two don't fit; names the model.
        """
        with naming(self.metadata[place]):
            return _outcomes(self._answered, question, self.metadata[place], place)


def result_of(
    answerer: Answerer, batches: LabelledBatches, question: Question
) -> EvaluationResult:
    """Ask a model and judge its answers.

    Up to ``question.exact_rows`` rows are kept and judged as they are. Of more, each
    batch is summed up and let go, if sums are enough for what is asked.

    Args:
        answerer: The model.
        batches: Labelled rows.
        question: What is asked.

    Raises:
        DatasetError: If the data can't be read.
        EvaluationError: If labels, predictions or metrics don't fit.
    """
    metadata = answerer.metadata
    stream = Stream(question, question.kind or metadata.model_type)
    with naming(metadata), _progress([metadata], batches) as advance:
        answered = answer([answerer], batches, question.slices, advance, stream)
    if answered.streamed:
        with naming(metadata):
            found = stream.found(answered.costs[0])
    else:
        with naming(metadata):
            outcomes = _outcomes(answered, question, metadata)
        found = found_in(outcomes, question, answered.columns)
    return _result(found, metadata, DatasetFacts.of(batches), question)


def _outcomes(
    answered: Answered, question: Question, metadata: ModelMetadata, place: int = 0
) -> Outcomes:
    judged = judge(
        answered.labels,
        answered.predictions[place],
        task=question.task,
        model_type=question.kind or metadata.model_type,
        positive=question.positive,
    )
    if question.threshold is not None:
        judged = at_threshold(judged, question.threshold)
    return replace(judged, costs=answered.costs[place])


def _result(
    found: Found, metadata: ModelMetadata, facts: DatasetFacts, question: Question
) -> EvaluationResult:
    judged = found.judged
    binary = judged.task == "binary"
    named = _label_names(judged, facts.targets)
    return EvaluationResult(
        model_name=metadata.name,
        version=metadata.version,
        task=judged.task,
        metrics=found.values,
        intervals=found.intervals,
        dataset=facts,
        evaluated_at=datetime.now(UTC),
        classes=named,
        positive=judged.classes[judged.positive] if binary else None,
        confusion=found.confusion,
        curves=found.curves,
        slices=found.slices,
        labels=tuple(
            replace(each, label=name)
            for each, name in zip(found.labels, named, strict=False)
        ),
        warnings=found.warnings,
        asked=question.asked or {},
        method=found.method,
        bounds=found.bounds,
        threshold=question.threshold,
        higher_is_better=_directions(question, judged.task, found.values),
    )


def _directions(
    question: Question, task: Task, measured: Iterable[str]
) -> MetricValues:
    known = {each.name: each for each in named_metrics(question.metrics, task)}
    return MetricValues((name, known[name].higher_is_better) for name in measured)


def _label_names(judged: Judged, columns: tuple[str, ...]) -> tuple[Any, ...]:
    """The classes; of several labels that the model only counts, their columns."""
    counted = judged.classes == tuple(range(len(judged.classes)))
    if judged.task == "multilabel" and counted and len(columns) == len(judged.classes):
        return columns
    return judged.classes


@contextmanager
def _progress(
    models: Sequence[ModelMetadata], batches: LabelledBatches
) -> Iterator[Callable[[int], None]]:
    names = " and ".join(f"{each.name} {each.version}" for each in models)
    what = f"asking {names} about {batches.name}"
    with progress_of_rows(what, batches.expected_rows) as advance:
        yield advance


@contextmanager
def naming(metadata: ModelMetadata) -> Iterator[None]:
    """Say of an error which model it is about.

    Raises:
        EvaluationError: If one is raised inside; names the model.
    """
    try:
        yield
    except EvaluationError as err:
        where = f"{metadata.name} {metadata.version}"
        if err.message.startswith(where):
            raise
        raise EvaluationError(f"{where}: {err.message}", **err.facts) from err
