"""Checks labels and predictions of the same rows and tells the task they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.multilabel import are_one_hot, judge_several
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.serializers.base import Prediction

__all__ = ["infer_task", "judge"]

_FEW_CLASSES = 50


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
    sigmoid unless within 0 and 1), which is predicted from 0.5 on.

    Args:
        labels: Of shape (n_samples,), or (n_samples, n_labels) of 0 and 1.
        prediction: The model's answer for the same rows.
        task: Said instead of inferred.
        model_type: The model's type in its owner's words, a hint.
        positive: Label of the positive class; else the model's second class.

    Raises:
        EvaluationError: If the two don't fit, with the rows or labels to blame.
    """
    if task is not None and task not in get_args(Task):
        raise EvaluationError(
            f"there is no task {task!r}; known: {some_of(get_args(Task))}"
        )
    _check_lengths(labels, prediction)
    for what, values in ("labels", labels), ("predictions", prediction.values):
        _refuse_type(what, np.asarray(values))
    _refuse_nan("predictions", prediction.values)
    if prediction.scores is not None:
        _refuse_nan("class probabilities", prediction.scores)
    given = np.asarray(labels)
    told: tuple[str, ...] = ()
    if are_one_hot(given, prediction, task):
        given = given.argmax(axis=1)
        told = ("labels are one-hot; the class of a row is its column with the 1",)
    elif task == "multilabel" or (given.ndim == 2 and given.shape[1] > 1):
        return judge_several(given, prediction)
    truth = _checked_labels(given)
    if (task or infer_task(truth, prediction, model_type)) == "regression":
        return _regression(truth, prediction)
    outcomes = _classification(truth, prediction, task, positive)
    return replace(outcomes, warnings=told + outcomes.warnings)


def infer_task(
    truth: NDArray[Any], prediction: Prediction, model_type: str = ""
) -> Task:
    """Tell classification (as ``multiclass``) from ``regression``.

    In this order: class probabilities, several outputs a row, labels that are no
    numbers, the model's type if it says regression or classification, scores of 0/1
    labels, and at last whether both are whole numbers of few different values.
    """
    values = np.asarray(prediction.values)
    several = values.ndim == 2 and values.shape[1] > 1
    words = model_type.lower()
    if prediction.scores is not None or several or truth.dtype.kind in "OUSb":
        return "multiclass"
    if "regress" in words or "forecast" in words:
        return "regression"
    if "classif" in words or values.dtype.kind in "OUSb" or _are_scores(truth, values):
        return "multiclass"
    whole = _are_whole(truth) and _are_whole(values)
    few = np.unique(truth).size <= _FEW_CLASSES
    return "multiclass" if whole and few else "regression"


def _are_whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iub" or bool(np.all(np.mod(values, 1) == 0))


