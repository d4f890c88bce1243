"""What is kept of one column: counts and sums that add up, whatever its length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from brixa_flows.drift.radix import EMPTY_HISTOGRAM, Anchors, Floats, Histogram
from brixa_flows.errors import DriftError

__all__ = ["KINDS", "MAX_CATEGORIES", "MAX_WORDS", "ColumnKind", "ColumnProfile"]

ColumnKind = Literal[
    "numeric",
    "category",
    "boolean",
    "datetime",
    "text",
    "tensor",
    "empty",
    "unsupported",
]
KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)

MAX_CATEGORIES = 1_000
MAX_WORDS = 5_000
# While rows still come in more is kept, so that a late riser is not lost.
_PRUNED_FROM, _PRUNED_TO = 20_000, 10_000


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """One column, summed up. Adds to and subtracts from others of its kind.

    Attributes:
        kind: What the values are; ``empty`` has none to tell by.
        type_name: The type it was read with, in Arrow's words.
        rows: All rows, missing ones too.
        missing: Nulls and NaNs.
        infinite: Infinities of either sign; neither missing nor in the histogram.
        negative: Those below zero; ``None`` in profiles of earlier releases that do not
            tell.
        total: Sum of ``value - centre`` over the finite values.
        squares: Sum of its squares.
        minimum: Smallest finite value.
        maximum: Largest finite value.
        centre: What was subtracted before binning, a median of the reference.
        whole: All values are whole numbers.
        bins: Histogram of ``value - centre``.
        categories: Rows by category, at most :data:`MAX_CATEGORIES` once built; of
            texts, rows by a word that is in them, at most :data:`MAX_WORDS`.
        other: Rows in categories (words) that are not kept.
        parts: What else is measured of each row, by name: the length of a text, the
            mean of an image's numbers.
    """

    kind: ColumnKind
    type_name: str
    rows: int
    missing: int = 0
    infinite: int = 0
    negative: int | None = 0
    total: float = 0.0
    squares: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    centre: float | None = None
    whole: bool = False
    bins: Histogram = EMPTY_HISTOGRAM
    categories: Mapping[str, int] = field(default_factory=dict)
    other: int = 0
    parts: Mapping[str, ColumnProfile] = field(default_factory=dict)

    @property
    def values(self) -> int:
        """Rows that are neither missing nor infinite."""
        return self.rows - self.missing - self.infinite

    @property
    def missing_share(self) -> float:
        """Share of missing rows, 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the finite values."""
        if not self.values or self.centre is None:
            return None
        return self.centre + self.total / self.values

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values (population), 0 for none."""
        if not self.values:
            return 0.0
        variance = self.squares / self.values - (self.total / self.values) ** 2
        return float(np.sqrt(max(variance, 0.0)))

    def quantiles(self, *levels: float) -> Floats:
        """Values relative to the centre below which these shares lie.

        Args:
            *levels: Within 0 to 1.

        Returns:
            Of shape (n_levels,), right to the width of a bin; NaN for no values.
        """
        if not self.bins.total:
            return np.full(len(levels), np.nan)
        ranks = np.cumsum(self.bins.counts)
        places = np.searchsorted(ranks, np.asarray(levels) * ranks[-1])
        positions = self.bins.positions(whole=self.whole)
        found: Floats = positions[np.minimum(places, len(positions) - 1)]
        return found

    @property
    def scale(self) -> float:
        """Interquartile range / 1.349: the deviation of a normal, deaf to outliers."""
        if not self.bins.total:
            return 0.0
        lower, upper = self.quantiles(0.25, 0.75)
        return float(upper - lower) / 1.349

    def about(self, centre: float, anchors: Anchors = ()) -> ColumnProfile:
        """The same column with other centres, right to the width of a bin."""
        if self.centre is None or not self.values:
            return replace(self, centre=centre)
        if (self.centre, self.bins.anchors) == (centre, anchors):
            return self
        move = self.centre - centre
        whole = self.whole and float(centre).is_integer()
        return replace(
            self,
            centre=centre,
            whole=whole,
            bins=self.bins.moved(move, anchors, whole=whole),
            total=self.total + self.values * move,
            squares=self.squares + 2 * move * self.total + self.values * move**2,
        )

    def like(self, twin: ColumnProfile | None) -> ColumnProfile:
        """The same column about the centres of another one and of its parts."""
        if twin is None or twin.kind != self.kind:
            return self
        moved = self
        if twin.centre is not None:
            moved = self.about(twin.centre, twin.bins.anchors)
        parts = {
            name: part.like(twin.parts.get(name)) for name, part in moved.parts.items()
        }
        return replace(moved, parts=parts) if parts else moved

    def __add__(self, later: ColumnProfile) -> ColumnProfile:
        """Both, one below the other.

        Raises:
            DriftError: If they are of different kinds.
        """
        kind, type_name, centre = _common(self, later)
        if later.centre is not None and self.centre is not None:
            later = later.about(self.centre, self.bins.anchors)
        counts = Counter(self.categories)
        counts.update(later.categories)
        pruned = len(counts) > _PRUNED_FROM
        kept = _most_frequent(counts, _PRUNED_TO) if pruned else dict(counts)
        dropped = counts.total() - sum(kept.values())
        return ColumnProfile(
            kind=kind,
            type_name=type_name,
            rows=self.rows + later.rows,
            missing=self.missing + later.missing,
            infinite=self.infinite + later.infinite,
            negative=_known_sum(self.negative, later.negative),
            total=self.total + later.total,
            squares=self.squares + later.squares,
            minimum=_extreme(min, self.minimum, later.minimum),
            maximum=_extreme(max, self.maximum, later.maximum),
            centre=centre,
            whole=(self.whole or not self.values) and (later.whole or not later.values),
            bins=self.bins + later.bins,
            categories=kept,
            other=self.other + later.other + dropped,
            parts=_summed_parts(self, later),
        )

    def without(self, part: ColumnProfile) -> ColumnProfile:
        """The rows that are not in ``part``, which was added before.

        Minimum and maximum stay those of all rows, because they can't be undone.
        """
        counts = Counter(self.categories)
        counts.subtract(part.categories)
        return replace(
            self,
            rows=self.rows - part.rows,
            missing=self.missing - part.missing,
            infinite=self.infinite - part.infinite,
            negative=_known_sum(self.negative, part.negative, -1),
            total=self.total - part.total,
            squares=self.squares - part.squares,
            bins=self.bins - part.bins,
            categories={name: count for name, count in counts.items() if count > 0},
            other=max(self.other - part.other, 0),
            parts={
                name: own.without(part.parts[name]) if name in part.parts else own
                for name, own in self.parts.items()
            },
        )

    def trimmed(self) -> ColumnProfile:
        """At most :data:`MAX_CATEGORIES` categories, the most frequent ones."""
        most = MAX_WORDS if self.kind == "text" else MAX_CATEGORIES
        if len(self.categories) <= most:
            return self
        kept = _most_frequent(self.categories, most)
        dropped = sum(self.categories.values()) - sum(kept.values())
        return replace(self, categories=kept, other=self.other + dropped)


def _most_frequent(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """Of equally frequent ones the first by name, whatever the order of the rows."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:most])


def _common(
    first: ColumnProfile, second: ColumnProfile
) -> tuple[ColumnKind, str, float | None]:
    """Kind, type and centre of a sum; a column with no values takes any kind."""
    centre = first.centre if first.centre is not None else second.centre
    if first.kind == second.kind or second.kind == "empty":
        return first.kind, first.type_name, centre
    if first.kind == "empty":
        return second.kind, second.type_name, centre
    raise DriftError(
        f"a column of {first.kind} values ({first.type_name}) can't be added to one "
        f"of {second.kind} values ({second.type_name})"
    )


def _summed_parts(
    first: ColumnProfile, second: ColumnProfile
) -> dict[str, ColumnProfile]:
    """Only one has parts if the other has no values."""
    summed = dict(first.parts)
    for name, part in second.parts.items():
        summed[name] = summed[name] + part if name in summed else part
    return summed


def _known_sum(first: int | None, second: int | None, sign: int = 1) -> int | None:
    return None if first is None or second is None else first + sign * second


def _extreme(
    choose: Callable[[list[float]], float], first: float | None, second: float | None
) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return choose(known) if known else None
