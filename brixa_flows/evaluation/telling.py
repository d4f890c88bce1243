"""Tells classes from numbers, by the labels, the answers and what the owner says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.outcomes import Task
from brixa_flows.serializers.base import Prediction

__all__ = [
    "are_one_score",
    "are_whole",
    "are_within",
    "column_of",
    "infer_task",
    "outside_of_shares",
    "say_classes",
    "say_numbers",
    "strays_among_flags",
]

_FEW_CLASSES = 50
_NEARLY_ALL = 0.95
_ROUNDED = 1e-6  # that one probability may be out of 0..1 as arithmetic rounds; 32 bits
_ROUNDED_16 = 2e-3


def infer_task(
    truth: NDArray[Any], prediction: Prediction, model_type: str = ""
) -> Task:
    """Tell classification (as ``multiclass``) from ``regression``.

    In this order: class probabilities, several outputs a row, labels or answers that
    are no numbers, the words if they say regression or classification (which numbers
    that can't be classes overrule), scores of 0/1 labels, and at last whether both are
    whole numbers of few different values.
    """
    values = column_of(prediction.values)
    words = model_type.lower()
    if prediction.scores is not None or values.ndim == 2:
        return "multiclass"
    if any(each.dtype.kind in "OUSb" for each in (truth, values)):
        return "multiclass"
    if say_numbers(words):
        return "regression"
    if say_classes(words) and _may_be_classes(truth, values):
        return "multiclass"
    if _are_scores(truth, values):
        return "multiclass"
    whole = are_whole(truth) and are_whole(values)
    few = np.unique(truth).size <= _FEW_CLASSES
    return "multiclass" if whole and few else "regression"


def say_numbers(words: str) -> bool:
    """Whether words on a model call it a regression."""
    return "regress" in words or "forecast" in words


def say_classes(words: str) -> bool:
    """Whether words on a model call it a classifier."""
    return "classif" in words


def are_one_score(
    truth: NDArray[Any], values: NDArray[Any], two_labels: bool = False
) -> bool:
    """Whether answers are fractions, and not those that are the labels.

    Whole numbers too, such as points of a rule, where ``two_labels`` says that there
    are two labels, and answers are more.
    """
    if two_labels and values.dtype.kind in "fiu" and np.unique(truth).size <= 2:
        return are_one_score(truth, values) or np.unique(values).size > 2
    if values.dtype.kind != "f" or are_whole(values):
        return False
    return truth.dtype.kind not in "fiu" or not np.isin(values, truth).all()


def _may_be_classes(truth: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether answers can be the labels of rows, or scores of one of two."""
    if np.isin(truth, (0, 1)).all() or np.isin(values, truth).all():
        return True
    if are_whole(truth) and np.unique(truth).size == 2:
        return True
    return are_whole(truth) and are_whole(values)


def are_whole(values: NDArray[Any]) -> bool:
    """Whether all are integers, of whichever type."""
    return values.dtype.kind in "iub" or bool(np.all(np.mod(values, 1) == 0))


def are_within(scores: Any) -> bool:
    """Whether all are between 0 and 1, but for rounding."""
    return not _outside(scores).any()


def outside_of_shares(scores: Any) -> str:
    """How many scores are no probabilities, for people; empty if all may be."""
    values = np.asarray(scores).reshape(-1)
    outside = _outside(values)
    if not outside.any():
        return ""
    first = values[outside.argmax()]
    return f"{outside.sum():,} of {values.size:,} scores, such as {first:.6g}, are"


def _outside(scores: Any) -> NDArray[np.bool_]:
    scores = np.asarray(scores)
    off = _ROUNDED_16 if scores.dtype == np.float16 else _ROUNDED
    outside: NDArray[np.bool_] = (scores < -off) | (scores > 1 + off)
    return outside


def strays_among_flags(truth: NDArray[Any]) -> tuple[float, ...]:
    """Numbers that are not 0 or 1, where nearly all are and both occur."""
    flags = np.isin(truth, (0, 1))
    if flags.all() or flags.mean() < _NEARLY_ALL or np.unique(truth[flags]).size < 2:
        return ()
    return tuple(np.unique(truth[~flags]).tolist())


def _are_scores(truth: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether two whole labels, such as 0 and 1, meet numbers between 0 and 1."""
    two = are_whole(truth) and np.unique(truth).size == 2 and not are_whole(values)
    return (
        (two or bool(np.isin(truth, (0, 1)).all()))
        and values.dtype.kind == "f"
        and bool(((values >= 0) & (values <= 1)).all())
    )


def column_of(values: Any) -> NDArray[Any]:
    """An array, of one dimension if it has one column."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
