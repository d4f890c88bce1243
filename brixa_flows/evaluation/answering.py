"""Asks models for their answers to every row of a dataset, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.outcomes import Costs
from brixa_flows.prediction import LabelledBatches
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.serializers.base import Prediction

__all__ = ["Answered", "Answerer", "Elsewhere", "answer"]


class Answerer(Protocol):
    """Who predicts for a version."""

    @property
    def metadata(self) -> ModelMetadata:
        """Of the version."""
        ...

    def predict(self, inputs: Any) -> Prediction:
        """Answer one batch."""
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
            return Prediction(np.asarray(given))
        except ValueError as err:
            raise EvaluationError(
                f"{self.metadata.name} {self.metadata.version} gave answers that are "
                f"not all of one shape: {err}"
            ) from err


@dataclass(frozen=True)
class Answered:
    """Labels, columns and each model's answers of all rows.

    Attributes:
        labels: Of shape (n_samples,) or (n_samples, n_labels).
        predictions: One for each model.
        costs: What they cost, one for each model.
        columns: Values by name of the columns asked for.
    """

    labels: NDArray[Any]
    predictions: list[Prediction]
    costs: list[Costs]
    columns: dict[str, NDArray[Any]]


@dataclass
class _Collected:
    """Answers of one model, batch after batch."""

    answerer: Answerer
    values: list[NDArray[Any]] = field(default_factory=list)
    scores: list[NDArray[Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    classes: tuple[Any, ...] | None = None

    def ask(self, inputs: Any, rows: int) -> None:
        start = time.perf_counter()
        prediction = self.answerer.predict(inputs)
        self.seconds.append(time.perf_counter() - start)
        _check(self.answerer.metadata, prediction, rows)
        self.values.append(np.asarray(prediction.values))
        if prediction.scores is not None:
            self.scores.append(np.asarray(prediction.scores))
            self.classes = prediction.classes

    def joined(self) -> Prediction:
        scores = np.concatenate(self.scores) if self.scores else None
        return Prediction(np.concatenate(self.values), scores, self.classes)

    def costs(self, rows: Sequence[int]) -> Costs:
        return Costs(
            np.array(self.seconds),
            np.array(rows, dtype=np.float64),
            self.answerer.metadata.size_bytes,
        )


def answer(
    answerers: Sequence[Answerer],
    batches: LabelledBatches,
    columns: Iterable[str] = (),
    advance: Callable[[int], None] | None = None,
) -> Answered:
    """Ask every model for its answer to every batch.

    Only labels, answers and the columns asked for are kept, not the inputs.

    Args:
        answerers: The models; the batches are in the form of the first.
        batches: Labelled rows.
        columns: Names of columns to keep.
        advance: Called with the rows of each batch when it is done.

    Raises:
        DatasetError: If the rows don't fit a model.
        EvaluationError: If a model does not answer every row.
    """
    collected = [_Collected(each) for each in answerers]
    labels: list[NDArray[Any]] = []
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for batch in batches:
        assert batch.labels is not None  # as_batches refuses rows without labels
        labels.append(batch.labels)
        rows = len(batch.labels)
        collected[0].ask(batch.inputs, rows)
        for other in collected[1:]:
            other.ask(batch.inputs_for(other.answerer.metadata), rows)
        for name, values in kept.items():
            values.append(batch.column(name))
        if advance is not None:
            advance(rows)
    sizes = [len(each) for each in labels]
    return Answered(
        np.concatenate(labels),
        [each.joined() for each in collected],
        [each.costs(sizes) for each in collected],
        {name: np.concatenate(values) for name, values in kept.items()},
    )


def _check(metadata: ModelMetadata, prediction: Prediction, rows: int) -> None:
    given = np.asarray(prediction.values)
    if given.ndim == 0 or len(given) != rows:
        raise EvaluationError(
            f"{metadata.name} {metadata.version} gave an answer of shape {given.shape} "
            f"for {rows} rows; one answer a row is needed"
        )
