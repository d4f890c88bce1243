"""Rows that are too many to keep: each batch is judged, summed up and let go.

How rows are read is decided by the first ones and then refused to change: a number
never means something else than it would if all rows were kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.checking import checked
from brixa_flows.evaluation.judging import (
    are_several,
    check_task,
    class_warnings,
    with_task,
)
from brixa_flows.evaluation.measuring import SLICES_AT_MOST, Found, slice_texts
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import metrics_for, named_metrics
from brixa_flows.evaluation.multilabel import SeveralReading
from brixa_flows.evaluation.outcomes import Costs, Outcomes
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.reading import Reading
from brixa_flows.evaluation.streaming.summary import Summary
from brixa_flows.evaluation.streaming.summed_metrics import (
    found_in_summary,
    slice_of_summary,
)
from brixa_flows.evaluation.telling import are_whole
from brixa_flows.evaluation.thresholds import at_threshold, threshold_warnings
from brixa_flows.serializers.base import Prediction

__all__ = ["Stream"]

_GUESSED_CLASSES = 50


class Stream:
    """Sums up labels and answers of one model.

    Args:
        question: What is asked.
        model_type: The model's type in its owner's words.
    """

    def __init__(self, question: Question, model_type: str) -> None:
        self._question = question
        self._model_type = model_type
        self._reading: Reading | SeveralReading | None = None
        self._metrics: list[Metric] = []
        self._first: Outcomes | None = None
        self._classes: tuple[Any, ...] = ()
        self._whole: Summary | None = None
        self._parts: dict[str, dict[str, Summary]] = {}

    @property
    def exact_rows(self) -> int:
        """Up to how many rows are kept."""
        return self._question.exact_rows

    def opens(self, labels: NDArray[Any], prediction: Prediction) -> bool:
        """Whether what is asked can be summed up, as the first rows tell.

        Functions and medians can't: they need all rows.

        Raises:
            EvaluationError: If these rows can't be read.
        """
        question = self._question
        check_task(question.task)
        given = checked(labels, prediction)
        if are_several(given, prediction, question.task):
            self._reading = SeveralReading.of(given, prediction)
        else:
            task, words = question.task, self._model_type
            positive = question.positive
            self._reading = Reading.of(given, prediction, task, words, positive)
        self._first = self._as_asked(self._reading.read(given, prediction))
        self._classes = self._first.classes
        self._metrics = self._possible(self._first)
        task, known = self._first.task, self._first.known
        return all(each.sums_up(task, known) for each in self._metrics)

    def _possible(self, first: Outcomes) -> list[Metric]:
        """Metrics asked for; what no rows of this kind could give is refused now."""
        named = named_metrics(self._question.metrics, first.task)
        possible = [each for each in named if each.suits(first)]
        if self._question.metrics is not None and len(possible) < len(named):
            metrics_for(self._question.metrics, first)
        return possible

    def fold(
        self,
        labels: NDArray[Any],
        prediction: Prediction,
        columns: Mapping[str, NDArray[Any]],
    ) -> None:
        """Add rows.

        Args:
            labels: Of the rows.
            prediction: The model's answers.
            columns: Values by name of the columns that are sliced by.

        Raises:
            EvaluationError: If they can't be read as the first rows were.
        """
        assert self._first is not None  # it was opened
        before = 0 if self._whole is None else self._whole.rows
        try:
            batch = self._read(labels, prediction)
        except EvaluationError as err:
            numbered = before and "the first is row" in err.message
            counting = f" (rows are counted from row {before})" if numbered else ""
            raise EvaluationError(
                f"in the {len(labels)} rows from row {before} on: {err.message}"
                f"{counting}",
                **err.facts,
            ) from err
        if self._whole is None:
            self._whole = self._summary(whole=True)
        self._whole.fold(batch)
        for name, values in columns.items():
            self._fold_slices(name, slice_texts(values), batch)

    def _read(self, labels: NDArray[Any], prediction: Prediction) -> Outcomes:
        assert self._reading is not None and self._first is not None
        given = checked(labels, prediction)
        if self._guesses_classes and not are_whole(given):
            raise EvaluationError(
                "the labels are not whole, as the first ones are, so they may be "
                "numbers and no classes; say task='regression' or task='multiclass'"
            )
        read = self._reading.read(given, prediction)
        if not read.classifies:
            return self._as_asked(read)
        return self._as_asked(self._recoded(read))

    @property
    def _guesses_classes(self) -> bool:
        reading = self._reading
        guessed = reading is not None and reading.guessed
        return guessed and not getattr(reading, "regression", False)

    def _recoded(self, read: Outcomes) -> Outcomes:
        """In the coding of all rows so far."""
        known = list(self._classes)
        known += [label for label in read.classes if label not in known]
        self._check_classes(known)
        self._classes = tuple(known)
        places = {label: code for code, label in enumerate(known)}
        lookup = np.array([places[label] for label in read.classes], dtype=np.int64)
        return replace(
            read,
            truth=lookup[read.truth],
            predicted=lookup[read.predicted],
            classes=self._classes,
        )

    def _check_classes(self, known: list[Any]) -> None:
        assert self._reading is not None and self._first is not None
        new = known[len(self._classes) :]
        if self._first.task == "binary" and len(known) > 2:
            raise EvaluationError(
                f"the first rows have two classes, but here is {some_of(map(repr, new))}"
                "; say task='multiclass', or raise exact_rows so that all rows decide"
            )
        if self._guesses_classes and len(known) > _GUESSED_CLASSES:
            raise EvaluationError(
                f"there are more than {_GUESSED_CLASSES} different labels, which may "
                "be numbers; say task='regression' or task='multiclass'"
            )

    def _as_asked(self, read: Outcomes) -> Outcomes:
        """Of the task of the first rows, at the threshold that is asked for."""
        if self._first is None:
            question = self._question
            judged = with_task(read, question.task, question.positive)
        else:
            first = self._first
            judged = replace(read, task=first.task, positive=first.positive)
        threshold = self._question.threshold
        return judged if threshold is None else at_threshold(judged, threshold)

    def _summary(self, *, whole: bool) -> Summary:
        assert self._first is not None
        seed = self._question.seed
        return Summary(self._first, self._metrics, seed=seed, whole=whole)

    def _fold_slices(self, column: str, texts: NDArray[Any], batch: Outcomes) -> None:
        parts = self._parts.setdefault(column, {})
        for value in np.unique(texts):
            if str(value) not in parts:
                parts[str(value)] = self._summary(whole=False)
            parts[str(value)].fold(batch.take(np.flatnonzero(texts == value)))
        if len(parts) > SLICES_AT_MOST:
            raise EvaluationError(
                f"the column {column!r} has more than {SLICES_AT_MOST} different "
                "values; bin it before it can be a slice column"
            )

    @property
    def _told(self) -> tuple[str, ...]:
        """What the first rows tell of how all are read."""
        assert self._whole and self._reading and self._first is not None
        rows, told = self._first.rows, self._reading.told
        if rows == self._whole.rows:
            return told
        return tuple(f"in the first {rows:,} rows: {each}" for each in told)

    def found(self, costs: Costs) -> Found:
        """What the rows show.

        Raises:
            EvaluationError: If labels, answers or metrics don't fit.
        """
        assert self._whole is not None and self._reading is not None  # rows were added
        every = [part for parts in self._parts.values() for part in parts.values()]
        for each in (self._whole, *every):
            each.classes = self._classes
            if not self._reading.named:  # all that occur are those of the model
                each.known = len(self._classes)
        self._whole.costs = costs
        assert self._first is not None
        named, threshold = self._reading.named, self._question.threshold
        warned = self._told + class_warnings(self._whole, named=named)
        warned += threshold_warnings(self._first.one_score, threshold)
        chosen = metrics_for(self._question.metrics, self._whole)
        seed = self._question.seed
        found = found_in_summary(self._whole, chosen, seed)
        parts = [
            slice_of_summary(column, value, parts[value], chosen, seed)
            for column, parts in self._parts.items()
            for value in sorted(parts)
        ]
        return replace(found, slices=tuple(parts), warnings=warned + found.warnings)
