"""Judges registered versions on data, alone or against one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, VersionNotFoundError
from brixa_flows.evaluation.aligning import align
from brixa_flows.evaluation.compare import Comparison, compare_outcomes
from brixa_flows.evaluation.confusion import confusion_matrix
from brixa_flows.evaluation.measuring import (
    measure,
    open_sklearn,
    share_warnings,
    slice_by,
)
from brixa_flows.evaluation.metrics import CustomMetric, Metric, metrics_for
from brixa_flows.evaluation.outcomes import Outcomes, Task, judge
from brixa_flows.evaluation.report import check_format, render
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult, SliceResult
from brixa_flows.prediction import LabelledBatches, ModelPredictor, as_batches
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry.metadata import DatasetRef, ModelMetadata
from brixa_flows.serializers.base import Prediction

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["ModelEvaluator"]

_CLASSES_SHOWN = 50


class ModelEvaluator:
    """Evaluates and compares versions of a registry.

    Args:
        registry: Where the versions are, and where results are kept.
        seed: Of every interval; the same seed and data give the same numbers.
    """

    def __init__(self, registry: ModelRegistry, *, seed: int = 0) -> None:
        self._registry = registry
        self._seed = seed

    def evaluate(
        self,
        model_name: str,
        version: ModelVersion | str | None = None,
        dataset: Any = None,
        metrics: Sequence[str | Metric | CustomMetric] | None = None,
        *,
        target: str | None = None,
        dataset_name: str | None = None,
        slices: Sequence[str] = (),
        task: Task | None = None,
        positive: Any = None,
        record: bool = True,
        answers: Callable[[Any], Prediction] | None = None,
    ) -> EvaluationResult:
        """Judge a version on labelled data and keep the result with it.

        The result goes to the version's journal and, with markdown and HTML reports,
        to its run in the tracking backend.

        Args:
            model_name: The model.
            version: Which version; any spec the registry resolves.
            dataset: Labelled rows in any form that
                :func:`brixa_flows.prediction.as_batches` reads.
            metrics: Names, metrics or functions; ``None`` for the usual ones.
            target: Name of the label column; ``None`` infers it.
            dataset_name: What people call the data.
            slices: Columns for each of whose values the metrics are computed too.
            task: Said instead of inferred.
            positive: The positive label of a binary task; else the second class.
            record: Whether to keep the result.
            answers: Predicts in the version's place, such as an endpoint that serves
                it; takes inputs in the form of the model.

        Raises:
            DatasetError: If the data can't be read or has no labels.
            EvaluationError: If labels, predictions or metrics don't fit.
        """
        predictor: ModelPredictor | _Elsewhere
        if answers is None:
            predictor = self._predictor(model_name, version)
        else:
            resolved = self._registry.resolve(model_name, version)
            metadata = self._registry.get_metadata(model_name, resolved)
            predictor = _Elsewhere(metadata, answers)
        batches = _open(dataset, target, predictor.metadata, dataset_name, slices)
        labels, (prediction,), columns = _predict([predictor], batches, slices)
        outcomes = _judge(predictor.metadata, labels, prediction, task, positive)
        chosen = metrics_for(metrics, outcomes)
        parts = slice_by(columns, outcomes, chosen, seed=self._seed)
        result = self._result(predictor.metadata, outcomes, chosen, parts, batches)
        if record:
            self.keep(result)
        return result

    def keep(
        self, result: EvaluationResult, facts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Keep a result with its version, as :meth:`evaluate` does by default.

        Args:
            result: What was found.
            facts: JSON to keep in the same record.

        Returns:
            The record; it comes last, so what has one is kept as a whole.
        """
        name, version = result.model_name, result.version
        self._registry.log_metrics(name, version, result.metrics, dataset=_ref(result))
        stem = f"evaluation-{result.dataset_digest[:8]}"
        for output_format, suffix in (("markdown", "md"), ("html", "html")):
            text = render(result, output_format)
            self._registry.log_report(name, version, f"{stem}.{suffix}", text)
        record = {**result.to_dict(), **(facts or {})}
        return self._registry.record_evaluation(name, version, record)

    def compare(
        self,
        model_name: str,
        baseline: ModelVersion | str,
        candidate: ModelVersion | str,
        dataset: Any,
        metrics: Sequence[str | Metric | CustomMetric] | None = None,
        *,
        target: str | None = None,
        dataset_name: str | None = None,
        task: Task | None = None,
        positive: Any = None,
        margin: float = 0.0,
    ) -> Comparison:
        """Judge two versions on the same rows, paired; see ``evaluation.compare``.

        Args:
            model_name: The model.
            baseline: Version (or spec, such as ``production``) to beat.
            candidate: The other version.
            dataset: Labelled rows; read once, both predict each batch.
            metrics: As for :meth:`evaluate`, and so the four that follow.
            target: Name of the label column.
            dataset_name: What people call the data.
            task: Said instead of inferred.
            positive: The positive label.
            margin: How much worse still counts as not worse, in the metric's units.

        Raises:
            DatasetError: If the data does not fit both versions.
            EvaluationError: If the two can't be compared on these metrics.
        """
        before = self._predictor(model_name, baseline)
        after = self._predictor(model_name, candidate)
        known = InputForm.of(before.metadata).columns
        batches = _open(dataset, target, after.metadata, dataset_name, known)
        labels, predictions, _ = _predict([after, before], batches, ())
        judged = [
            _judge(each.metadata, labels, prediction, task, positive)
            for each, prediction in zip((after, before), predictions, strict=True)
        ]
        ours, theirs, warnings = align(judged[0], judged[1])
        chosen = metrics_for(metrics, ours)
        usable = [metric.name for metric in metrics_for(metrics, theirs)]
        compared = compare_outcomes(
            theirs,
            ours,
            [metric for metric in chosen if metric.name in usable],
            value_of=open_sklearn().value_of,
            margin=margin,
            seed=self._seed,
        )
        versions = before.metadata.version, after.metadata.version
        facts = _facts(batches)
        return Comparison(model_name, *versions, compared, facts, margin, warnings)

    def generate_report(
        self,
        model_name: str,
        version: ModelVersion | str | None = None,
        output_format: str = "markdown",
    ) -> str:
        """The report of a version's last evaluation, by whichever process it was made.

        Args:
            model_name: The model.
            version: Which version; any spec the registry resolves.
            output_format: ``markdown``, ``html`` (self-contained), ``json`` or
                ``junit``.

        Raises:
            EvaluationError: If the version was never evaluated, or the format is not
                known.
        """
        check_format(output_format)
        resolved = self._registry.resolve(model_name, version)
        stored = self._registry.evaluations(model_name, resolved)
        if not stored:
            raise EvaluationError(
                f"{model_name} {resolved} was never evaluated; call evaluate("
                f"model_name={model_name!r}, version='{resolved}', dataset=...) first"
            )
        return render(EvaluationResult.from_dict(stored[-1]), output_format)

    def _result(
        self,
        metadata: ModelMetadata,
        outcomes: Outcomes,
        metrics: Sequence[Metric],
        slices: tuple[SliceResult, ...],
        batches: LabelledBatches,
    ) -> EvaluationResult:
        values, intervals = measure(outcomes, metrics, seed=self._seed)
        binary = outcomes.task == "binary"
        return EvaluationResult(
            model_name=metadata.name,
            version=metadata.version,
            task=outcomes.task,
            metrics=values,
            intervals=intervals,
            dataset=_facts(batches),
            evaluated_at=datetime.now(UTC),
            classes=outcomes.classes,
            positive=outcomes.classes[outcomes.positive] if binary else None,
            confusion=_confusion(outcomes),
            curves=open_sklearn().curves(outcomes),
            slices=slices,
            warnings=outcomes.warnings + share_warnings(outcomes, metrics),
            production=self._production(metadata.name),
        )

    def _predictor(
        self, model_name: str, spec: ModelVersion | str | None
    ) -> ModelPredictor:
        return ModelPredictor.from_registry(self._registry, model_name, spec)

    def _production(self, model_name: str) -> str | None:
        try:
            return str(self._registry.resolve(model_name, "production"))
        except VersionNotFoundError:
            return None