def _are_scores(truth: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether 0/1 labels meet numbers between 0 and 1."""
    return (
        bool(np.isin(truth, (0, 1)).all())
        and values.dtype.kind == "f"
        and bool(((values >= 0) & (values <= 1)).all())
    )


def _checked_labels(labels: NDArray[Any]) -> NDArray[Any]:
    truth = np.asarray(labels)
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth[:, 0]
    if truth.ndim != 1:
        raise EvaluationError(
            f"the labels have shape {truth.shape}; one label a row is needed, of shape "
            "(n_samples,)"
        )
    if truth.size == 0:
        raise EvaluationError("the dataset has no rows; there is nothing to judge")
    missing = _missing(truth)
    if missing.any():
        raise EvaluationError(
            f"{int(missing.sum())} of {truth.size} rows have no label (the first is "
            f"row {int(missing.argmax())}); drop these rows or fill in their labels"
        )
    return truth


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        missing: NDArray[np.bool_] = np.isnan(values)
        return missing
    if values.dtype.kind == "O":
        return np.array([value is None or value != value for value in values])
    return np.zeros(values.shape, dtype=bool)


def _check_lengths(labels: NDArray[Any], prediction: Prediction) -> None:
    rows, predicted = len(labels), len(prediction.values)
    if predicted != rows:
        raise EvaluationError(
            f"there are {rows} labels but {predicted} predictions; each row "
            "needs one of both"
        )


def _refuse_type(what: str, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "fiubOUST":  # T: texts of numpy 2
        raise EvaluationError(
            f"the {what} are of type {values.dtype}, which is neither a class nor a "
            "number; give texts, bools, integers or floats"
        )


def _refuse_nan(what: str, values: NDArray[Any]) -> None:
    values = np.asarray(values)
    if values.dtype.kind not in "fO" or values.size == 0:
        return
    if values.dtype.kind == "O":
        bad = _missing(values.reshape(-1)).reshape(len(values), -1).any(axis=1)
    else:
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        kind = "missing" if values.dtype.kind == "O" else "NaN or infinite"
        raise EvaluationError(
            f"{int(bad.sum())} of {len(values)} {what} are {kind} (the first "
            f"is row {int(bad.argmax())}); a metric over the rest would hide them, so "
            "nothing was computed"
        )


def _regression(truth: NDArray[Any], prediction: Prediction) -> Outcomes:
    values = np.asarray(prediction.values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise EvaluationError(
            f"a regression needs one number a row, but the predictions have shape "
            f"{values.shape} and type {values.dtype}"
        )
    if truth.dtype.kind not in "fiub":
        raise EvaluationError(
            f"a regression needs numbers as labels, but they are of type {truth.dtype}"
            f" (such as {truth[0]!r})"
        )
    _refuse_nan("labels", truth)
    return Outcomes("regression", truth.astype(np.float64), values.astype(np.float64))


def _classification(
    truth: NDArray[Any], prediction: Prediction, task: Task | None, positive: Any
) -> Outcomes:
    predicted, probabilities, classes = _labels_of(truth, prediction)
    known = len(classes)
    truth, told = _counted_classes(truth, classes)
    codes, extended = _encode(truth, classes)
    answers, extended = _encode(predicted, extended)
    outcomes = Outcomes(
        task=task or ("binary" if len(extended) <= 2 else "multiclass"),
        truth=codes,
        predicted=answers,
        probabilities=probabilities,
        classes=extended,
        known=known,
    )
    warnings = told + _unseen_warnings(outcomes) + _single_class_warnings(outcomes)
    return _with_positive(replace(outcomes, warnings=warnings), positive)


def _counted_classes(
    truth: NDArray[Any], classes: tuple[Any, ...]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Labels that are numbers of named classes, by name."""
    named = bool(classes) and all(isinstance(label, str) for label in classes)
    if not named or truth.dtype.kind not in "iu":
        return truth, ()
    if truth.min() < 0 or truth.max() >= len(classes):
        return truth, ()
    shown = some_of(f"{code} is {label!r}" for code, label in enumerate(classes))
    told = f"the labels are numbers of the model's classes: {shown}"
    return np.asarray(classes, dtype=object)[truth], (told,)


def _labels_of(
    truth: NDArray[Any], prediction: Prediction
) -> tuple[NDArray[Any], NDArray[np.float64] | None, tuple[Any, ...]]:
    """Predicted labels, probabilities and the classes that the model knows."""
    values = np.asarray(prediction.values)
    if prediction.scores is not None:
        scores = np.asarray(prediction.scores)
        classes = _plain(prediction.classes or range(scores.shape[1]))
        if values.ndim == 2:
            values = np.asarray(classes, dtype=object)[values.argmax(axis=1)]
        return values, _as_probabilities(scores), classes
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        classes = _plain(prediction.classes or range(values.shape[1]))
        labels = np.asarray(classes, dtype=object)[values.argmax(axis=1)]
        return labels, _as_probabilities(values), classes
    if values.ndim != 1:
        raise EvaluationError(
            f"the predictions have shape {values.shape}; a classification needs "
            "(n_samples,) labels or (n_samples, n_classes) scores"
        )
    if values.dtype.kind == "f" and not _are_whole(values):
        return _from_one_score(truth, values)
    return values, None, _plain(prediction.classes or _classes_seen(truth, values))


def _classes_seen(truth: NDArray[Any], values: NDArray[Any]) -> tuple[Any, ...]:
    """Classes of a model that names none: all that occur."""
    answered, labelled = _distinct(values), _distinct(truth)
    answers, labels = set(answered), set(labelled)
    if not answers & labels and _are_texts(answers) != _are_texts(labels):
        raise EvaluationError(
            f"the model answers {some_of(map(repr, answered))} but the labels are "
            f"{some_of(map(repr, labelled))}; bring the labels to the model's form"
        )
    if answers | labels <= {0, 1}:
        return (0, 1)
    return _distinct(truth, values)


def _are_texts(labels: set[Any]) -> bool:
    return any(isinstance(label, str) for label in labels)


def _from_one_score(
    truth: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.float64] | None, tuple[Any, ...]]:
    if truth.dtype.kind not in "fiub" or not np.isin(truth, (0, 1)).all():
        raise EvaluationError(
            "the model gives one score a row, which can only be judged against labels "
            f"0 and 1; the labels are {some_of(_distinct(truth))}"
        )
    within = bool(((values >= 0) & (values <= 1)).all())
    score = values.astype(np.float64)
    if not within:
        score = 1 / (1 + np.exp(-np.clip(score, -700, 700)))
    labels = (score >= 0.5).astype(np.int64)
    return labels, np.stack([1 - score, score], axis=1), (0, 1)


