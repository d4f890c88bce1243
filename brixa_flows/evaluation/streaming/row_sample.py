"""A fair sample of rows that are seen once, with rows of every class, however rare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["RowSample"]

_OWN_STREAM = 0x726F7773
_OF_A_STRATUM = 5  # at least, of as many strata as there may be

Floats = NDArray[np.float64]


class RowSample:
    """Up to so many rows; each is as likely as any other of its stratum.

    Every row draws a ticket and the smallest of each stratum are kept. All rows are,
    while they are few enough; then each stratum keeps an equal part, so that a rare one
    is there as a whole.

    Args:
        most: How many are kept, about.
        seed: Same seed and rows, same sample.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most = most
        # Not the stream of the plain seed, which made-up labels may come from too: the
        # tickets would then choose by label.
        self._generator = np.random.default_rng([seed, _OWN_STREAM])
        self._strata: dict[int, _Stratum] = {}

    def add(self, batch: Outcomes, strata: NDArray[np.int64] | None = None) -> None:
        """Add rows, in the same coding as those before.

        Args:
            batch: The rows.
            strata: Stratum of each, of shape (n_samples,); ``None`` for one of all.
        """
        tickets = self._generator.random(batch.rows)
        if strata is None:
            strata = np.zeros(batch.rows, dtype=np.int64)
        for code in np.unique(strata).tolist():
            rows = np.flatnonzero(strata == code)
            stratum = self._strata.setdefault(code, _Stratum(self._most))
            stratum.add(batch, rows, tickets)
        if sum(each.kept for each in self._strata.values()) > self._most:
            part = max(self._most // len(self._strata), _OF_A_STRATUM)
            for each in self._strata.values():
                each.limit(part)

    @property
    def outcomes(self) -> Outcomes | None:
        """The rows, stratum by stratum."""
        joined: Outcomes | None = None
        for _, each in sorted(self._strata.items()):
            assert each.outcomes is not None  # it has a row
            part = each.outcomes
            joined = part if joined is None else joined.joined(part)
        if joined is None:
            return None
        parts = [each.outcomes for each in self._strata.values()]
        classes = max((each.classes for each in parts if each), key=len)
        return replace(joined, classes=classes)

    @property
    def weights(self) -> Floats:
        """How many rows each one stands for, of shape (n_samples,)."""
        every = [
            np.full(each.kept, each.rows / each.kept)
            for _, each in sorted(self._strata.items())
        ]
        return np.concatenate(every)

    @property
    def places(self) -> list[tuple[slice, int]]:
        """Where each stratum is in the sample, and how many rows it has in all."""
        found, start = [], 0
        for _, each in sorted(self._strata.items()):
            found.append((slice(start, start + each.kept), each.rows))
            start += each.kept
        return found

    def counts(self, draws: int, generator: np.random.Generator) -> Floats:
        """How often each row counts in draws of all rows, of shape (n_draws, n_samples).

        The deviation of a Poisson bootstrap is scaled down to that of all rows of the
        stratum, as the m-out-of-n bootstrap does; a stratum that is kept whole is
        resampled as it is.
        """
        weights = self.weights
        shape = draws, weights.size
        away = (generator.poisson(1.0, size=shape) - 1.0) / np.sqrt(weights)
        counts: Floats = weights * (1.0 + away)
        return counts


class _Stratum:
    """Its rows with the smallest tickets."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tickets = np.empty(0)
        self._below = np.inf
        self.rows = 0
        self.outcomes: Outcomes | None = None

    @property
    def kept(self) -> int:
        return int(self._tickets.size)

    def add(self, batch: Outcomes, rows: NDArray[np.int64], tickets: Floats) -> None:
        self.rows += rows.size
        chosen = rows[tickets[rows] < self._below]
        part = batch.take(chosen)
        self.outcomes = part if self.outcomes is None else self.outcomes.joined(part)
        self._tickets = np.concatenate([self._tickets, tickets[chosen]])
        self.limit(self._most)

    def limit(self, most: int) -> None:
        self._most = min(self._most, most)
        if self.kept <= self._most:
            return
        assert self.outcomes is not None  # it has rows
        smallest = np.sort(np.argpartition(self._tickets, self._most)[: self._most])
        self._tickets = self._tickets[smallest]
        self.outcomes = self.outcomes.take(smallest)
        self._below = float(self._tickets.max())
