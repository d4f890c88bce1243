"""Both samples of a column in a few common bins, to look at."""

from __future__ import annotations

import numpy as np

from brixa_flows.drift.column import ColumnProfile
from brixa_flows.drift.methods.categorical import aligned_counts
from brixa_flows.drift.report import ColumnShape

__all__ = ["SHOWN_PARTS", "shape_of"]

# Which part of a text or a tensor is drawn.
SHOWN_PARTS = {"text": "characters", "tensor": "mean"}
_BINS = 40
_CATEGORIES = 12


def shape_of(reference: ColumnProfile, current: ColumnProfile) -> ColumnShape | None:
    """Shares in 40 bins between the outer half-percents, or in the main categories.

    Returns:
        ``None`` if one of them has no values.
    """
    if not reference.values or not current.values:
        return None
    shown = SHOWN_PARTS.get(reference.kind, "")
    if shown in reference.parts and shown in current.parts:
        return shape_of(reference.parts[shown], current.parts[shown])
    if reference.kind in ("category", "boolean"):
        return _category_shape(reference, current)
    if reference.kind in ("numeric", "datetime"):
        return _numeric_shape(reference, current)
    return None


def _numeric_shape(reference: ColumnProfile, current: ColumnProfile) -> ColumnShape:
    ends = [column.quantiles(0.005, 0.995) for column in (reference, current)]
    lower, upper = min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1])
    if upper <= lower:
        lower, upper = lower - 0.5, upper + 0.5
    edges = np.linspace(lower, upper, _BINS + 1)
    centre = reference.centre or 0.0
    shares = []
    for column in (reference, current):
        counts = column.bins.coarsened(edges, whole=column.whole)
        shares.append(_rounded(counts / column.bins.total))
    return ColumnShape(
        edges=tuple(float(edge) for edge in edges + centre),
        reference=shares[0],
        current=shares[1],
    )


def _category_shape(reference: ColumnProfile, current: ColumnProfile) -> ColumnShape:
    labels, first, second = aligned_counts(reference, current)
    before, after = first / first.sum(), second / second.sum()
    order = np.argsort(-(before + after), kind="stable")[:_CATEGORIES]
    return ColumnShape(
        labels=tuple(labels[place] for place in order),
        reference=_rounded(before[order]),
        current=_rounded(after[order]),
    )


def _rounded(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    return tuple(round(float(share), 6) for share in shares)
