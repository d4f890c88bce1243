"""Several labels a row: checks, and draws of their metrics.

Labels and answers are 0 and 1, one column a label. Rows are resampled (a multinomial
bootstrap); what a metric counts is summed for all draws in one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.confusion import fraction, ratio
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.evaluation.telling import are_within, outside_of_shares
from brixa_flows.serializers.base import Prediction

__all__ = [
    "SeveralReading",
    "are_one_hot",
    "count_draws",
    "judge_several",
    "of_counts",
    "row_shares",
]

Floats = NDArray[np.float64]


def are_one_hot(
    labels: NDArray[Any], prediction: Prediction, task: Task | None
) -> bool:
    """Whether rows of several columns name one class each.

    Said by the task; else told by labels and probabilities that both sum to 1 a row.
    """
    if labels.ndim != 2 or labels.shape[1] < 2 or task == "multilabel":
        return False
    if labels.dtype.kind not in "fiub" or not (labels.sum(axis=1) == 1).all():
        return False
    if not np.isin(labels, (0, 1)).all():
        return False
    if task in ("binary", "multiclass"):
        return True
    scores = prediction.values if prediction.scores is None else prediction.scores
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.dtype.kind != "f" or task is not None:
        return False
    return bool((scores >= 0).all() and (abs(scores.sum(axis=1) - 1) < 1e-3).all())


@dataclass(frozen=True)
class SeveralReading:
    """How rows of several labels are read; all batches of one dataset are read alike.

    Attributes:
        classes: Label of each column.
        link: What makes probabilities of the answers; ``None`` where they are labels.
        certain: Whether the model says its labels beside their probabilities.
        outside: How many scores are no probabilities, for people.
    """

    classes: tuple[Any, ...]
    link: Literal["identity", "sigmoid"] | None
    certain: bool
    outside: str = ""
    guessed: ClassVar[bool] = False
    named: ClassVar[bool] = True

    @property
    def told(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of it."""
        if self.link != "sigmoid" or self.certain:
            return ()
        return (
            f"{self.outside} not between 0 and 1, so all were taken for decision scores: "
            "a row has a label from 0 on, and their sigmoid stands for its probability",
        )

    @classmethod
    def of(cls, labels: NDArray[Any], prediction: Prediction) -> SeveralReading:
        """Decide from rows that :func:`checking.checked` let through.

        Answers that are not all 0 and 1 are scores: through a sigmoid unless within 0
        and 1.

        Raises:
            EvaluationError: If labels and answers don't fit, with the column to blame.
        """
        truth = _zeros_and_ones(labels)
        values, scores = _answers(truth, prediction)
        counted = bool(np.isin(values, (0, 1)).all())
        link: Literal["identity", "sigmoid"] | None = None
        if prediction.scores is not None or not counted:
            link = "identity" if are_within(scores) else "sigmoid"
        classes = prediction.classes or ()
        if len(classes) != truth.shape[1]:
            classes = tuple(range(truth.shape[1]))
        certain = prediction.scores is not None and counted
        return cls(tuple(classes), link, certain, outside_of_shares(scores))

    def read(self, labels: NDArray[Any], prediction: Prediction) -> Outcomes:
        """Rows in one coding; a label is predicted from the probability 0.5 on.

        Raises:
            EvaluationError: If these rows can't be read so.
        """
        truth = _zeros_and_ones(labels)
        values, scores = _answers(truth, prediction)
        if truth.shape[1] != len(self.classes):
            raise EvaluationError(
                f"there are {truth.shape[1]} labels a row, but the first rows have "
                f"{len(self.classes)}"
            )
        probabilities = margins = None
        if self.link == "sigmoid":
            margins = scores.astype(np.float64)
            probabilities = expit(margins)
        elif self.link == "identity":
            probabilities = _probabilities(scores)
        elif prediction.margins is not None:
            margins = prediction.margins.astype(np.float64)
        if self.certain or probabilities is None:
            if not np.isin(values, (0, 1)).all():
                raise EvaluationError(
                    "answers are not all 0 and 1, as the first ones are; raise exact_rows "
                    "so that all rows decide"
                )
            predicted = values.astype(np.int64)
        else:
            called = probabilities >= 0.5 if margins is None else margins >= 0
            predicted = called.astype(np.int64)
        return Outcomes(
            "multilabel",
            truth,
            predicted,
            probabilities,
            self.classes,
            known=len(self.classes),
            margins=margins,
        )


