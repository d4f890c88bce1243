"""Several labels a row, summed up: how often each occurs, is said, and both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.confusion import Cells
from brixa_flows.evaluation.intervals import normal_draws
from brixa_flows.evaluation.multilabel import of_counts
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.streaming.moments import Moments

__all__ = ["LabelSums"]

Floats = NDArray[np.float64]


class LabelSums:
    """Counts of labels, and how they vary together over the rows.

    Args:
        labels: How many there are.

    Attributes:
        hits: Rows that have a label and are said to, of shape (n_labels,).
        actual: Rows that have it.
        answered: Rows that are said to.
    """

    def __init__(self, labels: int) -> None:
        self.hits = np.zeros(labels, dtype=np.int64)
        self.actual = np.zeros(labels, dtype=np.int64)
        self.answered = np.zeros(labels, dtype=np.int64)
        self._moments = Moments(3 * labels)

    def add(self, batch: Outcomes) -> None:
        """Add rows."""
        parts = batch.truth * batch.predicted, batch.truth, batch.predicted
        for known, part in zip(
            (self.hits, self.actual, self.answered), parts, strict=True
        ):
            known += part.sum(axis=0)
        self._moments.add(np.concatenate(parts, axis=1).astype(np.float64))

    def value(self, name: str) -> float:
        """A metric that is of the labels, not of the rows."""
        parts = (self.hits, self.actual, self.answered)
        hits, actual, answered = (part[None, :].astype(np.float64) for part in parts)
        return float(of_counts(name, hits, actual, answered)[0])

    def draws(self, name: str, generator: np.random.Generator) -> Floats:
        """Draws of it, by the central limit theorem; of shape (n_draws,)."""
        means = normal_draws(self._moments.means, self._moments.error, generator)
        hits, actual, answered = np.split(np.clip(means, 0.0, 1.0), 3, axis=1)
        return of_counts(name, hits, actual, answered)

    def cells(self, label: int) -> Cells:
        """The confusion matrix of one label: does a row have it?"""
        hit, actual, answered = (
            int(part[label]) for part in (self.hits, self.actual, self.answered)
        )
        rows = self._moments.rows
        codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int64)
        quiet = rows - actual - answered + hit
        counts = np.array([quiet, answered - hit, actual - hit, hit], dtype=np.int64)
        return Cells(codes[counts > 0], counts[counts > 0], 2, positive=1)
