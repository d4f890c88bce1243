"""Shares of rows that hold no usable value: missing ones and infinite ones."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, bdtrc, ndtr

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import KINDS, ColumnKind, ColumnProfile

__all__ = ["InfiniteShare", "MissingShare"]

# A single infinite value in a short window would be surely more than one in a long one.
_SMALLEST_EXPECTED = 5


class MissingShare:
    """The change of the share of missing rows, tested as two proportions."""

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
    """The change of the share of infinite values, tested as two proportions.

    Where there are some of both signs, the sign whose share changed most speaks: that
    +inf became -inf leaves the share of both as it was.
    """

    name = "infinite_share_change"
    check = "infinite"
    kinds: tuple[ColumnKind, ...] = ("numeric",)
    threshold: float | None = 0.01

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        rows = reference.rows, current.rows
        both = reference.infinite, current.infinite
        hits = {"": both}
        if reference.negative is not None and current.negative is not None:
            below = reference.negative, current.negative
            above = both[0] - below[0], both[1] - below[1]
            if any(below) and any(above):
                hits |= {" of -inf": below, " of +inf": above}
        found = {sign: _compare(each, rows) for sign, each in hits.items()}
        told = [
            Measurement(
                each.effect,
                min((each.p_value or 0.0) * len(hits), 1.0),
                each.detail + sign,
            )
            for sign, each in found.items()
            if each is not None
        ]
        return max(told, key=lambda each: each.effect or 0.0, default=None)


def _compare(hits: tuple[int, int], rows: tuple[int, int]) -> Measurement | None:
    if not all(rows) or not any(hits):
        return None
    before, after = hits[0] / rows[0], hits[1] / rows[1]
    p_value = _two_proportions(hits, rows)
    return Measurement(abs(after - before), p_value, f"{before:.1%} to {after:.1%}")


def _two_proportions(hits: tuple[int, int], rows: tuple[int, int]) -> float:
    """The z test; where it is too coarse, the binomial one on how the hits are split."""
    pooled = sum(hits) / sum(rows)
    if pooled > 0.5:
        hits, pooled = (rows[0] - hits[0], rows[1] - hits[1]), 1 - pooled
    if pooled * min(rows) >= _SMALLEST_EXPECTED:
        error = np.sqrt(pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1]))
        change = abs(hits[1] / rows[1] - hits[0] / rows[0])
        return float(2 * ndtr(-change / error))
    total, share = sum(hits), rows[1] / sum(rows)
    low = bdtr(hits[1], total, share)
    high = bdtrc(hits[1] - 1, total, share) if hits[1] else 1.0
    return float(min(2 * min(low, high), 1.0))