@dataclass(frozen=True)
class _Elsewhere:
    """Predicts for a version without loading it."""

    metadata: ModelMetadata
    predict: Callable[[Any], Prediction]


@dataclass
class _Collected:
    """Predictions of one model, batch after batch."""

    values: list[NDArray[Any]]
    scores: list[NDArray[Any]]
    classes: tuple[Any, ...] | None = None

    def add(self, prediction: Prediction) -> None:
        self.values.append(np.asarray(prediction.values))
        if prediction.scores is not None:
            self.scores.append(np.asarray(prediction.scores))
            self.classes = prediction.classes

    def joined(self) -> Prediction:
        scores = np.concatenate(self.scores) if self.scores else None
        return Prediction(np.concatenate(self.values), scores, self.classes)


def _predict(
    predictors: Sequence[ModelPredictor | _Elsewhere],
    batches: LabelledBatches,
    columns: Iterable[str],
) -> tuple[NDArray[Any], list[Prediction], dict[str, NDArray[Any]]]:
    """Labels, each model's predictions, and the columns asked for, of all rows.

    The batches are in the form of the first model.
    """
    collected = [_Collected([], []) for _ in predictors]
    labels: list[NDArray[Any]] = []
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for batch in batches:
        assert batch.labels is not None  # as_batches refuses rows without labels
        labels.append(batch.labels)
        for index, (predictor, into) in enumerate(
            zip(predictors, collected, strict=True)
        ):
            inputs = batch.inputs_for(predictor.metadata) if index else batch.inputs
            prediction = predictor.predict(inputs)
            _check_answers(predictor.metadata, prediction, batch.labels.shape[0])
            into.add(prediction)
        for name, values in kept.items():
            values.append(batch.column(name))
    joined = {name: np.concatenate(values) for name, values in kept.items()}
    return np.concatenate(labels), [each.joined() for each in collected], joined


