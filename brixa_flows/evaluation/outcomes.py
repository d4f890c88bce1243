"""Labels and predictions of the same rows, and the task they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES_WITH_CURVES", "Costs", "Judged", "Outcomes", "Signs", "Task"]

CLASSES_WITH_CURVES = 8  # as many as shades and styles of lines tell apart

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
class Signs:
    """How many numbers are not positive, and where the first is.

    Attributes:
        negative: Numbers below 0.
        first_negative: Row of the first one.
        zero_or_less: Numbers of 0 or less.
        first_zero_or_less: Row of the first one.
    """

    negative: int = 0
    first_negative: int = 0
    zero_or_less: int = 0
    first_zero_or_less: int = 0

    @classmethod
    def of(cls, values: NDArray[Any]) -> Signs:
        """Count those of an array of shape (n_samples,)."""
        facts: list[int] = []
        for bad in (values < 0, values <= 0):
            facts += [int(np.count_nonzero(bad)), int(bad.argmax())]
        return cls(*facts)

    def then(self, other: Signs, rows: int) -> Signs:
        """With those of rows that come after the first ``rows``."""
        first = self.first_negative, self.first_zero_or_less
        return Signs(
            self.negative + other.negative,
            first[0] if self.negative else rows + other.first_negative,
            self.zero_or_less + other.zero_or_less,
            first[1] if self.zero_or_less else rows + other.first_zero_or_less,
        )


class Judged(Protocol):
    """What is known of rows that were judged, whether they are kept or summed up."""

    @property
    def task(self) -> Task:
        """What the model does."""
        ...

    @property
    def classes(self) -> tuple[Any, ...]:
        """Label of each code."""
        ...

    @property
    def known(self) -> int:
        """How many of them the model knows."""
        ...

    @property
    def positive(self) -> int:
        """Code of the positive class of a binary task."""
        ...

    @property
    def rows(self) -> int:
        """Number of judged rows."""
        ...

    @property
    def classifies(self) -> bool:
        """Whether each row has one label of several classes."""
        ...

    @property
    def has_probabilities(self) -> bool:
        """Whether the model gives them."""
        ...

    @property
    def has_ranking(self) -> bool:
        """Whether the model gives probabilities or other scores that order rows."""
        ...

    @property
    def one_score(self) -> bool:
        """Whether it gives one decision score a row."""
        ...

    @property
    def unseen(self) -> dict[Any, int]:
        """Rows by label that the model does not know."""
        ...

    @property
    def present(self) -> set[int]:
        """Codes of classes that occur as a label."""
        ...

    @property
    def answered(self) -> set[int]:
        """Codes of classes that occur as an answer."""
        ...

    @property
    def label_rows(self) -> NDArray[Any]:
        """Rows that have each of several labels, of shape (n_labels,)."""
        ...

    @property
    def labels_differ(self) -> bool:
        """Whether numbers as labels are not all the same."""
        ...

    @property
    def signs(self) -> tuple[Signs, Signs]:
        """Of numbers as labels, and of numbers as answers."""
        ...

    @property
    def costs(self) -> Costs | None:
        """What the predictions cost, if it was measured."""
        ...


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
        scores_type: Type in which the model gave its probabilities: losses are cut off
            at its precision, as scikit-learn does.
        margins: What ranks the rows where probabilities are made of other scores and
            would be equal where those differ, or there are none: log-odds or decision
            scores of each class, of shape (n_samples, n_known); ``None`` if
            probabilities rank them.
        one_score: Whether the margins are the model's one score a row, in whose unit a
            threshold is.
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
    scores_type: Literal["float16", "float32", "float64"] = "float64"
    margins: NDArray[np.float64] | None = None
    one_score: bool = False

    @property
    def ranking(self) -> NDArray[np.float64] | None:
        """What orders the rows, one column for each class (or label) of the model."""
        return self.probabilities if self.margins is None else self.margins

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

    @property
    def has_probabilities(self) -> bool:
        """Whether the model gives them."""
        return self.probabilities is not None

    @property
    def has_ranking(self) -> bool:
        """Whether the model gives probabilities or other scores that order rows."""
        return self.ranking is not None

    @property
    def present(self) -> set[int]:
        """Codes of classes that occur as a label."""
        return set(np.unique(self.truth).tolist())

    @property
    def answered(self) -> set[int]:
        """Codes of classes that occur as an answer."""
        return set(np.unique(self.predicted).tolist())

    @property
    def label_rows(self) -> NDArray[Any]:
        """Rows that have each of several labels, of shape (n_labels,)."""
        sums: NDArray[Any] = self.truth.sum(axis=0)
        return sums

    @property
    def labels_differ(self) -> bool:
        """Whether numbers as labels are not all the same."""
        return bool(np.ptp(self.truth) > 0)

    @property
    def signs(self) -> tuple[Signs, Signs]:
        """Of numbers as labels, and of numbers as answers."""
        return Signs.of(self.truth), Signs.of(self.predicted)

    def take(self, rows: NDArray[Any]) -> Outcomes:
        """The same for some of the rows (indices or a mask), without the costs."""
        return replace(
            self,
            truth=self.truth[rows],
            predicted=self.predicted[rows],
            probabilities=_rows_of(self.probabilities, rows),
            margins=_rows_of(self.margins, rows),
            warnings=(),
            costs=None,
        )

    def label_alone(self, column: int) -> Outcomes:
        """One of several labels a row, as a binary task: does a row have it?"""
        probabilities = margins = None
        if self.probabilities is not None:
            score = self.probabilities[:, column]
            probabilities = np.stack([1 - score, score], axis=1)
        if self.margins is not None:
            margin = self.margins[:, column]
            margins = np.stack([-margin, margin], axis=1)
        return Outcomes(
            "binary",
            self.truth[:, column],
            self.predicted[:, column],
            probabilities,
            (0, 1),
            known=2,
            margins=margins,
        )

    def joined(self, after: Outcomes) -> Outcomes:
        """These rows and others of the same coding, whose classes may be more."""
        return replace(
            after,
            truth=np.concatenate([self.truth, after.truth]),
            predicted=np.concatenate([self.predicted, after.predicted]),
            probabilities=_all_of(self.probabilities, after.probabilities),
            margins=_all_of(self.margins, after.margins),
            warnings=(),
            costs=None,
        )


def _rows_of(
    scores: NDArray[np.float64] | None, rows: NDArray[Any]
) -> NDArray[np.float64] | None:
    return None if scores is None else scores[rows]


def _all_of(
    first: NDArray[np.float64] | None, after: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    if first is None or after is None:
        return None
    return np.concatenate([first, after])
