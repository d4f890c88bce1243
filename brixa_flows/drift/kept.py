"""Profiles of past windows, kept so that no window's rows are read twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.errors import DriftError

__all__ = ["KeptProfiles"]

_TIME = "%Y%m%dT%H%M%SZ"


class KeptProfiles:
    """A folder with a profile a window; any longer window is a sum of them.

    Args:
        folder: Made when the first profile is kept.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def keep(self, start: datetime, end: datetime, profile: DriftProfile) -> Path:
        """Write one profile, whole or not at all; the same window again replaces it.

        Args:
            start: Of the window, to the second; without a zone it is UTC.
            end: Of the window, not included.
            profile: Of its rows.

        Raises:
            DriftError: If the end is not after the start.
        """
        begin, stop = _utc(start), _utc(end)
        if stop <= begin:
            raise DriftError(f"the window ends at {end}, not after its start {start}")
        path = self.folder / f"{begin:{_TIME}}_{stop:{_TIME}}.parquet"
        profile.save(path)
        return path

    def windows(self) -> list[tuple[datetime, datetime]]:
        """Start and end of each, in order, UTC."""
        return [(start, end) for start, end, _ in self._files()]

    def between(self, start: datetime, end: datetime) -> DriftProfile:
        """The sum of the windows that lie within; stretches without any add nothing.

        Raises:
            DriftError: If none does, or two of them overlap, so that rows would count
                twice.
        """
        begin, stop = _utc(start), _utc(end)
        inside = [
            each for each in self._files() if begin <= each[0] and each[1] <= stop
        ]
        if not inside:
            raise DriftError(
                f"{self.folder} keeps no window from {start} to {end}; it keeps "
                f"{len(self._files())} others"
            )
        for (_, before, _), (after, _, path) in zip(inside, inside[1:], strict=False):
            if after < before:
                raise DriftError(
                    f"the window of {path.name} begins before the one before it ends; "
                    "remove one of them, or ask for other times"
                )
        whole = DriftProfile.load(inside[0][2])
        for _, _, path in inside[1:]:
            whole = whole + DriftProfile.load(path)
        return whole

    def _files(self) -> list[tuple[datetime, datetime, Path]]:
        found = []
        for path in self.folder.glob("*Z_*Z.parquet"):
            try:
                times = [
                    datetime.strptime(text, _TIME).replace(tzinfo=UTC)
                    for text in path.stem.split("_")
                ]
            except ValueError:
                continue  # a file of somebody else
            if len(times) == 2:
                found.append((times[0], times[1], path))
        return sorted(found)


def _utc(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)
