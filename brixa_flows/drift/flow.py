"""Whether as many rows come as usual, and whether the newest one is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.special import stdtr

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import Finding
from brixa_flows.drift.spread import FEWEST_WINDOWS, ReferenceSpread, window_seconds
from brixa_flows.errors import DriftError

__all__ = ["Freshness", "volume_findings"]

# Fewer than half as many rows, or more than twice as many, matter.
_LEAST_RATIO = 2.0


def volume_findings(
    rows: int, kind: str, spread: ReferenceSpread, alpha: float, *, judged: bool
) -> Iterator[Finding]:
    """A window with far fewer or far more rows than those of the reference.

    The logarithms of the rows of ``k`` windows tell how they vary; one more window lies
    outside of their prediction interval (Student's t) and is off by a factor of two.

    Args:
        rows: Of the window.
        kind: Its length.
        spread: Of the reference, with the rows of its windows.
        alpha: Share of false alarms.
        judged: Whether it is an alarm, for a reference that is no sample of what came.
    """
    known = np.log(np.maximum(spread.rows, 1))
    if len(known) < FEWEST_WINDOWS:
        return
    seconds = window_seconds(kind)
    expected = float(np.exp(known.mean())) * seconds / window_seconds(spread.window)
    distance = abs(np.log(max(rows, 0.5)) - np.log(expected))
    error = float(known.std(ddof=1)) * np.sqrt(1 + 1 / len(known))
    # Even windows of one length differ as counts do.
    error = max(error, 1 / np.sqrt(max(expected, 1.0)))
    p_value = float(2 * stdtr(len(known) - 1, -distance / error))
    if p_value < alpha and distance >= np.log(_LEAST_RATIO):
        yield Finding(
            column=None,
            kind="volume",
            severity="alarm" if judged else "note",
            sentence=f"{rows:,} rows came in this {kind}, and about {expected:,.0f} are "
            "usual; look whether a source is down or sends twice.",
        )


@dataclass(frozen=True)
class Freshness:
    """How new the rows have to be.

    Attributes:
        at: When it is looked at; without a zone it is UTC.
        within: How old the newest row may be.
        clock: Column of the rows' times; by default all of dates and times.
    """

    at: datetime
    within: timedelta = timedelta(days=1)
    clock: str | None = None

    def findings(
        self, current: DriftProfile, reference: DriftProfile
    ) -> Iterator[Finding]:
        """The newest row is older than it may be, or has no time.

        Raises:
            DriftError: If the clock holds no dates or times in either.
        """
        moment = self.at if self.at.tzinfo else self.at.replace(tzinfo=UTC)
        try:
            newest = current.newest(self.clock)
        except DriftError:
            reference.newest(self.clock)  # who knows none either was asked wrongly
            yield Finding(
                column=self.clock,
                kind="stale",
                severity="alarm",
                sentence=f"No row says in {self.clock} when it is from any more, so nobody "
                "knows how new they are; look at the source.",
            )
            return
        if newest is None:
            yield Finding(
                column=self.clock,
                kind="stale",
                severity="note",
                sentence="No row says when it is from, so nobody knows how new they are; "
                "name a column of dates or times as clock=.",
            )
            return
        age = moment.timestamp() - newest
        if age > self.within.total_seconds():
            yield Finding(
                column=self.clock,
                kind="stale",
                severity="alarm",
                sentence=f"The newest row is {age / 3600:,.1f} hours old at "
                f"{moment:%Y-%m-%d %H:%M %Z}; at most {self.within.total_seconds() / 3600:,.1f} "
                "are allowed.",
            )
