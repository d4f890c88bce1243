"""Several labels a row: checks, and draws of their metrics.

Labels and answers are 0 and 1, one column a label. Rows are resampled (a multinomial
bootstrap); what a metric counts is summed for all draws in one matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.confusion import fraction, ratio
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.serializers.base import Prediction

__all__ = ["are_one_hot", "count_draws", "judge_several"]

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


def judge_several(labels: NDArray[Any], prediction: Prediction) -> Outcomes:
    """Outcomes of several labels a row.

    Answers that are not all 0 and 1 are scores: through a sigmoid unless within 0 and 1;
    a label is predicted from 0.5 on.

    Args:
        labels: 0 and 1, of shape (n_samples, n_labels).
        prediction: The model's answer for the same rows.

    Raises:
        EvaluationError: If the two don't fit, with the column to blame.
    """
    truth = _zeros_and_ones(labels)
    values = np.asarray(prediction.values)
    scores = values if prediction.scores is None else np.asarray(prediction.scores)
    for what, given in (("predictions", values), ("probabilities", scores)):
        if given.shape != truth.shape:
            raise EvaluationError(
                f"the labels have shape {truth.shape} but the {what} {given.shape}; "
                "each row needs one of every label"
            )
    probabilities = None
    if prediction.scores is not None or not np.isin(values, (0, 1)).all():
        probabilities = _squashed(scores)
    certain = prediction.scores is not None and np.isin(values, (0, 1)).all()
    if certain or probabilities is None:
        predicted = values.astype(np.int64)
    else:
        predicted = (probabilities >= 0.5).astype(np.int64)
    width = truth.shape[1]
    classes = prediction.classes or ()
    if len(classes) != width:
        classes = tuple(range(width))
    return Outcomes(
        "multilabel", truth, predicted, probabilities, tuple(classes), known=width
    )


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


def _squashed(scores: NDArray[Any]) -> Floats:
    scores = scores.astype(np.float64)
    if ((scores >= 0) & (scores <= 1)).all():
        return scores
    squashed: Floats = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
    return squashed


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
    truth = outcomes.truth.astype(np.float64)
    predicted = outcomes.predicted.astype(np.float64)
    if name in ("accuracy", "zero_one_loss", "hamming_loss"):
        wrong = truth != predicted
        share = wrong.mean(axis=1) if name == "hamming_loss" else wrong.any(axis=1)
        drawn: Floats = weights @ share.astype(np.float64)
        return 1 - drawn if name == "accuracy" else drawn
    metric, _, average = name.partition("_")
    parts = [truth * predicted, truth, predicted]
    if average == "samples":
        above, below = fraction(metric, *(part.sum(axis=1) for part in parts))
        each: Floats = weights @ ratio(above, below)
        return each
    hits, actual, answered = (weights @ part for part in parts)
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