def _as_probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Rows that sum to 1: as they are, else through a softmax."""
    rows: NDArray[np.float64] = scores.astype(np.float64)
    sums = rows.sum(axis=1, keepdims=True)
    if (rows >= 0).all() and (np.abs(sums - 1) <= 1e-3).all():
        return rows if scores.dtype == np.float64 else rows / sums
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    softmax: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return softmax


def _plain(labels: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(label.item() if hasattr(label, "item") else label for label in labels)


def _distinct(*arrays: NDArray[Any]) -> tuple[Any, ...]:
    """Different labels, numbers by value before others by text."""
    found: set[Any] = set()
    for array in arrays:
        found.update(_plain(np.unique(array)) if array.dtype.kind != "O" else array)
    return tuple(sorted(found, key=_label_order))


def _label_order(label: Any) -> tuple[int, float, str]:
    if isinstance(label, bool | int | float):
        return 0, float(label), ""
    return 1, 0.0, str(label)


def _encode(
    labels: NDArray[Any], classes: tuple[Any, ...]
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Code of each label; new ones are appended to ``classes``."""
    code = {label: index for index, label in enumerate(classes)}
    for label in _distinct(labels):
        code.setdefault(label, len(code))
    if labels.dtype.kind == "O":
        codes = np.array(
            [code[_plain((label,))[0]] for label in labels], dtype=np.int64
        )
        return codes, tuple(code)
    distinct, inverse = np.unique(labels, return_inverse=True)
    lookup = np.array([code[label] for label in _plain(distinct)], dtype=np.int64)
    return lookup[inverse], tuple(code)


def _unseen_warnings(outcomes: Outcomes) -> tuple[str, ...]:
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
    return (f"labels the model does not know, counted as wrong: {labels}",)


def _single_class_warnings(outcomes: Outcomes) -> tuple[str, ...]:
    if np.unique(outcomes.truth).size > 1:
        return ()
    only = outcomes.classes[int(outcomes.truth[0])]
    return (f"all {outcomes.rows} labels are {only!r}: nothing is known of others",)


def _with_positive(outcomes: Outcomes, positive: Any) -> Outcomes:
    if outcomes.task != "binary":
        return outcomes
    if len(outcomes.classes) > 2:
        raise EvaluationError(
            f"a binary task has two classes, not {len(outcomes.classes)} "
            f"({some_of(map(repr, outcomes.classes))})"
        )
    if positive is None:
        return replace(outcomes, positive=len(outcomes.classes) - 1)
    if positive not in outcomes.classes:
        raise EvaluationError(
            f"the positive label {positive!r} is none of the classes "
            f"({some_of(map(repr, outcomes.classes))})"
        )
    return replace(outcomes, positive=outcomes.classes.index(positive))
