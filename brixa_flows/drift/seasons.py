"""References by season: a December is judged by Decembers, a Sunday by Sundays."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.spread import window_seconds
from brixa_flows.errors import DriftError

__all__ = ["SEASONS", "SEASONS_FOLDER", "SeasonalReference"]

SEASONS = ("month", "weekday", "hour")
SEASONS_FOLDER = "drift_seasons"  # beside the profile of all rows, in a version
_INDEX = "seasons.json"


@dataclass(frozen=True)
class SeasonalReference:
    """Profiles of the reference by month, weekday or hour (UTC).

    Attributes:
        season: ``month``, ``weekday`` or ``hour``.
        profiles: By season: months are 1 to 12, weekdays 1 (Monday) to 7, hours 0 to 23.
        whole: Of all rows, for seasons that the reference does not have.
    """

    season: str
    profiles: Mapping[int, DriftProfile]
    whole: DriftProfile

    @classmethod
    def build(
        cls,
        data: Any,
        *,
        window_column: str,
        season: str = "month",
        window: str = "1D",
    ) -> SeasonalReference:
        """Read data once and cut them into windows, each of the season it begins in.

        Args:
            data: Rows of a year or more, in any form that :class:`DriftProfile` reads.
            window_column: Dates or times.
            season: ``month``, ``weekday`` or ``hour``.
            window: Length of the windows whose spread is kept, at most a season's.

        Raises:
            DriftError: If the data can't be read or a window is longer than a season.
        """
        _check(season, window)
        building = importlib.import_module("brixa_flows.drift._building")
        parts = building.dated_windows(data, window_column, window_seconds(window))
        groups: dict[int, list[DriftProfile]] = {}
        for start, part in parts:
            groups.setdefault(_season_of(season, start), []).append(part)
        if not groups:
            raise DriftError(
                f"no row has a time in {window_column!r}, so there are no seasons"
            )
        profiles = {
            number: DriftProfile.from_windows(windows, window=window)
            for number, windows in sorted(groups.items())
        }
        whole = DriftProfile.from_windows([part for _, part in parts], window=window)
        return cls(season, profiles, whole)

    def at(self, moment: datetime) -> DriftProfile:
        """The reference for a window that begins then; without a zone it is UTC.

        Returns:
            That of all rows if the reference has no such season.
        """
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = _season_of(self.season, aware.astimezone(UTC))
        return self.profiles.get(number, self.whole)

    def has(self, moment: datetime) -> bool:
        """Whether the reference has the season of a window that begins then."""
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _season_of(self.season, aware.astimezone(UTC)) in self.profiles

    @classmethod
    def beside(cls, profile: Path) -> SeasonalReference | None:
        """What was saved beside the profile of all rows, if anything."""
        folder = profile.with_name(SEASONS_FOLDER)
        return cls.load(folder) if cls.is_in(folder) else None

    @staticmethod
    def is_in(folder: str | Path) -> bool:
        """Whether a folder holds what :meth:`save` wrote."""
        return (Path(folder) / _INDEX).is_file()

    def save(self, folder: str | Path) -> None:
        """Write one file a season, and an index last."""
        place = Path(folder)
        self.whole.save(place / "whole.parquet")
        for number, profile in self.profiles.items():
            profile.save(place / f"{number}.parquet")
        facts = {"season": self.season, "profiles": list(self.profiles)}
        (place / _INDEX).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> SeasonalReference:
        """Read what :meth:`save` wrote.

        Raises:
            DriftError: If it is none.
        """
        place = Path(folder)
        try:
            facts = json.loads((place / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise DriftError(f"{place} is no seasonal reference: {err}") from err
        profiles = {
            number: DriftProfile.load(place / f"{number}.parquet")
            for number in facts["profiles"]
        }
        whole = DriftProfile.load(place / "whole.parquet")
        return cls(facts["season"], profiles, whole)


def _season_of(season: str, moment: datetime) -> int:
    if season == "month":
        return moment.month
    return moment.isoweekday() if season == "weekday" else moment.hour


def _check(season: str, window: str) -> None:
    longest = {"month": "month", "weekday": "day", "hour": "hour"}.get(season)
    if longest is None:
        raise DriftError(f"{season!r} is no season; choose one of {', '.join(SEASONS)}")
    if window_seconds(window) > window_seconds(longest):
        raise DriftError(
            f"a window of {window} has no one {season}; choose at most a {longest}"
        )
