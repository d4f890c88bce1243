"""Shares of rows that hold no usable value: missing ones and infinite ones."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import KINDS, ColumnKind, ColumnProfile

__all__ = ["InfiniteShare", "MissingShare"]


class MissingShare:
    """The change of the share of missing rows, with the two-proportion z test."""

    name = "missing_share_change"
    check = "missing"
    kinds: tuple[ColumnKind, ...] = KINDS
    threshold: float | None = 0.03

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        return _compare(
            (reference.missing, current.missing), (reference.rows, current.rows)
        )


class InfiniteShare:
    """The change of the share of infinite values, with the two-proportion z test."""

    name = "infinite_share_change"
    check = "infinite"
    kinds: tuple[ColumnKind, ...] = ("numeric",)
    threshold: float | None = 0.01

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        return _compare(
            (reference.infinite, current.infinite), (reference.rows, current.rows)
        )


def _compare(hits: tuple[int, int], rows: tuple[int, int]) -> Measurement | None:
    if not all(rows) or not any(hits):
        return None
    before, after = hits[0] / rows[0], hits[1] / rows[1]
    pooled = sum(hits) / sum(rows)
    error = np.sqrt(pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1]))
    p_value = float(2 * ndtr(-abs(after - before) / error)) if error else 1.0
    return Measurement(abs(after - before), p_value, f"{before:.1%} to {after:.1%}")
