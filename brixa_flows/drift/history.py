"""What became of each column over the windows that were judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ColumnHistory", "ColumnMoment", "column_histories"]

_BLOCKS = "▁▂▃▄▅▆▇█"
# An effect of twice its limit fills the line.
_FULL = 2.0


@dataclass(frozen=True)
class ColumnMoment:
    """A column in one window.

    Attributes:
        start: Of the window, ISO 8601.
        end: Of the window, not included.
        status: ``ok``, ``drift``, ``insufficient_data``, ``not_judged``, or ``gone``.
        effect: How large the difference was.
        effect_name: The method that measured it.
        limit: The smallest effect that matters, or what the reference's own windows
            reach, if that is more.
        mean: Of the window's values.
        missing_share: Of the window's rows.
        kind: What the column's values are.
    """

    start: str
    end: str
    status: str
    effect: float | None = None
    effect_name: str | None = None
    limit: float | None = None
    mean: float | None = None
    missing_share: float | None = None
    kind: str = ""

    @property
    def over_limit(self) -> float | None:
        """The effect over its limit: 1 and more is large."""
        if self.effect is None or not self.limit:
            return None
        return self.effect / self.limit


@dataclass(frozen=True)
class ColumnHistory:
    """A column of what one deployment served, in windows of one kind, oldest first."""

    column: str
    deployment: str
    kind: str
    moments: tuple[ColumnMoment, ...]

    @property
    def drifted(self) -> int:
        """In how many windows it had drifted or was gone."""
        return sum(each.status in ("drift", "gone") for each in self.moments)

    @property
    def since(self) -> str | None:
        """Begin of the first window from which on it has always drifted until now."""
        begin = None
        for each in reversed(self.moments):
            if each.status not in ("drift", "gone"):
                break
            begin = each.start
        return begin

    @property
    def trend(self) -> str:
        """A line of blocks, one a window: empty is no effect, full twice the limit."""
        marks = []
        for each in self.moments:
            if each.status == "gone":
                marks.append("x")
            elif each.over_limit is None:
                marks.append("·")
            else:
                share = min(each.over_limit / _FULL, 1.0)
                marks.append(_BLOCKS[round(share * (len(_BLOCKS) - 1))])
        return "".join(marks)


def column_histories(records: Iterable[Mapping[str, Any]]) -> list[ColumnHistory]:
    """Histories from the drift records of a version.

    Args:
        records: As the registry keeps them, oldest first; of a window that was judged
            twice the later record counts, and those of no window are passed over.

    Returns:
        Columns that drift now first, those that drifted most often next.
    """
    windows: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for record in records:
        place = [record.get(name) for name in ("deployment", "window", "start", "end")]
        if all(isinstance(each, str) for each in place):
            windows[tuple(map(str, place))] = record
    found: dict[tuple[str, str, str], list[ColumnMoment]] = {}
    for (deployment, kind, start, end), record in sorted(
        windows.items(), key=lambda item: item[0][2:]
    ):
        for column, moment in _moments(record, start, end).items():
            found.setdefault((column, deployment, kind), []).append(moment)
    histories = [ColumnHistory(*key, tuple(each)) for key, each in found.items()]
    return sorted(
        histories, key=lambda each: (each.since is None, -each.drifted, each.column)
    )


def _moments(
    record: Mapping[str, Any], start: str, end: str
) -> dict[str, ColumnMoment]:
    moments = {}
    columns = record.get("columns")
    for name, facts in columns.items() if isinstance(columns, Mapping) else ():
        moments[name] = ColumnMoment(
            start,
            end,
            str(facts.get("status")),
            facts.get("effect_size"),
            facts.get("effect_name"),
            facts.get("effect_limit") or facts.get("effect_threshold"),
            facts.get("mean"),
            facts.get("missing_share"),
            str(facts.get("kind", "")),
        )
    for finding in record.get("findings") or ():
        if finding.get("severity") == "alarm" and finding.get("column"):
            moments.setdefault(finding["column"], ColumnMoment(start, end, "gone"))
    return moments
