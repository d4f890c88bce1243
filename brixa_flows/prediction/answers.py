"""Rows with a version's answers beside them, as columns that estimators read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.drift import PerformanceEstimator
from brixa_flows.errors import BrixaError, DriftError
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.datasets import Batch, LabelledBatches
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.serializers.base import Prediction
from brixa_flows.serializers.progress import progress_of_rows

__all__ = ["MOST_ROWS", "PREDICTION", "AnswerSample", "Answers", "Columns"]

Columns = dict[str, NDArray[Any]]

PREDICTION = "(prediction)"
MOST_ROWS = 1_000_000
_SCORE = "(score of {})"
_MOST_CLASSES = 20
_MOST_FEATURES, _SHUFFLED_ROWS = 200, 1_000


class Answers:
    """Rows with a version's answers, as columns.

    Args:
        predictor: The version.
    """

    def __init__(self, predictor: ModelPredictor) -> None:
        self._predictor = predictor
        self._form = form = InputForm.of(predictor.metadata)
        self._who = form.model
        self.features = list(form.columns) if form.kind == "named" else []
        self._classes: tuple[Any, ...] = ()

    def collect(self, batches: LabelledBatches, beside: Iterable[str] = ()) -> Columns:
        """Ask for every row; of very many a random million is kept.

        Args:
            batches: The rows.
            beside: Columns that are kept too, where they are there.
        """
        sample = AnswerSample(MOST_ROWS)
        what = f"asking {self._who}"
        with progress_of_rows(what, batches.expected_rows) as advance:
            for batch in batches:
                sample.add(self._answered(batch, beside))
                advance(batch.chunk.rows)
        return sample.columns()

    def _answered(self, batch: Batch, beside: Iterable[str]) -> Columns:
        answer = self._predictor.predict(batch.inputs)
        there = [name for name in beside if name in batch.chunk.names]
        columns = self.beside(answer, batch.column, there)
        if batch.labels is not None and len(batch.targets) == 1:
            columns[batch.targets[0]] = batch.labels
        return columns

    def beside(
        self,
        answer: Prediction,
        column: Callable[[str], NDArray[Any]],
        names: Iterable[str] = (),
    ) -> Columns:
        """Answers, and beside them the features and other columns of their rows.

        Args:
            answer: Of the version.
            column: Values of a column, by its name.
            names: Columns that are kept beside the features.

        Raises:
            DriftError: If the version answers several values a row.
        """
        values = np.asarray(answer.values)
        if values.ndim != 1 and values.size != len(values):
            raise DriftError(
                f"{self._who} answers {values.shape[1:]} values a row; performance is "
                "told of models with one label or number a row"
            )
        columns = {PREDICTION: values.reshape(len(values))}
        if answer.scores is not None:
            places = range(answer.scores.shape[1])
            classes = answer.classes or tuple(places)
            self._classes = tuple(np.asarray(each).item() for each in classes)
            for place, label in zip(places, self._classes, strict=True):
                columns[_SCORE.format(label)] = answer.scores[:, place]
        for each in [*self.features, *names]:
            columns[each] = column(each)
        return columns

    def estimator(self) -> PerformanceEstimator:
        """An estimator of the version's task, that has learned nothing yet."""
        if not self._classes:
            return PerformanceEstimator("regression")
        if len(self._classes) == 2:
            return PerformanceEstimator("binary", positive=max(self._classes))
        return PerformanceEstimator("multiclass")

    def importance(self, columns: Columns) -> dict[str, float]:
        """How much the answers change when a feature's values are shuffled.

        Args:
            columns: As :meth:`collect` made them.

        Returns:
            The mean change of a score (share of other labels, change of a number) by
            feature, over 1,000 rows at most; nothing where it can't be told.
        """
        if not 0 < len(self.features) <= _MOST_FEATURES:
            return {}
        rng = np.random.default_rng(0)
        order = rng.permutation(len(columns[PREDICTION]))[:_SHUFFLED_ROWS]
        rows = {name: columns[name][order] for name in self.features}
        try:
            usual = self._asked(rows)
            return {
                name: _change(usual, self._asked({**rows, name: rng.permutation(each)}))
                for name, each in rows.items()
            }
        except BrixaError:  # what can't be told of a model keeps it from nothing
            return {}

    def _asked(self, rows: Columns) -> NDArray[Any]:
        table = import_adapter("brixa_flows.prediction._tables").as_table(rows)
        answer = self._predictor.predict(self._form.from_table(table, ()))
        return np.asarray(answer.values if answer.scores is None else answer.scores)

    def named(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels as the version names its classes, where they count those.

        Hugging Face data have 0 and 1 where a model says NEGATIVE and POSITIVE. Where
        the names are numbers themselves, a label never means a place among them.
        """
        names = self._classes
        if not all(isinstance(each, str) for each in names) or _any_number(names):
            return labels
        places: list[int | None] = []
        for each in labels:
            place = _whole(each)
            missing = each is None or each != each
            if not missing and (place is None or not 0 <= place < len(names)):
                return labels
            places.append(None if missing else place)
        told = [None if place is None else names[place] for place in places]
        return np.array(told, dtype=object) if names else labels

    def score_column(self, columns: Columns, label: str) -> Any:
        """Where the estimator finds the scores: a column, or one for each class.

        Raises:
            DriftError: If the version answers with classes but no probabilities.
        """
        if self._classes:
            named = {label: _SCORE.format(label) for label in self._classes}
            return named[max(named)] if len(named) == 2 else named
        if _are_classes(columns[label]) or _are_classes(columns[PREDICTION]):
            raise DriftError(
                f"{self._who} answers with classes but no probabilities, so nothing "
                "tells how sure it is; wait for labels, or save a model with "
                "predict_proba"
            )
        return None


class AnswerSample:
    """Columns of all rows, or of a random part where they are very many.

    Args:
        most: From twice as many on every second one goes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._random = np.random.default_rng(0)
        self._share = 1.0
        self._parts: list[tuple[NDArray[np.float64], Columns]] = []
        self._rows = 0

    def add(self, columns: Columns) -> None:
        """Take more rows; all parts have the same columns."""
        drawn = self._random.random(len(next(iter(columns.values()))))
        self._keep(drawn, columns)
        if self._rows > 2 * self._most:
            self._share /= 2
            before, self._parts, self._rows = self._parts, [], 0
            for each in before:
                self._keep(*each)

    def _keep(self, drawn: NDArray[np.float64], columns: Columns) -> None:
        chosen = drawn < self._share
        kept = {name: values[chosen] for name, values in columns.items()}
        self._parts.append((drawn[chosen], kept))
        self._rows += int(chosen.sum())

    def columns(self) -> Columns:
        """What was kept, in the order of the rows; nothing if there were none."""
        names = self._parts[0][1] if self._parts else ()
        return {
            name: np.concatenate([part[name] for _, part in self._parts])
            for name in names
        }


def _change(before: NDArray[Any], after: NDArray[Any]) -> float:
    if before.dtype.kind == "f":
        return float(np.nan_to_num(np.abs(after - before)).mean())
    return float(np.mean(after != before))


def _whole(value: Any) -> int | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def _any_number(names: Iterable[str]) -> bool:
    return any(_whole(each) is not None for each in names)


def _are_classes(values: NDArray[Any]) -> bool:
    """Are these names or a few whole numbers, rather than amounts?"""
    if values.dtype.kind in "iub":
        return len(np.unique(values)) <= _MOST_CLASSES
    return values.dtype.kind != "f"
