"""Windows of the calendar: no gap, no overlap, whole ones only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brixa_flows.drift.calendar import WINDOW_KINDS, closed_windows
from brixa_flows.errors import DriftError

MOMENTS = st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1))


@given(MOMENTS, st.sampled_from(WINDOW_KINDS), st.integers(1, 30))
def test_the_last_windows_follow_each_other_and_are_over(
    at: datetime, kind: str, last: int
) -> None:
    found = closed_windows(kind, at, last)
    assert len(found) == last
    assert all(
        one[1] == next_one[0] for one, next_one in zip(found, found[1:], strict=False)
    )
    now = at.replace(tzinfo=UTC)
    start, end = found[-1]
    assert start < end <= now < end + (end - start) + timedelta(days=3)
    assert closed_windows(kind, end, 1) == [found[-1]]
    assert closed_windows(kind, end - timedelta(microseconds=1), 1) != [found[-1]]


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("hour", "2026-03-01T13:00", "2026-03-01T14:00"),
        ("day", "2026-02-28T00:00", "2026-03-01T00:00"),
        ("week", "2026-02-16T00:00", "2026-02-23T00:00"),  # Mondays
        ("month", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("quarter", "2025-10-01T00:00", "2026-01-01T00:00"),
    ],
)
def test_each_kind_begins_where_the_calendar_says(
    kind: str, start: str, end: str
) -> None:
    at = datetime(2026, 3, 1, 15, 30, tzinfo=timezone(timedelta(hours=1)))
    [(first, last)] = closed_windows(kind, at, 1)
    assert (first.strftime("%Y-%m-%dT%H:%M"), last.strftime("%Y-%m-%dT%H:%M")) == (
        start,
        end,
    )


@pytest.mark.parametrize(("kind", "last"), [("sample", 1), ("day", 0)])
def test_no_window_is_refused(kind: str, last: int) -> None:
    with pytest.raises(DriftError, match="window"):
        closed_windows(kind, datetime(2026, 1, 1), last)
