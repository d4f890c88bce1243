"""Metrics that a confusion matrix holds all of, and draws of it.

The cells of the matrix are multinomial. They are drawn from the Dirichlet posterior:
for one model with one row spread over the right cells and one over the wrong ones (in
a binary task half a row a cell, which makes precision and recall Jeffreys intervals, so
that "all right" and "never predicted" have an honest width), for two paired models with
one row each for both right, both wrong and either alone right (half a row for each of
the four in either class of a binary task, as Agresti and Min, 2005, do for a share).
Cost does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.outcomes import Outcomes

__all__ = [
    "Cells",
    "confusion_draws",
    "fraction",
    "ratio",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_NUMBERS_AT_ONCE = 4_000_000
_DRAWS_AT_MOST = 20_000
_DRAWS_AT_LEAST = 1_000
_PRIOR_UP_TO_CLASSES = 32


@dataclass(frozen=True)
class Cells:
    """The cells of a confusion matrix that have rows: few, of however many classes.

    Attributes:
        codes: True and predicted class, of shape (n_cells, 2).
        rows: Rows of each, of shape (n_cells,).
        size: How many classes there are.
        positive: Code of the positive class, ``None`` in a multiclass task.
    """

    codes: Codes
    rows: NDArray[np.int64]
    size: int
    positive: int | None = None

    @classmethod
    def of(cls, outcomes: Outcomes) -> Cells:
        """Count the rows."""
        size = len(outcomes.classes)
        flat = outcomes.truth * size + outcomes.predicted
        if size <= _PRIOR_UP_TO_CLASSES:  # faster than to sort
            rows = np.bincount(flat)
            cells = np.flatnonzero(rows)
            rows = rows[cells]
        else:
            cells, rows = np.unique(flat, return_counts=True)
        positive = outcomes.positive if outcomes.task == "binary" else None
        return cls(np.stack(np.divmod(cells, size), axis=1), rows, size, positive)

    def plus(self, other: Cells) -> Cells:
        """With more rows in the same coding, whose classes may be more."""
        codes, inverse = np.unique(
            np.concatenate([self.codes, other.codes]), axis=0, return_inverse=True
        )
        rows = np.zeros(len(codes), dtype=np.int64)
        np.add.at(rows, inverse.ravel(), np.concatenate([self.rows, other.rows]))
        return Cells(codes, rows, max(self.size, other.size), other.positive)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Of shape (n_classes, n_classes)."""
        matrix = np.zeros((self.size, self.size), dtype=np.int64)
        matrix[self.codes[:, 0], self.codes[:, 1]] = self.rows
        return matrix

    @property
    def present(self) -> Codes:
        """Codes of classes that occur as a label."""
        return np.unique(self.codes[:, 0])

    @property
    def answered(self) -> Codes:
        """Codes of classes that occur as an answer."""
        return np.unique(self.codes[:, 1])

    def value(self, name: str) -> float:
        """The metric ``name``, of those that a matrix holds all of."""
        weights = self.rows[None, :] / self.rows.sum()
        return float(_values(name, [self], self.codes, weights)[0, 0])

    def draws(self, name: str, generator: np.random.Generator) -> Floats:
        """Draws of it, of shape (n_draws, 1)."""
        if self.size <= _PRIOR_UP_TO_CLASSES:
            return _drawn(name, [self], *_with_prior(self), generator)
        return _drawn(name, [self], self.codes, self.rows.astype(float), generator)


@dataclass(frozen=True)
class _Shares:
    """Shares of drawn confusion matrices, each of shape (n_draws, n_classes).

    Attributes:
        hits: Of the diagonal.
        truth: Row sums.
        predicted: Column sums.
        present: Codes of classes that occur as a label.
        seen: Codes of classes that occur as a label or an answer.
        positive: Code of the positive class, ``None`` in a multiclass task.
    """

    hits: Floats
    truth: Floats
    predicted: Floats
    present: Codes
    seen: Codes
    positive: int | None


def confusion_draws(
    name: str, models: Sequence[Outcomes], generator: np.random.Generator
) -> Floats:
    """Draws of the metric ``name`` for models on the same rows.

    Returns:
        Array of shape (n_draws, n_models).
    """
    cells = [Cells.of(each) for each in models]
    if len(cells) == 1:
        return cells[0].draws(name, generator)
    columns = np.stack([models[0].truth, *(m.predicted for m in models)], axis=1)
    codes, counts = np.unique(columns, axis=0, return_counts=True)
    rows = counts.astype(np.float64)
    if len(cells) == 2 and cells[0].size <= _PRIOR_UP_TO_CLASSES:
        codes, rows = _with_paired_prior(codes, rows, cells[0].positive is not None)
    return _drawn(name, cells, codes, rows, generator)


