"""Asks models for their answers to every row of a dataset, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import BrixaError, DatasetError, EvaluationError
from brixa_flows.evaluation.blaming import unanswered
from brixa_flows.evaluation.outcomes import Costs
from brixa_flows.prediction import Batch, LabelledBatches
from brixa_flows.prediction.tensors import array_of
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.serializers.base import Prediction

__all__ = ["Answered", "Answerer", "Elsewhere", "Sink", "answer"]

_POURED_ROWS = 100_000


class Answerer(Protocol):
    """Who predicts for a version."""

    @property
    def metadata(self) -> ModelMetadata:
        """Of the version."""
        ...

    def predict(self, inputs: Any) -> Prediction:
        """Answer one batch."""
        ...

    def with_margins(self, inputs: Any, prediction: Prediction) -> Prediction:
        """The answer with decision scores, if there are any and no probabilities."""
        ...


@dataclass(frozen=True)
class Elsewhere:
    """Predicts for a version without loading it.

    Attributes:
        metadata: Of the version.
        function: Takes a batch of inputs in the form of the version; gives a
            ``Prediction``, or an array of labels, numbers or scores.
    """

    metadata: ModelMetadata
    function: Callable[[Any], Any]

    def predict(self, inputs: Any) -> Prediction:
        """Answer one batch."""
        given = self.function(inputs)
        if isinstance(given, Prediction):
            return given
        try:
            return Prediction(array_of(given))
        except ValueError as err:
            raise EvaluationError(
                f"{self.metadata.name} {self.metadata.version} gave answers that are "
                f"not all of one shape: {err}"
            ) from err

    def with_margins(self, inputs: Any, prediction: Prediction) -> Prediction:
        """The answer as it is: a function gives its scores itself."""
        return prediction


@dataclass(frozen=True)
class Answered:
    """Labels, columns and each model's answers of all rows.

    Attributes:
        labels: Of shape (n_samples,) or (n_samples, n_labels).
        predictions: One for each model.
        costs: What they cost, one for each model.
        columns: Values by name of the columns asked for.
        streamed: Whether a sink has taken the rows, and only the costs are of all.
    """

    labels: NDArray[Any]
    predictions: list[Prediction]
    costs: list[Costs]
    columns: dict[str, NDArray[Any]]
    streamed: bool = False


class Sink(Protocol):
    """Takes rows that are too many to keep."""

    @property
    def exact_rows(self) -> int:
        """Up to how many rows are kept."""
        ...

    def opens(self, labels: NDArray[Any], prediction: Prediction) -> bool:
        """Whether it takes them; the first ones tell."""
        ...

    def fold(
        self,
        labels: NDArray[Any],
        prediction: Prediction,
        columns: Mapping[str, NDArray[Any]],
    ) -> None:
        """Take some; every row comes once."""
        ...


@dataclass
class _Collected:
    """Answers of one model, batch after batch."""

    answerer: Answerer
    values: list[NDArray[Any]] = field(default_factory=list)
    scores: list[NDArray[Any]] = field(default_factory=list)
    margins: list[NDArray[Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    classes: tuple[Any, ...] | None = None

    def ask(self, inputs: Any, rows: int, before: int) -> None:
        start = time.perf_counter()
        prediction = self._answer(inputs, rows, before)
        self.seconds.append(time.perf_counter() - start)
        _check(self.answerer.metadata, prediction, rows)
        prediction = self.answerer.with_margins(inputs, prediction)
        self.values.append(array_of(prediction.values))
        for kept, given in (
            (self.scores, prediction.scores),
            (self.margins, prediction.margins),
        ):
            if given is not None:
                kept.append(array_of(given))
                self.classes = prediction.classes

    def _answer(self, inputs: Any, rows: int, before: int) -> Prediction:
        metadata = self.answerer.metadata
        try:
            return self.answerer.predict(inputs)
        except DatasetError as err:
            raise unanswered(err, metadata, inputs, rows, before) from err
        except BrixaError:
            raise
        except Exception as err:  # a model is anybody's code
            raise unanswered(err, metadata, inputs, rows, before) from err

    def joined(self) -> Prediction:
        scores, margins = (
            np.concatenate(kept) if kept else None
            for kept in (self.scores, self.margins)
        )
        return Prediction(np.concatenate(self.values), scores, self.classes, margins)

    def forget(self) -> None:
        """Keep the costs only."""
        self.values.clear()
        self.scores.clear()
        self.margins.clear()

    def costs(self, rows: Sequence[int]) -> Costs:
        """Of all batches but the first, in which a model warms up, if two are left."""
        start = 1 if len(rows) > 2 else 0
        return Costs(
            np.array(self.seconds[start:]),
            np.array(rows[start:], dtype=np.float64),
            self.answerer.metadata.size_bytes,
        )


class _Rows:
    """Labels, answers and columns of rows, as they come.

    Args:
        answerers: The models.
        columns: Names of columns to keep.
    """

    def __init__(self, answerers: Sequence[Answerer], columns: Iterable[str]) -> None:
        self._collected = [_Collected(each) for each in answerers]
        self._labels: list[NDArray[Any]] = []
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
        self._sizes: list[int] = []
        self.rows = 0

    def add(self, batch: Batch) -> int:
        """Ask every model about a batch; its rows."""
        assert batch.labels is not None  # as_batches refuses rows without labels
        rows, before = len(batch.labels), sum(self._sizes)
        self._collected[0].ask(batch.inputs, rows, before)
        for other in self._collected[1:]:
            other.ask(batch.inputs_for(other.answerer.metadata), rows, before)
        for name, values in self._columns.items():
            values.append(batch.column(name))
        self._labels.append(batch.labels)
        self._sizes.append(rows)
        self.rows += rows
        return rows

    def joined(self) -> Answered:
        """What is kept."""
        return Answered(
            np.concatenate(self._labels),
            [each.joined() for each in self._collected],
            self.costs(),
            {name: np.concatenate(values) for name, values in self._columns.items()},
        )

    def costs(self) -> list[Costs]:
        """Of all rows that came."""
        return [each.costs(self._sizes) for each in self._collected]

    def are_for(self, sink: Sink) -> bool:
        """Whether the sink takes such rows."""
        part = self.joined()
        return sink.opens(part.labels, part.predictions[0])

    def pour(self, sink: Sink) -> None:
        """Give what is kept away."""
        part = self.joined()
        sink.fold(part.labels, part.predictions[0], part.columns)
        for kept in (self._labels, *self._columns.values()):
            kept.clear()
        self._collected[0].forget()
        self.rows = 0


def answer(
    answerers: Sequence[Answerer],
    batches: LabelledBatches,
    columns: Iterable[str] = (),
    advance: Callable[[int], None] | None = None,
    sink: Sink | None = None,
) -> Answered:
    """Ask every model for its answer to every batch.

    Only labels, answers and the columns asked for are kept, not the inputs.

    Args:
        answerers: The models; the batches are in the form of the first.
        batches: Labelled rows.
        columns: Names of columns to keep.
        advance: Called with the rows of each batch when it is done.
        sink: Takes the rows of a single model when they are too many to keep.

    Raises:
        DatasetError: If the rows don't fit a model.
        UnansweredRowsError: If a model raises; names the columns and rows to blame.
        EvaluationError: If a model does not answer every row.
    """
    kept, streamed = _Rows(answerers, columns), False
    most = sink.exact_rows if sink is not None else 0
    for batch in batches:
        rows = kept.add(batch)
        if sink is not None and kept.rows > most:
            if streamed or kept.are_for(sink):
                kept.pour(sink)
                streamed, most = True, min(most, _POURED_ROWS)
            else:
                sink = None
        if advance is not None:
            advance(rows)
    if not streamed:
        return kept.joined()
    assert sink is not None
    if kept.rows:
        kept.pour(sink)
    return Answered(np.empty(0), [], kept.costs(), {}, streamed=True)


def _check(metadata: ModelMetadata, prediction: Prediction, rows: int) -> None:
    given = array_of(prediction.values)
    if given.ndim == 0 or len(given) != rows:
        raise EvaluationError(
            f"{metadata.name} {metadata.version} gave an answer of shape {given.shape} "
            f"for {rows} rows; one answer a row is needed"
        )
