"""A fair sample of rows that are seen once."""

from __future__ import annotations

import numpy as np

from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["RowSample"]

_OWN_STREAM = 0x726F7773


class RowSample:
    """Up to so many rows, each as likely as any other.

    Every row draws a number and the smallest are kept, so samples of two halves merge
    into one of the whole.

    Args:
        most: How many are kept.
        seed: Same seed and rows, same sample.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most = most
        # Not the stream of the plain seed, which made-up labels may come from too: the
        # tickets would then choose by label.
        self._generator = np.random.default_rng([seed, _OWN_STREAM])
        self._tickets = np.empty(0)
        self.outcomes: Outcomes | None = None

    def add(self, batch: Outcomes) -> None:
        """Add rows, in the same coding as those before."""
        drawn = self._generator.random(batch.rows)
        if self._tickets.size == self._most:
            chosen = np.flatnonzero(drawn < self._tickets.max())
            drawn, batch = drawn[chosen], batch.take(chosen)
        tickets = np.concatenate([self._tickets, drawn])
        joined = batch if self.outcomes is None else self.outcomes.joined(batch)
        if tickets.size > self._most:
            kept = np.sort(np.argpartition(tickets, self._most)[: self._most])
            tickets, joined = tickets[kept], joined.take(kept)
        self._tickets, self.outcomes = tickets, joined
