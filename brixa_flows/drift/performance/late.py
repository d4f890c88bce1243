"""Labels that come late: joined with their predictions by row id, each window closed once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from brixa_flows.drift.performance.estimator import PerformanceEstimator
from brixa_flows.drift.performance.results import PerformanceReport
from brixa_flows.drift.spread import window_seconds
from brixa_flows.errors import DriftError

__all__ = ["ClosedWindow", "LateLabels"]

# Windows of whole weeks begin with a Monday.
_FIRST_MONDAY = 4 * 86_400.0
_MOST_GAPS = 1_000


@dataclass(frozen=True)
class ClosedWindow:
    """What was known of a window when it was closed.

    Attributes:
        start: Its begin, UTC.
        end: Its end, not included.
        rows: Predictions in it.
        labelled: Those whose label had come.
        realised: Performance of the labelled ones.
        estimated: Performance of all, estimated without labels.
    """

    start: datetime
    end: datetime
    rows: int
    labelled: int
    realised: PerformanceReport
    estimated: PerformanceReport


class LateLabels:
    """Keeps predictions until their labels come or the wait is over.

    Windows have one length and begin at multiples of it (weeks on Mondays, UTC). One is
    closed when the wait has passed since its end, in order, once, also if nothing came.
    Rows and labels for closed windows are counted and change nothing.

    Args:
        estimator: Fitted; it knows the columns of predictions, scores and features.
        id_column: Of each row, in predictions and labels.
        time_column: When it was predicted.
        window: Length, such as ``7D``.
        wait_days: How long labels may take after a window's end, at least 0.

    Raises:
        DriftError: If ``window`` is none, or ``wait_days`` no such number.
    """

    def __init__(
        self,
        estimator: PerformanceEstimator,
        *,
        id_column: str,
        time_column: str,
        window: str = "7D",
        wait_days: float = 7,
    ) -> None:
        self.estimator = estimator
        self.window = window
        self.wait = _wait(wait_days)
        self._seconds = window_seconds(window)
        self._rows = _rows().Waiting(
            id_column, time_column, estimator.columns(), estimator.target
        )
        self._next: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Rows that wait, labels without a row, and what was not taken.

        ``waiting``, ``unmatched``, ``repeated`` (a row id twice: the first counts),
        ``too_late`` (rows of closed windows), ``timeless`` (rows without time or id) and
        ``late_labels`` (of the last two million rows of closed windows; kept nowhere).
        """
        found: dict[str, int] = self._rows.counts
        return found

    def add_predictions(self, data: Any) -> None:
        """Take predicted rows, in any order and form.

        Raises:
            DriftError: If a column is absent or of a wrong type.
        """
        self._rows.add(data, self._next)

    def add_labels(self, data: Any) -> None:
        """Take labels by row id; of two for one row the later one counts.

        A label that is missing (null, NaN) has not come.

        Raises:
            DriftError: If a column is absent.
        """
        self._rows.add_labels(data)

    def close(self, at: datetime) -> list[ClosedWindow]:
        """Close the windows whose wait is over, oldest first.

        Args:
            at: The time; without a zone it is UTC.

        Raises:
            DriftError: If more than 1,000 windows would be closed at once.
        """
        moment = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        last = moment - self.wait.total_seconds()
        windows = list(self._due(last))
        if len(windows) > _MOST_GAPS:
            raise DriftError(
                f"{len(windows):,} windows of {self.window} would be closed at once; look "
                "at the times of the rows or choose longer windows"
            )
        closed = [self._close(start) for start in windows]
        if windows:
            self._next = windows[-1] + self._seconds
        return closed

    def _due(self, last: float) -> Iterator[float]:
        start = self._next
        if start is None:
            first = self._rows.first
            if first is None:
                return
            whole = (first - _FIRST_MONDAY) // self._seconds
            start = _FIRST_MONDAY + whole * self._seconds
        while start + self._seconds <= last:
            yield start
            start += self._seconds

    def _close(self, start: float) -> ClosedWindow:
        end = start + self._seconds
        rows, labelled = self._rows.take(end)
        return ClosedWindow(
            start=datetime.fromtimestamp(start, UTC),
            end=datetime.fromtimestamp(end, UTC),
            rows=rows.num_rows,
            labelled=labelled.num_rows,
            realised=self.estimator.realise(labelled),
            estimated=self.estimator.estimate(rows),
        )

    def save(self, path: str | Path) -> None:
        """Write what waits as one Parquet file, whole or not at all."""
        facts = {"next": self._next, "window": self.window}
        self._rows.save(Path(path), facts)

    def restore(self, path: str | Path) -> None:
        """Go on where another one with the same settings was saved.

        Raises:
            DriftError: If the file is none, or one of other windows.
        """
        facts = self._rows.restore(Path(path))
        if facts.get("window") != self.window:
            raise DriftError(
                f"{path} waits for windows of {facts.get('window')}, not {self.window}"
            )
        self._next = facts["next"]


def _wait(days: Any) -> timedelta:
    try:
        wait = timedelta(days=days)
    except (TypeError, ValueError, OverflowError) as err:
        raise DriftError(f"wait_days is a number of days, not {days!r}: {err}") from err
    if wait < timedelta():
        raise DriftError(
            f"labels can't be waited for {days} days; wait_days is at least 0"
        )
    return wait


def _rows() -> Any:
    return importlib.import_module("brixa_flows.drift.performance._waiting")