def _check_answers(metadata: ModelMetadata, answer: Prediction, rows: int) -> None:
    given = np.asarray(answer.values)
    if given.ndim == 0 or len(given) != rows:
        raise EvaluationError(
            f"{metadata.name} {metadata.version} gave an answer of shape {given.shape} "
            f"for {rows} rows; one answer a row is needed"
        )


def _open(
    dataset: Any,
    target: str | None,
    metadata: ModelMetadata,
    name: str | None,
    besides: Sequence[str],
) -> LabelledBatches:
    if dataset is None:
        raise EvaluationError(
            "there is no dataset; give labelled rows, such as (X, y) or a DataFrame"
        )
    return as_batches(
        dataset, target=target, metadata=metadata, name=name, besides=besides
    )


def _judge(
    metadata: ModelMetadata,
    labels: NDArray[Any],
    prediction: Prediction,
    task: Task | None,
    positive: Any,
) -> Outcomes:
    try:
        return judge(
            labels,
            prediction,
            task=task,
            model_type=metadata.model_type,
            positive=positive,
        )
    except EvaluationError as err:
        where = f"{metadata.name} {metadata.version}"
        raise EvaluationError(f"{where}: {err.message}", **err.facts) from err


def _ref(result: EvaluationResult) -> DatasetRef:
    facts = result.dataset
    return DatasetRef(
        name=facts.name,
        uri=facts.uri,
        digest=facts.digest,
        rows=facts.rows,
        columns=facts.columns,
        role="evaluation",
    )


def _facts(batches: LabelledBatches) -> DatasetFacts:
    return DatasetFacts(
        name=batches.name,
        digest=batches.digest,
        rows=batches.rows,
        columns=batches.columns,
        target=batches.target or "",
        uri=batches.uri,
    )


def _confusion(outcomes: Outcomes) -> tuple[tuple[int, ...], ...]:
    if outcomes.task == "regression" or len(outcomes.classes) > _CLASSES_SHOWN:
        return ()
    return tuple(tuple(row) for row in confusion_matrix(outcomes).tolist())
