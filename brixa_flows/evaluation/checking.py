"""Refuses labels and answers that no metric can be computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.serializers.base import Prediction

__all__ = ["checked", "one_label_a_row", "refuse_nan"]


def checked(labels: NDArray[Any], prediction: Prediction) -> NDArray[Any]:
    """The labels as an array, if both have rows of known type and no NaN answers.

    Raises:
        EvaluationError: If not, with the rows to blame.
    """
    _check_lengths(labels, prediction)
    for what, values in ("labels", labels), ("predictions", prediction.values):
        _refuse_type(what, np.asarray(values))
    shape = np.asarray(prediction.values).shape
    if 0 in shape[1:]:
        raise EvaluationError(
            f"the predictions have shape {shape}, which is no answer; one a row is needed"
        )
    refuse_nan("predictions", prediction.values)
    if prediction.scores is not None:
        _refuse_texts(np.asarray(prediction.scores))
        refuse_nan("class probabilities", prediction.scores)
        _check_scores(prediction)
    if prediction.margins is not None:
        refuse_nan("decision scores", prediction.margins)
    return np.asarray(labels)


def _refuse_texts(scores: NDArray[Any]) -> None:
    if scores.dtype.kind not in "fiubO":
        raise EvaluationError(
            f"the class probabilities are of type {scores.dtype}, which is no number"
        )


def _check_scores(prediction: Prediction) -> None:
    """A row of probabilities a prediction, and a column a class."""
    scores, classes = np.asarray(prediction.scores), prediction.classes or ()
    rows = len(prediction.values)
    if scores.ndim != 2 or len(scores) != rows:
        raise EvaluationError(
            f"there are {rows} predictions, but the class probabilities have shape "
            f"{scores.shape}; a row of them for each prediction is needed"
        )
    if classes and len(classes) != scores.shape[1]:
        raise EvaluationError(
            f"the model names {len(classes)} classes ({some_of(map(repr, classes))}), "
            f"but its class probabilities have {scores.shape[1]} columns"
        )
    unfit = [label for label in classes if not isinstance(label, Hashable)]
    if unfit:
        raise EvaluationError(
            f"the model names a class {unfit[0]!r}, a {type(unfit[0]).__qualname__}; a "
            "class is a text, a number or a bool"
        )
    repeated = [label for label, count in Counter(classes).items() if count > 1]
    if repeated:
        raise EvaluationError(
            f"the model gives {some_of(map(repr, repeated))} as the name of several "
            "classes; each column of its probabilities needs one of its own"
        )


def one_label_a_row(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels of shape (n_samples,), none of them missing.

    Raises:
        EvaluationError: If they are not.
    """
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
            f"row {int(missing.argmax())}); drop these rows or fill in their labels "
            "(in a CSV file a field such as NA or null is missing too)"
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
    if values.dtype.kind == "O":
        _refuse_mixture(what, values)


def _refuse_mixture(what: str, values: NDArray[Any]) -> None:
    """Numbers and texts are never equal; a list is no label."""
    kinds = set(map(type, values.reshape(-1)))  # a loop over the rows is slow
    if all(issubclass(kind, str) for kind in kinds):
        return
    examples: dict[bool, Any] = {}
    for place, value in enumerate(values.reshape(-1)):
        if isinstance(value, Container) and not isinstance(value, str | bytes):
            raise EvaluationError(
                f"the {what} hold a {type(value).__qualname__} (the first is row "
                f"{place}), which is no class; give several labels a row as columns of "
                "0 and 1"
            )
        if value is not None and value == value:
            examples.setdefault(isinstance(value, str | bytes), value)
    if len(examples) > 1:
        raise EvaluationError(
            f"some {what} are texts (such as {examples[True]!r}), others are not (such "
            f"as {examples[False]!r}); bring them to one type"
        )


def refuse_nan(what: str, values: NDArray[Any]) -> None:
    """Refuse numbers that are none, and values that are missing.

    Raises:
        EvaluationError: If there are any, with how many and where the first is.
    """
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
