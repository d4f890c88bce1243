"""How much the reference differs from itself, week by week.

A single week of January and February already differs from both months: weather comes in
spells, demand in rhythms. So the effect of a window is judged against the effects of the
reference's own windows, each measured against all the others (leave one out).

The margin is that of a prediction: if windows move at random about the reference, the
effect of one more window over the root mean square of the ``k`` known ones follows
Student's t with ``k`` degrees of freedom. Eight weeks ask for 2.3 times their root mean
square in one column, and for about 4 times with twenty columns asked at once.

A longer window averages more: its effects are taken to be smaller by the square root of
the ratio of lengths, as for independent windows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr, stdtrit

from brixa_flows.drift.base import DriftMethod
from brixa_flows.drift.column import ColumnProfile
from brixa_flows.errors import DriftError

__all__ = [
    "KIND_SECONDS",
    "ReferenceSpread",
    "measure_spread",
    "spread_key",
    "window_rows",
    "window_seconds",
]

KIND_SECONDS = {
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 7 * 86_400.0,
    "month": 30.4375 * 86_400.0,
    "quarter": 91.3125 * 86_400.0,
}
FEWEST_WINDOWS = 4
_UNITS = {"h": 3_600.0, "D": 86_400.0, "W": 7 * 86_400.0}


def window_seconds(window: str) -> float:
    """Length of a window in seconds.

    Args:
        window: ``week``, ``month`` and so on, or a number and a unit: ``12h``, ``7D``,
            ``4W``.

    Raises:
        DriftError: If it is neither.
    """
    if window in KIND_SECONDS:
        return KIND_SECONDS[window]
    found = re.fullmatch(r"([1-9]\d{0,4})([hDW])", str(window))
    if not found:
        raise DriftError(
            f"{window!r} is no window; write {', '.join(KIND_SECONDS)}, or a number of "
            "hours, days or weeks such as 12h, 7D or 4W"
        )
    return int(found[1]) * _UNITS[found[2]]


def window_rows(window: str) -> int | None:
    """Rows of a window such as ``5000 rows``; ``None`` if it is one of time."""
    found = re.fullmatch(r"([1-9]\d{0,9}) rows", window)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class ReferenceSpread:
    """Effects of the reference's own windows, each against the others.

    Attributes:
        window: Their length, such as ``7D`` or ``5000 rows``.
        windows: How many there are.
        effects: Effects by column and method, at most one a window.
        rows: Of each window.
    """

    window: str
    windows: int
    effects: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    @property
    def length(self) -> float:
        """Of a window, in seconds or in rows."""
        return float(window_rows(self.window) or window_seconds(self.window))

    def typical(self, column: str, method: str, length: float) -> float | None:
        """Root mean square of the effects, for a window of that length.

        Returns:
            ``None`` if too few windows had such an effect to tell.
        """
        effects = self.effects.get(column, {}).get(method, ())
        if len(effects) < FEWEST_WINDOWS:
            return None
        shrink = np.sqrt(self.length / length)
        return float(np.sqrt(np.mean(np.square(effects))) * shrink)

    def p_value(
        self, column: str, method: str, effect: float, length: float
    ) -> float | None:
        """How often one more window of the reference would have such an effect.

        Returns:
            ``None`` if the reference's windows can't tell.
        """
        typical = self.typical(column, method, length)
        if typical is None:
            return None
        if typical == 0:
            return 0.0 if effect > 0 else 1.0
        known = len(self.effects[column][method])
        return float(2 * stdtr(known, -effect / typical))

    def bound(
        self, column: str, method: str, length: float, alpha: float = 0.05
    ) -> float | None:
        """The effect that a window of the reference exceeds in ``alpha`` of cases."""
        typical = self.typical(column, method, length)
        if typical is None:
            return None
        known = len(self.effects[column][method])
        return typical * float(stdtrit(known, 1 - alpha / 2))


def spread_key(question: tuple[str, str], method: DriftMethod) -> str:
    """Under which name the effects of a column, or of a part of one, are kept."""
    column, check = question
    return column if check == method.check else f"{column}: {check}"


def measure_spread(
    window: str,
    parts: Sequence[dict[str, ColumnProfile]],
    whole: dict[str, ColumnProfile],
    methods: Sequence[DriftMethod],
    rows: Sequence[int] = (),
) -> ReferenceSpread:
    """Compare each window with all the others.

    Args:
        window: Length of the windows.
        parts: The windows' columns, all about the centres of ``whole``.
        whole: The columns of all rows.
        methods: What to measure with; those without a threshold are left out.
        rows: Of each window.
    """
    deciding = [method for method in methods if method.threshold is not None]
    effects: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, column in whole.items():
        suited = [method for method in deciding if column.kind in method.kinds]
        pairs = [
            (column.without(part[name]), part[name])
            for part in parts
            if name in part and part[name].kind == column.kind
        ]
        effects[name] = {method.name: _effects(method, pairs) for method in suited}
        for part in column.parts:
            kept = [
                (before.parts[part], after.parts[part])
                for before, after in pairs
                if part in before.parts and part in after.parts
            ]
            effects[f"{name}: {part}"] = {
                method.name: _effects(method, kept)
                for method in deciding
                if method.check == "values" and column.parts[part].kind in method.kinds
            }
    return ReferenceSpread(window, len(parts), effects, tuple(rows))


def _effects(
    method: DriftMethod, pairs: Sequence[tuple[ColumnProfile, ColumnProfile]]
) -> tuple[float, ...]:
    effects = []
    for others, part in pairs:
        found = method.measure(others, part)
        if found is None:
            effects.append(0.0)
        elif found.effect is not None:
            effects.append(found.effect)
    return tuple(effects)
