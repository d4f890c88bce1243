"""What is known of rows that were judged and not kept; its size does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.calibration import confidence, gaps
from brixa_flows.evaluation.confusion import Cells
from brixa_flows.evaluation.draws import largest_rows
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metric_catalog import METRICS
from brixa_flows.evaluation.multilabel import row_shares
from brixa_flows.evaluation.outcomes import (
    CLASSES_WITH_CURVES,
    Costs,
    Outcomes,
    Signs,
    Task,
)
from brixa_flows.evaluation.ranking import belongs
from brixa_flows.evaluation.streaming.label_sums import LabelSums
from brixa_flows.evaluation.streaming.moments import Moments
from brixa_flows.evaluation.streaming.row_sample import RowSample
from brixa_flows.evaluation.streaming.score_histogram import ScoreHistogram
from brixa_flows.evaluation.terms import terms_of

__all__ = ["SAMPLED_ROWS", "Summary", "is_of_rows"]

SAMPLED_ROWS = 5_000
_TENTHS = 10
_EXPLAINED = {"d2_log_loss_score": "log_loss", "d2_brier_score": "brier_score_loss"}
_BITS = 10
_BITS_OF_A_SLICE = 7
_BITS_AT_LEAST = 3
_SAMPLED_NUMBERS = 500_000
_SAMPLED_AT_LEAST = 200


class Summary:
    """Counts, sums, histograms and a sample of rows, batch after batch.

    Args:
        first: Some rows, which tell the task and the model's classes.
        metrics: What is to be computed.
        seed: Of the sample.
        whole: Whether these are all rows of a dataset, or a slice, which is coarser
            and has no curves.

    Attributes:
        task: What the model does.
        classes: Label of each code.
        known: How many of them the model knows.
        positive: Code of the positive class.
        has_probabilities: Whether the model gives them.
        has_ranking: Whether it gives them or other scores that order rows.
        one_score: Whether it gives one decision score a row.
        rows: Number of judged rows.
        costs: What the predictions cost, once it is known.
        cells: Of the confusion matrix.
        moments: Of the terms of metrics that are means, by name.
        scores: By code of each class that the model knows; of the positive one in a
            binary task.
        gaps: Confidence less truth by bin, of shape (15,).
        tenths: Rows, positive rows and sum of scores by tenth of the scale.
        pairs: Rows of two classes by their probability of the first, by both codes.
        labels: Counts of several labels a row.
        largest: The largest errors of numbers, in no order.
        sample: Some rows, fairly chosen among those of a class.
        signs: Of numbers as labels and as answers.
    """

    def __init__(
        self,
        first: Outcomes,
        metrics: Sequence[Metric],
        *,
        seed: int = 0,
        whole: bool = True,
    ) -> None:
        self.task: Task = first.task
        self.classes, self.known = first.classes, first.known
        self.positive = first.positive
        self.has_probabilities = first.has_probabilities
        self.has_ranking = first.has_ranking
        self.one_score = first.one_score
        self._scale = _usual_size(first.margins)
        self.rows = 0
        self.costs: Costs | None = None
        self.cells: Cells | None = None
        self.signs = Signs(), Signs()
        self.gaps = np.zeros(())
        self.tenths = np.zeros((3, _TENTHS))
        self._range = np.inf, -np.inf
        self._whole = whole
        centre = 0.0 if first.classifies else float(first.truth.mean())
        means = [each for each in map(_summed, metrics) if each is not None]
        self._terms = {each.name: terms_of(each, centre)[0] for each in means}
        if self._several:
            names = (each.name for each in metrics if is_of_rows(each))
            self._terms |= {name: partial(_row_terms, name) for name in names}
        self._probable = {m.name for m in means if m.needs == "probability"}
        self.moments: dict[str, Moments] = {}
        self.scores = self._histograms(metrics)
        self.pairs = self._pairs(metrics)
        self.labels = LabelSums(first.known) if self._several else None
        self.largest = np.empty(0)
        order = np.argsort(first.truth.sum(axis=0)) if self._several else ()
        self._rarest_first = np.asarray(order, dtype=np.int64)
        width = max(self.known, 1)
        most = max(_SAMPLED_AT_LEAST, min(SAMPLED_ROWS, _SAMPLED_NUMBERS // width))
        self.sample = RowSample(most, seed)

    def _histograms(self, metrics: Sequence[Metric]) -> dict[int, ScoreHistogram]:
        ranked = any(each.ranks for each in metrics)
        binary = self.task == "binary"
        drawn = self._whole and (self._several or self.known <= CLASSES_WITH_CURVES)
        if not self.has_ranking or not (ranked or drawn):
            return {}
        codes = [self.positive] if binary else range(self.known)
        codes = [code for code in codes if code < self.known]
        bits = self._bits(len(codes))
        return {code: ScoreHistogram(bits, self._scale) for code in codes}

    def _pairs(
        self, metrics: Sequence[Metric]
    ) -> dict[tuple[int, int], ScoreHistogram]:
        if not any(each.name.startswith("roc_auc_ovo") for each in metrics):
            return {}
        pairs = list(permutations(range(self.known), 2))
        bits = self._bits(len(pairs))
        return {pair: ScoreHistogram(bits, self._scale) for pair in pairs}

    def _bits(self, histograms: int) -> int:
        """So many that memory stays the same, however many histograms there are."""
        finest = _BITS if self._whole else _BITS_OF_A_SLICE
        return max(_BITS_AT_LEAST, finest - max(histograms - 1, 0).bit_length())

    def fold(self, batch: Outcomes) -> None:
        """Add rows in the same coding, whose classes may be more."""
        if self.classifies:
            self.classes = batch.classes
            cells = Cells.of(batch)
            self.cells = cells if self.cells is None else self.cells.plus(cells)
        elif self.labels is not None:
            self.labels.add(batch)
        else:
            self._fold_numbers(batch)
        if batch.ranking is not None:
            self._fold_order(batch, batch.ranking)
        if batch.probabilities is not None:
            self._fold_probabilities(batch, batch.probabilities)
        unseen = bool(batch.unseen) if self.classifies else False
        with np.errstate(all="ignore"):  # what can't be computed is refused in the end
            for name, terms in self._terms.items():
                if not (unseen and name in self._probable):
                    rows = terms(batch)
                    known = self.moments.setdefault(name, Moments(rows.shape[1]))
                    known.add(rows)
        self.sample.add(batch, self._strata_of(batch))
        self.rows += batch.rows

    def _strata_of(self, batch: Outcomes) -> NDArray[np.int64] | None:
        """By class; of several labels by that which was the rarest at first."""
        if self.classifies:
            return batch.truth
        if not self._several:
            return None
        has = batch.truth[:, self._rarest_first] == 1
        rarest = self._rarest_first[has.argmax(axis=1)]
        return np.where(has.any(axis=1), rarest, self.known)

    def _fold_numbers(self, batch: Outcomes) -> None:
        errors = np.abs(batch.truth - batch.predicted)
        largest = np.concatenate([self.largest, errors[largest_rows(errors)]])
        self.largest = largest[largest_rows(largest)]
        labels, answers = batch.signs
        self.signs = (
            self.signs[0].then(labels, self.rows),
            self.signs[1].then(answers, self.rows),
        )
        low, high = self._range
        self._range = min(low, batch.truth.min()), max(high, batch.truth.max())

    def _fold_order(self, batch: Outcomes, ranking: NDArray[np.float64]) -> None:
        for code, histogram in self.scores.items():
            histogram.add(ranking[:, code], belongs(batch, code))
        for (code, other), histogram in self.pairs.items():
            hit = batch.truth == code
            rows = hit | (batch.truth == other)
            histogram.add(ranking[rows, code], hit[rows])

    def _fold_probabilities(
        self, batch: Outcomes, probabilities: NDArray[np.float64]
    ) -> None:
        if self.classifies and not batch.unseen:
            self.gaps = self.gaps + gaps(*confidence(batch))
        if self.task == "binary" and self._whole and self.positive < self.known:
            score = probabilities[:, self.positive]
            tenth = np.minimum((score * _TENTHS).astype(np.int64), _TENTHS - 1)
            hits = (batch.truth == self.positive).astype(np.float64)
            for at, weights in enumerate((None, hits, score)):
                self.tenths[at] += np.bincount(tenth, weights, minlength=_TENTHS)

    @property
    def _several(self) -> bool:
        return self.task == "multilabel"

    @property
    def classifies(self) -> bool:
        """Whether each row has one label of several classes."""
        return self.task in ("binary", "multiclass")

    @property
    def present(self) -> set[int]:
        """Codes of classes that occur as a label."""
        return set() if self.cells is None else set(self.cells.present.tolist())

    @property
    def answered(self) -> set[int]:
        """Codes of classes that occur as an answer."""
        return set() if self.cells is None else set(self.cells.answered.tolist())

    @property
    def unseen(self) -> dict[Any, int]:
        """Rows by label that the model does not know."""
        rows = self.class_rows
        codes = range(self.known, len(self.classes))
        return {self.classes[code]: int(rows[code]) for code in codes if rows[code]}

    @property
    def class_rows(self) -> NDArray[Any]:
        """Rows of each class, of shape (n_classes,)."""
        if self.cells is None:
            return np.zeros(len(self.classes))
        cells = self.cells
        return np.bincount(cells.codes[:, 0], cells.rows, minlength=len(self.classes))

    @property
    def label_rows(self) -> NDArray[Any]:
        """Rows that have each of several labels, of shape (n_labels,)."""
        return np.zeros(0) if self.labels is None else self.labels.actual

    @property
    def labels_differ(self) -> bool:
        """Whether numbers as labels are not all the same."""
        return self._range[1] > self._range[0]


def _usual_size(margins: NDArray[np.float64] | None) -> float | None:
    """How far margins are from 0, in the middle of them; 1 if they tell nothing."""
    if margins is None:
        return None
    return float(np.median(np.abs(margins))) or 1.0


def _summed(metric: Metric) -> Metric | None:
    """The mean that the metric is made of, if it is."""
    if metric.name in _EXPLAINED:
        return METRICS[_EXPLAINED[metric.name]]
    return metric if metric.method == "mean" else None


def is_of_rows(metric: Metric) -> bool:
    """Whether it is the mean of a share of each row, of several labels a row."""
    whole = metric.name in ("accuracy", "zero_one_loss", "hamming_loss")
    return whole or metric.name.endswith("_samples")


def _row_terms(name: str, outcomes: Outcomes) -> NDArray[np.float64]:
    shares = row_shares(name, outcomes)
    assert shares is not None  # is_of_rows chose it
    return shares[:, None]
