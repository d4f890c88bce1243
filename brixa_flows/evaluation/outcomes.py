"""Labels and predictions of the same rows, and the task they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Costs", "Outcomes", "Task"]

Task = Literal["binary", "multiclass", "multilabel", "regression"]


@dataclass(frozen=True)
class Costs:
    """What the predictions cost.

    Attributes:
        seconds: Of each batch that was predicted, of shape (n_batches,).
        rows: Of each batch, of shape (n_batches,).
        size_bytes: Of the model's files; ``None`` if it has none.
    """

    seconds: NDArray[np.float64]
    rows: NDArray[np.float64]
    size_bytes: int | None = None


@dataclass(frozen=True)
class Outcomes:
    """What the metrics see.

    Attributes:
        task: What the model does.
        truth: Class codes, or numbers in a regression, of shape (n_samples,); 0 and 1
            of shape (n_samples, n_labels) in a multilabel task.
        predicted: The model's answers in the same coding and shape.
        probabilities: Of shape (n_samples, n_known), one column for each class that
            the model knows; ``None`` if it gives none.
        classes: Label of each code (or column); those the model does not know come
            last.
        known: How many of ``classes`` the model knows.
        positive: Code of the positive class of a binary task.
        warnings: What a reader of the numbers must know.
        costs: What the predictions cost, if it was measured.
    """

    task: Task
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
    classes: tuple[Any, ...] = ()
    known: int = 0
    positive: int = 1
    warnings: tuple[str, ...] = ()
    costs: Costs | None = None

    @property
    def rows(self) -> int:
        """Number of judged rows."""
        return int(self.truth.shape[0])

    @property
    def classifies(self) -> bool:
        """Whether each row has one label of several classes."""
        return self.task in ("binary", "multiclass")

    @property
    def unseen(self) -> dict[Any, int]:
        """Rows by label that the model does not know."""
        codes = range(self.known, len(self.classes))
        counts = {c: int(np.count_nonzero(self.truth == c)) for c in codes}
        return {self.classes[c]: rows for c, rows in counts.items() if rows}

    def take(self, rows: NDArray[Any]) -> Outcomes:
        """The same for some of the rows (indices or a mask), without the costs."""
        chosen = None if self.probabilities is None else self.probabilities[rows]
        return replace(
            self,
            truth=self.truth[rows],
            predicted=self.predicted[rows],
            probabilities=chosen,
            warnings=(),
            costs=None,
        )
