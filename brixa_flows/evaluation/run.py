"""Models asked about every row of a dataset, and what follows from their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.answering import Answerer, answer
from brixa_flows.evaluation.confusion import confusion_matrix
from brixa_flows.evaluation.judging import judge
from brixa_flows.evaluation.measuring import (
    measure,
    open_sklearn,
    share_warnings,
    slice_by,
)
from brixa_flows.evaluation.metrics import metrics_for
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.evaluation.thresholds import at_threshold
from brixa_flows.prediction import LabelledBatches
from brixa_flows.serializers.progress import progress_of_rows

__all__ = ["Run"]

_CLASSES_SHOWN = 50


class Run:
    """Asks at once; what follows is computed when it is wanted.

    Args:
        answerers: The models; the batches are in the form of the first.
        batches: Labelled rows.
        columns: Columns to keep for slices.
    """

    def __init__(
        self,
        answerers: Sequence[Answerer],
        batches: LabelledBatches,
        columns: Sequence[str] = (),
    ) -> None:
        self._metadata = [each.metadata for each in answerers]
        names = " and ".join(f"{each.name} {each.version}" for each in self._metadata)
        what = f"asking {names} about {batches.name}"
        with progress_of_rows(what, batches.expected_rows) as advance:
            self._answered = answer(answerers, batches, columns, advance)
        self.facts = DatasetFacts.of(batches)

    def outcomes(self, question: Question, place: int = 0) -> Outcomes:
        """Labels and answers of one of the models, checked.

        Args:
            question: What is asked.
            place: Which of the models.

        Raises:
            EvaluationError: If the two don't fit; names the model.
        """
        metadata = self._metadata[place]
        try:
            judged = judge(
                self._answered.labels,
                self._answered.predictions[place],
                task=question.task,
                model_type=metadata.model_type,
                positive=question.positive,
            )
            if question.threshold is not None:
                judged = at_threshold(judged, question.threshold)
        except EvaluationError as err:
            where = f"{metadata.name} {metadata.version}"
            raise EvaluationError(f"{where}: {err.message}", **err.facts) from err
        return replace(judged, costs=self._answered.costs[place])

    def result(self, question: Question) -> EvaluationResult:
        """What the first model shows.

        Raises:
            EvaluationError: If labels, predictions or metrics don't fit.
        """
        outcomes, seed = self.outcomes(question), question.seed
        chosen = metrics_for(question.metrics, outcomes)
        values, intervals = measure(outcomes, chosen, seed=seed)
        binary = outcomes.task == "binary"
        return EvaluationResult(
            model_name=self._metadata[0].name,
            version=self._metadata[0].version,
            task=outcomes.task,
            metrics=values,
            intervals=intervals,
            dataset=self.facts,
            evaluated_at=datetime.now(UTC),
            classes=outcomes.classes,
            positive=outcomes.classes[outcomes.positive] if binary else None,
            confusion=_confusion(outcomes),
            curves=open_sklearn().curves(outcomes),
            slices=slice_by(self._answered.columns, outcomes, chosen, seed=seed),
            warnings=outcomes.warnings + share_warnings(outcomes, chosen),
            asked=question.asked or {},
        )


def _confusion(outcomes: Outcomes) -> tuple[tuple[int, ...], ...]:
    if not outcomes.classifies or len(outcomes.classes) > _CLASSES_SHOWN:
        return ()
    return tuple(tuple(row) for row in confusion_matrix(outcomes).tolist())