def _probabilities(scores: NDArray[Any]) -> Floats:
    if not are_within(scores):
        raise EvaluationError(
            "probabilities are not all between 0 and 1, as the first ones are; raise "
            "exact_rows so that all rows decide"
        )
    clipped: Floats = scores.astype(np.float64).clip(0, 1)
    return clipped


def judge_several(labels: NDArray[Any], prediction: Prediction) -> Outcomes:
    """Outcomes of several labels a row, read as :class:`SeveralReading` says.

    Args:
        labels: 0 and 1, of shape (n_samples, n_labels).
        prediction: The model's answer for the same rows.

    Raises:
        EvaluationError: If the two don't fit, with the column to blame.
    """
    reading = SeveralReading.of(labels, prediction)
    return replace(reading.read(labels, prediction), warnings=reading.told)


def _answers(
    truth: NDArray[Any], prediction: Prediction
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values and scores, each of the shape of the labels."""
    values = np.asarray(prediction.values)
    scores = values if prediction.scores is None else np.asarray(prediction.scores)
    for what, given in (("predictions", values), ("probabilities", scores)):
        if given.shape != truth.shape:
            raise EvaluationError(
                f"the labels have shape {truth.shape} but the {what} {given.shape}; "
                "each row needs one of every label"
            )
    return values, scores


def _zeros_and_ones(labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 2:
        raise EvaluationError(
            f"a multilabel task needs labels of shape (n_samples, n_labels), not "
            f"{labels.shape}"
        )
    if labels.size == 0:
        raise EvaluationError("the dataset has no rows; there is nothing to judge")
    strange = [
        index
        for index in range(labels.shape[1])
        if not np.isin(labels[:, index], (0, 1)).all()
    ]
    if strange:
        column = labels[:, strange[0]].tolist()
        value = next(x for x in column if x not in (0, 1))
        raise EvaluationError(
            f"the labels have several columns, which must hold 0 and 1 only; columns "
            f"{some_of(map(str, strange))} don't (such as {value!r})"
        )
    return labels.astype(np.int64)


def count_draws(name: str, outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """A metric of labels for each way of counting the rows.

    Args:
        name: ``accuracy``, ``zero_one_loss``, ``hamming_loss``, or precision, recall,
            F, Jaccard with an average.
        outcomes: Of a multilabel task.
        counts: How often each row counts, of shape (n_draws, n_samples).

    Returns:
        Array of shape (n_draws,).
    """
    weights = counts / counts.sum(axis=1, keepdims=True)
    each = row_shares(name, outcomes)
    if each is not None:
        drawn: Floats = weights @ each
        return drawn
    truth = outcomes.truth.astype(np.float64)
    predicted = outcomes.predicted.astype(np.float64)
    parts = [truth * predicted, truth, predicted]
    return of_counts(name, *(weights @ part for part in parts))


def row_shares(name: str, outcomes: Outcomes) -> Floats | None:
    """What a metric is the mean of over the rows; ``None`` if it is of the labels.

    Returns:
        Array of shape (n_samples,).
    """
    wrong = outcomes.truth != outcomes.predicted
    if name in ("accuracy", "zero_one_loss"):
        missed = wrong.any(axis=1)
        told: Floats = (~missed if name == "accuracy" else missed).astype(np.float64)
        return told
    if name == "hamming_loss":
        share: Floats = wrong.mean(axis=1)
        return share
    metric, _, average = name.partition("_")
    if average != "samples":
        return None
    sides = outcomes.truth.astype(np.float64), outcomes.predicted.astype(np.float64)
    parts = (sides[0] * sides[1], *sides)
    return ratio(*fraction(metric, *(part.sum(axis=1) for part in parts)))


def of_counts(name: str, hits: Floats, actual: Floats, answered: Floats) -> Floats:
    """Precision, recall, an F or Jaccard from how often each label occurs.

    Args:
        name: Of the metric, with its average over the labels.
        hits: Rows (or their share) that have a label and are said to, of shape
            (n_draws, n_labels).
        actual: Those that have it.
        answered: Those that are said to.

    Returns:
        Array of shape (n_draws,).
    """
    metric, _, average = name.partition("_")
    above, below = fraction(metric, hits, actual, answered)
    if average == "micro":
        return ratio(above.sum(axis=1), below.sum(axis=1))
    ratios = ratio(above, below)
    if average == "weighted":
        support = actual / np.maximum(actual.sum(axis=1, keepdims=True), 1e-300)
        weighted: Floats = (ratios * support).sum(axis=1)
        return weighted
    mean: Floats = ratios.mean(axis=1)
    return mean
