"""Checks labels and predictions of the same rows and tells the task they belong to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.checking import checked
from brixa_flows.evaluation.multilabel import are_one_hot, judge_several
from brixa_flows.evaluation.outcomes import Judged, Outcomes, Task
from brixa_flows.evaluation.reading import Reading
from brixa_flows.serializers.base import Prediction

__all__ = ["are_several", "check_task", "class_warnings", "judge", "with_task"]


def judge(
    labels: NDArray[Any],
    prediction: Prediction,
    *,
    task: Task | None = None,
    model_type: str = "",
    positive: Any = None,
) -> Outcomes:
    """Check labels and predictions of the same rows and bring them to one coding.

    Labels of shape (n_samples, n_labels) are several a row (``multilabel``), unless they
    are one-hot and the model's probabilities sum to 1 in each row. Numbers as labels of
    a model whose classes are texts count its classes, as Hugging Face datasets do.
    Outputs of shape (n_samples, n_classes) without class names are class scores: rows
    that are no probabilities go through a softmax, the label is the index of the
    largest. One column against labels 0 and 1 is the score of class 1 (through a
    sigmoid unless within 0 and 1), which is predicted from 0.5 on; against two other
    labels it is that of ``positive``.

    Args:
        labels: Of shape (n_samples,), or (n_samples, n_labels) of 0 and 1.
        prediction: The model's answer for the same rows.
        task: Said instead of inferred.
        model_type: The model's type in its owner's words, a hint.
        positive: Label of the positive class; else the model's second class.

    Raises:
        EvaluationError: If the two don't fit, with the rows or labels to blame.
    """
    check_task(task)
    given = checked(labels, prediction)
    if are_several(given, prediction, task):
        return with_task(judge_several(given, prediction), task, positive)
    reading = Reading.of(given, prediction, task, model_type, positive)
    outcomes = with_task(reading.read(given, prediction), task, positive)
    told = reading.told + class_warnings(outcomes, named=reading.named)
    return replace(outcomes, warnings=told)


def check_task(task: Task | None) -> None:
    """Refuse a task that is not known.

    Raises:
        EvaluationError: If it is not; lists those that are.
    """
    if task is not None and task not in get_args(Task):
        raise EvaluationError(
            f"there is no task {task!r}; known: {some_of(get_args(Task))}"
        )


def are_several(
    labels: NDArray[Any], prediction: Prediction, task: Task | None
) -> bool:
    """Whether rows have several labels each."""
    if are_one_hot(labels, prediction, task):
        return False
    return task == "multilabel" or (labels.ndim == 2 and labels.shape[1] > 1)


def with_task(outcomes: Outcomes, task: Task | None, positive: Any) -> Outcomes:
    """What was read, as the task that was said, or that its classes tell.

    Raises:
        EvaluationError: If the classes don't fit the task.
    """
    if not outcomes.classifies:
        if positive is not None:
            raise EvaluationError(
                f"positive={positive!r} is for a binary task, but this is a "
                f"{outcomes.task} task; leave it out"
            )
        return outcomes
    told: Task = "binary" if len(outcomes.classes) <= 2 else "multiclass"
    return _with_positive(replace(outcomes, task=task or told), positive)


def class_warnings(judged: Judged, *, named: bool) -> tuple[str, ...]:
    """What a reader must know of the labels.

    Args:
        judged: The rows.
        named: Whether the model said which classes it knows.

    Raises:
        EvaluationError: If the model knows none of them, as far as it shows.
    """
    if not judged.classifies:
        return ()
    return (
        _unseen_warnings(judged)
        + _single_class_warnings(judged)
        + _disjoint_warnings(judged, named)
    )


def _disjoint_warnings(judged: Judged, named: bool) -> tuple[str, ...]:
    """No answer is ever a label: the model is bad, or speaks another language."""
    present, answered = judged.present, judged.answered
    if present & answered:
        return ()
    labels, answers = (
        some_of(repr(judged.classes[code]) for code in sorted(codes))
        for codes in (present, answered)
    )
    told = f"the model answers {answers} but the labels are {labels}"
    if not named and len(present) > 1 and len(answered) > 1:
        raise EvaluationError(f"{told}; bring the labels to the model's form")
    return (f"{told}: no row is right",)


def _unseen_warnings(outcomes: Judged) -> tuple[str, ...]:
    unseen = outcomes.unseen
    if sum(unseen.values()) == outcomes.rows:
        knows = outcomes.classes[: outcomes.known]
        raise EvaluationError(
            f"no label of the dataset ({some_of(map(repr, unseen))}) is one that the "
            f"model knows ({some_of(map(repr, knows))}); bring the labels to the "
            "model's form"
        )
    if not unseen:
        return ()
    labels = some_of(f"{label!r} ({rows} rows)" for label, rows in unseen.items())
    told = f"labels the model does not know, counted as wrong: {labels}"
    if outcomes.task == "multiclass" and outcomes.known == 2:
        told += (
            "; so there are more than two classes, and precision, recall, F and "
            "Jaccard are means over them, not those of the positive class"
        )
    return (told,)


def _single_class_warnings(outcomes: Judged) -> tuple[str, ...]:
    if len(outcomes.present) > 1:
        return ()
    only = outcomes.classes[min(outcomes.present)]
    return (f"all {outcomes.rows} labels are {only!r}: nothing is known of others",)


def _with_positive(outcomes: Outcomes, positive: Any) -> Outcomes:
    if outcomes.task != "binary":
        if positive is not None:
            raise EvaluationError(
                f"positive={positive!r} is for a binary task, but this is a "
                f"{outcomes.task} task of the classes "
                f"{some_of(map(repr, outcomes.classes))}; leave it out"
            )
        return outcomes
    if len(outcomes.classes) > 2:
        raise EvaluationError(
            f"a binary task has two classes, not {len(outcomes.classes)} "
            f"({some_of(map(repr, outcomes.classes))})"
        )
    if positive is None:
        return replace(outcomes, positive=len(outcomes.classes) - 1)
    if positive not in outcomes.classes:
        spelled = [label for label in outcomes.classes if str(label) == positive]
        if len(spelled) == 1:  # as a command line gives it
            return replace(outcomes, positive=outcomes.classes.index(spelled[0]))
        raise EvaluationError(
            f"the positive label {positive!r} is none of the classes "
            f"({some_of(map(repr, outcomes.classes))})",
            argument="positive",
        )
    return replace(outcomes, positive=outcomes.classes.index(positive))
