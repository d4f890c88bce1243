"""How good a version is on a window of rows: estimated at once, realised by labels.

An estimator is learned from labelled rows that the version was not trained on, and kept
with it. The version's answers become columns beside what it was asked; estimators know
no registry and no models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.drift import PerformanceEstimator, PerformanceReport
from brixa_flows.drift.performance.columns import as_texts, read_columns
from brixa_flows.errors import DriftError
from brixa_flows.prediction.answers import (
    MOST_ROWS,
    PREDICTION,
    Answers,
    AnswerSample,
    Columns,
)
from brixa_flows.prediction.datasets import as_batches
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.sources import Chunk
from brixa_flows.serializers.base import Prediction

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = [
    "SeenAnswers",
    "WindowPerformance",
    "judge_performance",
    "learn_performance",
]


@dataclass(frozen=True)
class WindowPerformance:
    """What is known of a version in a window.

    Attributes:
        report: Its performance: realised if labels were given, else estimated.
        rows: Rows of the window.
        labelled: Those whose label is known.
    """

    report: PerformanceReport
    rows: int
    labelled: int = 0


def learn_performance(
    registry: ModelRegistry,
    name: str,
    version: ModelVersion | str,
    rows: Any,
    *,
    target: str | None = None,
    dataset_name: str | None = None,
) -> dict[str, Any]:
    """Learn from labelled rows how good a version is, and keep that with it.

    Learned from the same rows before, it is not learned again.

    Args:
        registry: Where the version is.
        name: The model.
        version: Its version.
        rows: Labelled rows that it was not trained on, as an evaluation takes them; of
            more than a million a random million is used.
        target: Column of the label; ``None`` if it is plain.
        dataset_name: What people call the rows.

    Returns:
        The record: ``estimator``, ``dataset``, ``target``, ``importance`` by feature
        (empty where it can't be told) and what the journal adds.

    Raises:
        DatasetError: If the rows don't fit the version or have no labels.
        DriftError: If they can't teach: fewer than 200, one class, classes without
            probabilities.
    """
    predictor = ModelPredictor.from_registry(registry, name, version)
    batches = as_batches(
        rows, target=target, metadata=predictor.metadata, name=dataset_name
    )
    found = str(predictor.metadata.version)
    learned = [] if batches.once else registry.estimators(name, found)
    for record in reversed(learned):
        if _is_of(record, batches.digest, target):
            return dict(record)
    answers = Answers(predictor)
    columns = answers.collect(batches)
    label = batches.target or ""
    if label not in columns:
        raise DriftError(
            f"the labels of several columns ({label}) teach no estimator; name one"
        )
    columns[label] = answers.named(columns[label])
    estimator = answers.estimator().fit(
        columns,
        target_column=label,
        prediction_column=PREDICTION,
        score_column=answers.score_column(columns, label),
        feature_columns=answers.features,
    )
    dataset = batches.reference("performance").model_dump(mode="json")
    kept = {"estimator": estimator.to_dict(), "dataset": dataset, "target": target}
    kept["importance"] = answers.importance(columns)
    return registry.record_estimator(name, found, kept)


def judge_performance(
    registry: ModelRegistry,
    name: str,
    version: ModelVersion | str,
    rows: Any,
    *,
    labels: Any = None,
    row_id: str | None = None,
) -> WindowPerformance | None:
    """Say how good a version is on a window of rows.

    Without labels it is estimated, which sees no concept drift. With labels, in the
    rows themselves or in data of their own, it is measured on the labelled rows.

    Args:
        registry: Where the version is.
        name: The model.
        version: Its version.
        rows: What it was asked, in any form that an evaluation takes.
        labels: Rows with ``row_id`` and the label, in any form that
            :class:`DriftDetector` reads; of two for one row the later one counts.
        row_id: Column of both; ``None`` if the rows hold their label themselves.

    Returns:
        ``None`` if no estimator was learned for the version.

    Raises:
        DatasetError: If the rows don't fit the version.
        DriftError: If a column is absent, or labels came without ``row_id``.
    """
    if labels is not None and row_id is None:
        raise DriftError("labels are joined by row id: name its column as row_id=")
    estimator = _kept_estimator(registry, name, version)
    if estimator is None:
        return None
    predictor = ModelPredictor.from_registry(registry, name, version)
    inside = labels is None and row_id is None
    batches = as_batches(
        rows, metadata=predictor.metadata, labelled=False, may_be_empty=True
    )
    beside = [estimator.target] if inside else [row_id] if row_id else []
    answers = Answers(predictor)
    columns = answers.collect(batches, beside)
    if columns and labels is not None and row_id is not None:
        known = _known_labels(labels, row_id, estimator.target)
        columns[estimator.target] = _looked_up(columns, row_id, known, name)
    if estimator.target in columns:
        columns[estimator.target] = answers.named(columns[estimator.target])
    return _told_by(estimator, columns, inside=inside)


class SeenAnswers:
    """Answers that a version gives anyway, kept to tell how good it is on those rows.

    Args:
        estimator: What was learned for the version.
        predictor: The version.
    """

    def __init__(
        self, estimator: PerformanceEstimator, predictor: ModelPredictor
    ) -> None:
        self._estimator = estimator
        self._answers = Answers(predictor)
        self._sample = AnswerSample(MOST_ROWS)

    @classmethod
    def of(
        cls, registry: ModelRegistry, predictor: ModelPredictor
    ) -> SeenAnswers | None:
        """For a version; ``None`` if no estimator was learned for it."""
        metadata = predictor.metadata
        kept = _kept_estimator(registry, metadata.name, metadata.version)
        return None if kept is None else cls(kept, predictor)

    @property
    def target(self) -> str:
        """The column of the label, where rows have one."""
        return self._estimator.target

    def add(self, chunk: Chunk, answer: Prediction) -> None:
        """Take more rows, with what the version answered.

        Raises:
            DriftError: If it answers several values a row.
        """
        beside = {self._estimator.target} & set(chunk.names)
        self._sample.add(self._answers.beside(answer, chunk.column, beside))

    def tell(self) -> WindowPerformance:
        """How good it is: measured if the rows have their labels, else estimated.

        Raises:
            DriftError: If the rows can't be judged.
        """
        columns, target = self._sample.columns(), self._estimator.target
        if target in columns:
            columns[target] = self._answers.named(columns[target])
        return _told_by(self._estimator, columns, inside=True)


def _kept_estimator(
    registry: ModelRegistry, name: str, version: ModelVersion | str
) -> PerformanceEstimator | None:
    kept = registry.estimators(name, version)
    return PerformanceEstimator.from_dict(kept[-1]["estimator"]) if kept else None


def _told_by(
    estimator: PerformanceEstimator, columns: Columns, *, inside: bool
) -> WindowPerformance:
    """Measured on the rows whose label is known, or estimated."""
    if not columns:
        nothing = {column: np.empty(0) for column in estimator.columns()}
        return WindowPerformance(estimator.estimate(nothing), 0)
    total = len(columns[PREDICTION])
    if estimator.target not in columns:
        return WindowPerformance(estimator.estimate(columns), total)
    labels = columns[estimator.target]
    if labels.ndim != 1 or any(isinstance(x, list | np.ndarray) for x in labels):
        raise DriftError(
            f"{estimator.target!r} holds lists; the label of a row is one value"
        )
    told = _are_known(labels)
    if inside and not told.any():
        return WindowPerformance(estimator.estimate(columns), total)
    labelled = {each: values[told] for each, values in columns.items()}
    return WindowPerformance(estimator.realise(labelled), total, int(told.sum()))


def _is_of(record: Mapping[str, Any], digest: str, target: str | None) -> bool:
    dataset = record.get("dataset") or {}
    return dataset.get("digest") == digest and record.get("target") == target


def _known_labels(labels: Any, row_id: str, target: str) -> dict[str, Any]:
    columns = read_columns(labels, [row_id, target])
    ids, told = as_texts(columns[row_id]), as_texts(columns[target])
    return {
        row: label
        for row, label in zip(ids, told, strict=True)
        if row is not None and label is not None
    }


def _looked_up(
    columns: Columns, row_id: str, known: Mapping[str, Any], name: str
) -> NDArray[Any]:
    if row_id not in columns:
        raise DriftError(
            f"the rows that {name} was asked have no column {row_id!r}, so no label can "
            "be joined to them; log a row id with each request"
        )
    ids = as_texts(read_columns({row_id: columns.pop(row_id)}, [row_id])[row_id])
    found = [known.get(row) if row is not None else None for row in ids]
    return np.array(found, dtype=object)


def _are_known(labels: NDArray[Any]) -> NDArray[np.bool_]:
    # A missing label is None or NaN, the only value that differs from itself.
    return np.array([each is not None and each == each for each in labels], dtype=bool)
