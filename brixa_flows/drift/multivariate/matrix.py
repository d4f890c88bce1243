"""Two samples of rows as matrices of numbers, with columns that mean the same."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import numpy as np

from brixa_flows.drift.radix import Floats

__all__ = ["matrices"]

_MOST_CATEGORIES = 20
_FURTHEST = 10.0
_MOST_NUMBERS = 2_048


def matrices(
    before: dict[str, Any], after: dict[str, Any]
) -> tuple[Floats, Floats, list[str], list[str]]:
    """Both samples, scaled by the reference's medians and quartiles.

    Missing numbers are at the median, with a column of flags if there are any; the
    twenty most frequent categories are a column each; lists of numbers (embeddings) are
    as many columns as they are long.

    Returns:
        Matrices of shape (n_rows, n_features), the columns that went in and those that
        could not: texts, times, and what is gone or has another type.
    """
    parts: list[tuple[Floats, Floats]] = []
    used, left = [], []
    for name in dict.fromkeys([*before, *after]):
        pair = None
        if name in before and name in after:
            pair = _features(before[name], after[name], name)
        if pair is None:
            left.append(name)
        else:
            parts.append(pair)
            used.append(name)
    if not parts:
        return np.empty((0, 0)), np.empty((0, 0)), used, left
    first, second = (np.hstack([pair[side] for pair in parts]) for side in (0, 1))
    return first, second, used, left


def _features(before: Any, after: Any, name: str) -> tuple[Floats, Floats] | None:
    arrow: Any = importlib.import_module("brixa_flows.drift.multivariate._sampling")
    kinds = {arrow.kind(before), arrow.kind(after)}
    if kinds == {"numeric"}:
        return _scaled(
            arrow.numbers(before, name)[:, None], arrow.numbers(after, name)[:, None]
        )
    if kinds <= {"category", "boolean"}:
        return _one_hot(arrow.texts(before), arrow.texts(after))
    if kinds == {"tensor"}:
        sizes = arrow.widths(before) | arrow.widths(after)
        if len(sizes) == 1 and 0 < max(sizes) <= _MOST_NUMBERS:
            width = int(max(sizes))
            return _scaled(arrow.rows(before, width), arrow.rows(after, width))
    return None


def _scaled(before: Floats, after: Floats) -> tuple[Floats, Floats] | None:
    """Robustly, so that an outlier is far away and no more."""
    known = np.where(np.isfinite(before), before, np.nan)
    if not np.isfinite(known).any(axis=0).all():
        return None
    lower, middle, upper = np.nanquantile(known, [0.25, 0.5, 0.75], axis=0)
    deviation = np.nanstd(np.clip(known, -1e140, 1e140), axis=0)
    scale = np.where(upper > lower, (upper - lower) / 1.349, deviation)
    scale = np.where(scale > 0, scale, 1.0)
    made = []
    gaps = [~np.isfinite(side) for side in (before, after)]
    for side, gap in zip((before, after), gaps, strict=True):
        values = np.where(gap, middle, side)
        moved = np.clip((values - middle) / scale, -_FURTHEST, _FURTHEST)
        flags = gap.any(axis=1, keepdims=True).astype(np.float64)
        either = any(each.any() for each in gaps)
        made.append(np.hstack([moved, flags]) if either else moved)
    return made[0], made[1]


def _one_hot(before: Any, after: Any) -> tuple[Floats, Floats]:
    """Those of the reference, and one for all others and one for missing ones."""
    frequent = Counter(before).most_common(_MOST_CATEGORIES)
    places = {name: place for place, (name, _) in enumerate(frequent)}
    made = []
    for side in (before, after):
        codes = np.array(
            [places.get(text, len(places)) for text in side], dtype=np.int64
        )
        made.append(np.eye(len(places) + 1)[codes])
    return made[0], made[1]
