"""Labels of any type as codes of classes, and which classes there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of

__all__ = ["distinct", "encode", "plain", "scored_classes"]


def scored_classes(truth: NDArray[Any], positive: Any) -> tuple[Any, Any]:
    """The two labels of a model that gives one score a row, which is of the second.

    Raises:
        EvaluationError: If nobody said which it is of; says how.
    """
    labels = distinct(truth)
    if set(labels) <= {0, 1}:
        return 0, 1
    shown = some_of(map(repr, labels))
    if len(labels) != 2:
        raise EvaluationError(
            "the model gives one score a row, which can only be judged against two "
            f"labels such as 0 and 1; the labels are {shown} (if they are numbers, say "
            "task='regression')"
        )
    # On a command line every label is a text.
    of = [each for each in labels if positive in (each, str(each))]
    if positive is None:
        raise EvaluationError(
            f"the model gives one score a row, and the labels are {shown}: say which of "
            f"them the score is of, such as positive={labels[1]!r} (or, if they are "
            "numbers, task='regression')"
        )
    if not of:
        raise EvaluationError(
            f"the positive label {positive!r} is none of the classes ({shown})",
            argument="positive",
        )
    return labels[1 - labels.index(of[0])], of[0]


def plain(labels: Iterable[Any]) -> tuple[Any, ...]:
    """Labels without the types of numpy."""
    return tuple(label.item() if hasattr(label, "item") else label for label in labels)


def distinct(*arrays: NDArray[Any]) -> tuple[Any, ...]:
    """Different labels, numbers by value before others by text."""
    found: set[Any] = set()
    for array in arrays:
        found.update(plain(np.unique(array)) if array.dtype.kind != "O" else array)
    return tuple(sorted(found, key=_label_order))


def _label_order(label: Any) -> tuple[int, float, str]:
    if isinstance(label, bool | int | float):
        return 0, label, ""  # as it is: a float can't tell large whole numbers apart
    return 1, 0.0, str(label)


def encode(
    labels: NDArray[Any], classes: tuple[Any, ...]
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Code of each label; new ones are appended to ``classes``."""
    code = {label: index for index, label in enumerate(classes)}
    for label in distinct(labels):
        code.setdefault(label, len(code))
    if labels.dtype.kind == "O":
        codes = np.array([code[plain((label,))[0]] for label in labels], dtype=np.int64)
        return codes, tuple(code)
    different, inverse = np.unique(labels, return_inverse=True)
    lookup = np.array([code[label] for label in plain(different)], dtype=np.int64)
    return lookup[inverse], tuple(code)
