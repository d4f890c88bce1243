"""Adapter to pyarrow: builds drift profiles from batches, in memory of fixed size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from brixa_flows.drift._arrow_columns import SAID, instants, kind_of, measure
from brixa_flows.drift._arrow_reading import read_batches
from brixa_flows.drift.arguments import checked_rows
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.errors import DriftError

__all__ = ["build", "build_row_windows", "build_windows", "dated_windows"]

_DAY_SECONDS = 86_400.0
_MOST_WINDOWS = 1_000


_Likes = dict[str, ColumnProfile]
_Kinds = Mapping[str, ColumnKind] | None


def build(
    data: Any,
    columns: Sequence[str] | None,
    like: DriftProfile | None,
    kinds: _Kinds = None,
    each: Callable[[pa.RecordBatch], None] | None = None,
) -> DriftProfile:
    """One profile of all rows, each batch of which is shown to ``each``."""
    likes = _likes(like, kinds)
    whole: DriftProfile | None = None
    for batch in read_batches(data, columns):
        if each is not None:
            each(batch)
        part = _profile(batch, likes)
        whole = part if whole is None else whole.beside(part) + part.beside(whole)
    if whole is None:
        return DriftProfile(0)
    trimmed = {name: column.trimmed() for name, column in whole.columns.items()}
    return replace(whole, columns=trimmed)


@dataclass
class _Window:
    """Rows of one stretch of time while they come in."""

    profile: DriftProfile
    first: float
    last: float

    def add(self, other: _Window) -> None:
        self.profile = self.profile + other.profile
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)


def build_windows(
    data: Any,
    columns: Sequence[str] | None,
    like: tuple[DriftProfile | None, _Kinds],
    window_column: str,
    seconds: float,
) -> list[tuple[DriftProfile, float]]:
    """A profile for each window, in order, and the share of its length it covers.

    The first window begins with the day (UTC) of the earliest row of the first batch.

    Raises:
        DriftError: If the column is absent, holds no times, or makes too many windows.
    """
    windows, origin = _windows(data, columns, _likes(*like), window_column, seconds)
    if not any(window.profile.rows for window in windows.values()):
        raise DriftError(
            f"no row has a time in {window_column!r}, so there are no windows"
        )
    return _with_coverage(windows, origin, seconds)


def _windows(
    data: Any,
    columns: Sequence[str] | None,
    likes: _Likes,
    window_column: str,
    seconds: float,
) -> tuple[dict[int, _Window], float]:
    """Windows by number, and when the one of number 0 begins."""
    windows: dict[int, _Window] = {}
    origin: float | None = None
    for batch in read_batches(data, columns):
        times = _times(batch, window_column)
        batch, times = _ordered(batch, times)
        batch = batch.drop_columns([window_column])
        if not len(times):
            windows.setdefault(0, _Window(_profile(batch, likes), 0.0, 0.0))
            continue
        if origin is None:
            origin = float(np.floor(times[0] / _DAY_SECONDS)) * _DAY_SECONDS
            # One centre for all windows: that of the whole first batch.
            _profile(batch, likes)
        for number, start, stop in _stretches(times, origin, seconds):
            rows = _profile(batch.slice(start, stop - start), likes)
            part = _Window(rows, float(times[start]), float(times[stop - 1]))
            if number in windows:
                windows[number].add(part)
            else:
                windows[number] = part
        if len(windows) > _MOST_WINDOWS:
            raise DriftError(
                f"{window_column!r} makes more than {_MOST_WINDOWS} windows; choose "
                "longer ones"
            )
    return windows, origin or 0.0


def build_row_windows(
    data: Any,
    columns: Sequence[str] | None,
    like: tuple[DriftProfile | None, _Kinds],
    rows: int,
) -> list[DriftProfile]:
    """A profile for each window of so many rows; the last one may be short.

    Raises:
        DriftError: If a window has no rows or there are too many windows.
    """
    rows = checked_rows(rows, "window_rows")
    likes, windows = _likes(*like), list[DriftProfile]()
    for batch in read_batches(data, columns):
        if not windows:
            _profile(batch, likes)
        start = 0
        while start < batch.num_rows or not windows:
            open_ = bool(windows) and windows[-1].rows < rows
            size = rows - windows[-1].rows if open_ else rows
            part = _profile(batch.slice(start, size), likes)
            if open_:
                windows[-1] = windows[-1] + part
            else:
                windows.append(part)
            start += size
        if len(windows) > _MOST_WINDOWS:
            raise DriftError(
                f"{rows} rows make more than {_MOST_WINDOWS} windows; choose longer ones"
            )
    return windows


def dated_windows(
    data: Any, window_column: str, seconds: float
) -> list[tuple[datetime, DriftProfile]]:
    """A profile for each window, in order, and when it begins (UTC)."""
    windows, origin = _windows(data, None, _likes(None, None), window_column, seconds)
    return [
        (
            datetime.fromtimestamp(origin + number * seconds, UTC),
            windows[number].profile,
        )
        for number in sorted(windows)
        if windows[number].profile.rows
    ]


def _with_coverage(
    windows: dict[int, _Window], origin: float, seconds: float
) -> list[tuple[DriftProfile, float]]:
    """The outermost windows may be cut off by where the data begin and end."""
    numbers = sorted(windows)
    covered = []
    for number in numbers:
        window, share = windows[number], 1.0
        begin = origin + number * seconds
        if number == numbers[0]:
            share -= (window.first - begin) / seconds
        if number == numbers[-1]:
            share -= (begin + seconds - window.last) / seconds
        covered.append((window.profile, share))
    return covered


def _profile(batch: pa.RecordBatch, likes: _Likes) -> DriftProfile:
    columns: dict[str, ColumnProfile] = {}
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column = measure(array, likes.get(name))
        except DriftError as err:
            raise DriftError(f"column {name!r} {err}") from err
        if column.values and (name not in likes or not likes[name].rows):
            # The first batch decides for all: where to bin about, and what a text is.
            likes[name] = column
        columns[name] = column
    return DriftProfile(batch.num_rows, columns)


def _likes(like: DriftProfile | None, kinds: _Kinds) -> _Likes:
    likes = {} if like is None else dict(like.columns)
    for name, kind in (kinds or {}).items():
        if kind not in ("category", "text"):
            raise DriftError(
                f"a column is said to be a category or a text, and {name!r} is said to "
                f"be {kind!r}; other kinds are told by their types"
            )
        likes[name] = ColumnProfile(kind, SAID, 0)
    return {name: column for name, column in likes.items() if column.kind != "empty"}


def _times(batch: pa.RecordBatch, window_column: str) -> np.ndarray[Any, Any]:
    if window_column not in batch.schema.names:
        raise DriftError(
            f"there is no column {window_column!r} to cut windows by; name a date or "
            "time column"
        )
    array = batch.column(window_column)
    if kind_of(array.type) != "datetime":
        raise DriftError(
            f"{window_column!r} holds {array.type} values; windows are cut by dates or "
            "times"
        )
    return instants(array)


def _ordered(
    batch: pa.RecordBatch, times: np.ndarray[Any, Any]
) -> tuple[pa.RecordBatch, np.ndarray[Any, Any]]:
    """Rows in order of time, those without a time left out."""
    known = np.flatnonzero(np.isfinite(times))
    order = known[np.argsort(times[known], kind="stable")]
    if np.array_equal(order, np.arange(len(times))):
        return batch, times
    return batch.take(pa.array(order)), times[order]


def _stretches(
    times: np.ndarray[Any, Any], origin: float, seconds: float
) -> Iterator[tuple[int, int, int]]:
    numbers = np.floor((times - origin) / seconds).astype(np.int64)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield int(numbers[start]), int(start), int(stop)