def _drawn(
    name: str,
    models: Sequence[Cells],
    codes: Codes,
    counts: Floats,
    generator: np.random.Generator,
) -> Floats:
    cells = counts.size
    wanted = _NUMBERS_AT_ONCE // (20 * cells)
    draws = min(max(wanted, _DRAWS_AT_LEAST), _DRAWS_AT_MOST)
    chunk = max(1, _NUMBERS_AT_ONCE // cells)
    parts = []
    for start in range(0, draws, chunk):
        size = (min(chunk, draws - start), cells)
        weights = generator.standard_gamma(counts, size=size)
        weights /= weights.sum(axis=1, keepdims=True)
        parts.append(_values(name, models, codes, weights))
    return np.concatenate(parts)


def _with_prior(cells: Cells) -> tuple[Codes, Floats]:
    """Every cell of classes that occur as a label or an answer."""
    matrix = cells.matrix
    rows_at_least = 1 if cells.positive is None else 0
    seen = matrix.sum(axis=0) + matrix.sum(axis=1) >= rows_at_least
    possible = np.outer(seen, seen)
    right = possible & np.eye(len(matrix), dtype=bool)
    wrong = possible & ~right
    counts = matrix.astype(np.float64)
    for some in (right, wrong):
        counts[some] += 1 / max(int(np.count_nonzero(some)), 1)
    return np.argwhere(possible), counts[possible]


def _with_paired_prior(
    codes: Codes, counts: Floats, is_binary: bool
) -> tuple[Codes, Floats]:
    """Cells of two models, of all classes that occur in any, with a little more in each.

    Args:
        codes: Label and both answers of the cells seen, of shape (n_cells, 3).
        counts: Rows of each, of shape (n_cells,).
        is_binary: Both classes count, seen or not.
    """
    seen = np.arange(2) if is_binary else np.unique(codes)
    label, answer = (each.ravel() for each in np.meshgrid(seen, seen, indexing="ij"))
    label, answer = label[label != answer], answer[label != answer]
    patterns = (
        np.stack([seen, seen, seen], axis=1),
        np.stack([label, label, answer], axis=1),
        np.stack([label, answer, label], axis=1),
        np.stack([label, answer, answer], axis=1),
    )
    more = [np.full(len(each), 1 / max(len(each), 1)) for each in patterns]
    every, inverse = np.unique(
        np.concatenate([codes, *patterns]), axis=0, return_inverse=True
    )
    rows = np.zeros(len(every))
    np.add.at(rows, inverse.ravel(), np.concatenate([counts, *more]))
    return every, rows


def _values(
    name: str, models: Sequence[Cells], codes: Codes, weights: Floats
) -> Floats:
    columns = []
    for index, facts in enumerate(models, start=1):
        truth, predicted, size = codes[:, 0], codes[:, index], facts.size
        right = truth == predicted
        shares = _Shares(
            hits=_sums(weights[:, right], truth[right], size),
            truth=_sums(weights, truth, size),
            predicted=_sums(weights, predicted, size),
            present=facts.present,
            seen=np.union1d(facts.present, facts.answered),
            positive=facts.positive,
        )
        columns.append(_value(name, shares))
    return np.stack(columns, axis=1)


def _sums(weights: Floats, codes: Codes, size: int) -> Floats:
    """Sum the columns of ``weights`` by class."""
    sums = np.zeros((len(weights), size))
    if codes.size:
        order = np.argsort(codes, kind="stable")
        present, starts = np.unique(codes[order], return_index=True)
        sums[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def _value(name: str, shares: _Shares) -> Floats:
    if name in _WHOLE:
        return _WHOLE[name](shares)
    metric, _, average = name.partition("_")
    return _averaged(metric, average, shares)


def fraction(
    metric: str, hits: Floats, truth: Floats, predicted: Floats
) -> tuple[Floats, Floats]:
    """Numerator and denominator of precision, recall, an F or Jaccard."""
    if metric == "precision":
        return hits, predicted
    if metric == "recall":
        return hits, truth
    if metric == "jaccard":
        return hits, truth + predicted - hits
    square = float(metric.removeprefix("f")) ** 2
    return (1 + square) * hits, square * truth + predicted


def ratio(above: Floats, below: Floats) -> Floats:
    """Shares; a share of nothing is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _averaged(metric: str, average: str, shares: _Shares) -> Floats:
    above, below = fraction(metric, shares.hits, shares.truth, shares.predicted)
    if average == "micro":
        return ratio(above.sum(axis=1), below.sum(axis=1))
    ratios = ratio(above, below)
    if not average and shares.positive is not None:
        return ratios[:, shares.positive]
    if average == "weighted":
        weighted: Floats = (ratios * shares.truth).sum(axis=1)
        return weighted
    mean: Floats = ratios[:, shares.seen].mean(axis=1)
    return mean


def _accuracy(shares: _Shares) -> Floats:
    total: Floats = shares.hits.sum(axis=1)
    return total


def _balanced_accuracy(shares: _Shares) -> Floats:
    recalls = ratio(shares.hits, shares.truth)[:, shares.present]
    mean: Floats = recalls.mean(axis=1)
    return mean


def _matthews(shares: _Shares) -> Floats:
    chance = (shares.truth * shares.predicted).sum(axis=1)
    spread = (1 - (shares.truth**2).sum(axis=1)) * (
        1 - (shares.predicted**2).sum(axis=1)
    )
    return ratio(_accuracy(shares) - chance, np.sqrt(np.clip(spread, 0, None)))


def _cohen_kappa(shares: _Shares) -> Floats:
    chance: Any = (shares.truth * shares.predicted).sum(axis=1)
    return ratio(_accuracy(shares) - chance, 1 - chance)


def _error_rate(shares: _Shares) -> Floats:
    return 1 - _accuracy(shares)


def _specificity(shares: _Shares) -> Floats:
    """Of the positive class, or the mean over classes of each against the rest."""
    others = 1 - shares.truth
    kept = ratio(others - shares.predicted + shares.hits, others)
    if shares.positive is not None:
        return kept[:, shares.positive]
    mean: Floats = kept[:, shares.seen].mean(axis=1)
    return mean


def _two_rates(shares: _Shares) -> tuple[Floats, Floats]:
    """False positive and false negative rate; a rate of no rows is 0."""
    assert shares.positive is not None  # these metrics are of a binary task
    other, one = 1 - shares.positive, shares.positive
    missed = ratio(shares.truth - shares.hits, shares.truth)
    return missed[:, other], missed[:, one]


def _false_positive_rate(shares: _Shares) -> Floats:
    return _two_rates(shares)[0]


def _false_negative_rate(shares: _Shares) -> Floats:
    return _two_rates(shares)[1]


def _negative_predictive_value(shares: _Shares) -> Floats:
    return ratio(shares.hits, shares.predicted)[:, 1 - (shares.positive or 0)]


def _positive_likelihood_ratio(shares: _Shares) -> Floats:
    kept, found = _kept_and_found(shares)
    return _times(found, 1 - kept)


def _negative_likelihood_ratio(shares: _Shares) -> Floats:
    kept, found = _kept_and_found(shares)
    return _times(1 - found, kept)


def _kept_and_found(shares: _Shares) -> tuple[Floats, Floats]:
    """Specificity and recall; no number where no row is of the class."""
    assert shares.positive is not None  # these metrics are of a binary task
    rates = _times(shares.hits, shares.truth)
    return rates[:, 1 - shares.positive], rates[:, shares.positive]


def _times(above: Floats, below: Floats) -> Floats:
    """A ratio that may be any number, and none to nothing."""
    unknown = np.full_like(above, np.nan)
    return np.divide(above, below, out=unknown, where=below > 0)


_WHOLE: dict[str, Callable[[_Shares], Floats]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "zero_one_loss": _error_rate,
    "hamming_loss": _error_rate,
    "specificity": _specificity,
    "negative_predictive_value": _negative_predictive_value,
    "false_positive_rate": _false_positive_rate,
    "false_negative_rate": _false_negative_rate,
    "positive_likelihood_ratio": _positive_likelihood_ratio,
    "negative_likelihood_ratio": _negative_likelihood_ratio,
    "matthews_corrcoef": _matthews,
    "cohen_kappa": _cohen_kappa,
}
