"""Windows of the calendar, in UTC: hours, days, weeks from Monday, months, quarters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from brixa_flows.errors import DriftError

__all__ = ["WINDOW_KINDS", "closed_windows"]

WINDOW_KINDS = ("hour", "day", "week", "month", "quarter")
_MONTHS = {"month": 1, "quarter": 3}


def closed_windows(
    kind: str, at: datetime, last: int
) -> list[tuple[datetime, datetime]]:
    """Start and end of the last windows of a kind that are over, oldest first.

    Args:
        kind: One of ``WINDOW_KINDS``.
        at: The time; without a zone it is UTC.
        last: How many, at least 1.

    Raises:
        DriftError: If there is no such kind, or ``last`` is below 1.
    """
    if kind not in WINDOW_KINDS:
        raise DriftError(
            f"{kind!r} is no window of the calendar; there are {', '.join(WINDOW_KINDS)}"
        )
    if last < 1:
        raise DriftError(f"the last {last} windows can't be told; ask for 1 or more")
    end = _begin(kind, at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
    found = []
    for _ in range(last):
        start = _begin(kind, end - timedelta(microseconds=1))
        found.append((start, end))
        end = start
    return found[::-1]


def _begin(kind: str, moment: datetime) -> datetime:
    """When the window began that a moment lies in."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if kind == "hour":
        return hour
    day = hour.replace(hour=0)
    if kind == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS.get(kind)
    if months is None:
        return day
    return day.replace(day=1, month=day.month - (day.month - 1) % months)
