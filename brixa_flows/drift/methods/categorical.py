"""Categories and booleans: shares that moved, and values never seen before."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.special import chdtrc, gammaln

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.radix import Floats, Integers

__all__ = [
    "NewCategories",
    "ShareChange",
    "aligned_counts",
    "log_chance_alone",
    "new_categories",
    "sizes_of_both",
]

OTHER = "(other)"
_CATEGORIES: tuple[ColumnKind, ...] = ("category", "boolean")
_SMALLEST_EXPECTED = 5


class ShareChange:
    """The largest change of a category's share, and the chi-square of homogeneity.

    Both samples are taken as samples (the reference is not the population). Categories
    with fewer than five expected rows in either are pooled for the test.
    """

    name = "share_change"
    check = "values"
    kinds = _CATEGORIES
    threshold: float | None = 0.03

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.values or not current.values:
            return None
        labels, first, second = aligned_counts(reference, current)
        before, after = first / first.sum(), second / second.sum()
        changes = np.abs(after - before)
        most = int(np.argmax(changes))
        detail = f"{labels[most]!r}: {before[most]:.1%} to {after[most]:.1%}"
        return Measurement(float(changes[most]), _homogeneity(first, second), detail)


class NewCategories:
    """The share of rows whose category the reference does not have.

    Some are to be expected. If both samples are of one population, each of its rows fell
    into either by chance: a category of ``m`` rows in both together lies in the current
    one alone with the probability of drawing all ``m`` there. The p-value is Chernoff's
    upper bound for so many rows in such categories, right for any sizes of both.
    """

    name = "new_category_share"
    check = "new_categories"
    kinds = ("category",)
    threshold: float | None = 0.01

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.values or not current.values or reference.other:
            return None
        new = new_categories(reference, current)
        rows = sum(new.values())
        detail = ", ".join(repr(name) for name in list(new)[:5])
        p_value = _unseen_by_chance(rows, reference, current) if rows else 1.0
        return Measurement(rows / current.values, p_value, detail)


def new_categories(reference: ColumnProfile, current: ColumnProfile) -> dict[str, int]:
    """Rows by category that only ``current`` has, most frequent first."""
    new = {
        name: count
        for name, count in current.categories.items()
        if name not in reference.categories
    }
    return dict(sorted(new.items(), key=lambda item: (-item[1], item[0])))


def aligned_counts(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[list[str], Integers, Integers]:
    """Counts of both under the same labels.

    Where a profile had more categories than are kept, only those that both kept can be
    compared; the rest of either is one label, ``(other)``.

    Returns:
        The labels and the counts of each, of shape (n_labels,).
    """
    kept = set(reference.categories) | set(current.categories)
    if reference.other:
        kept &= set(reference.categories)
    if current.other:
        kept &= set(current.categories)
    labels = sorted(kept)
    counts = []
    for column in (reference, current):
        known = [column.categories.get(label, 0) for label in labels]
        counts.append([*known, column.values - sum(known)])
    first, second = np.asarray(counts[0]), np.asarray(counts[1])
    if not first[-1] and not second[-1]:
        return labels, first[:-1], second[:-1]
    return [*labels, OTHER], first, second


def _homogeneity(first: Integers, second: Integers) -> float:
    """p-value of Pearson's chi-square for two rows of counts."""
    table: Floats = np.vstack([first, second]).astype(np.float64)
    shares = table.sum(axis=1) / table.sum()
    rare = table.sum(axis=0) * shares.min() < _SMALLEST_EXPECTED
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = np.outer(shares, table.sum(axis=0))
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return float(chdtrc(table.shape[1] - 1, statistic))


def _unseen_by_chance(
    rows: int, reference: ColumnProfile, current: ColumnProfile
) -> float:
    """At most how often chance alone leaves so many rows to the current sample."""
    both, often = sizes_of_both(reference, current)
    log_chance = log_chance_alone(both, reference.values, current.values)
    chance = np.exp(log_chance)
    if rows <= float(np.sum(often * both * chance)):
        return 1.0
    # Chernoff: every tilt gives an upper bound, so a grid of them is on the safe side.
    tilts = np.logspace(-8, 2.5, 128)[:, None]
    stay = np.log1p(-np.minimum(chance, 1 - 1e-16))
    raised = np.logaddexp(stay, log_chance + tilts * both)
    bounds = (often * raised).sum(axis=1) - tilts[:, 0] * rows
    return float(np.exp(min(bounds.min(), 0.0)))


def sizes_of_both(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[Floats, Integers]:
    """Rows of a category in both together, and how many categories have so many."""
    both = Counter(reference.categories)
    both.update(current.categories)
    sizes, often = np.unique(np.fromiter(both.values(), np.float64), return_counts=True)
    return sizes, often


def log_chance_alone(both: Floats, before: int, now: int) -> Floats:
    """Log of the probability that all of so many rows are among the later ones.

    Args:
        both: Rows of a category, of shape (n_categories,).
        before: Rows of the reference.
        now: Rows of the current sample.
    """
    log_chance = np.full(len(both), -np.inf)
    # No more rows than were drawn can all be there.
    possible = both <= now
    log_chance[possible] = (
        gammaln(now + 1)
        - gammaln(now - both[possible] + 1)
        - gammaln(before + now + 1)
        + gammaln(before + now - both[possible] + 1)
    )
    bounded: Floats = np.minimum(log_chance, 0.0)
    return bounded
