"""Months as texts (``2013-01``) and the labelled Parquet file of each."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from brixa_flows.errors import DatasetError

__all__ = [
    "first_day",
    "last_closed_month",
    "month_after",
    "month_file",
    "months_between",
]


def first_day(month: str) -> date:
    """The first day of a month.

    Raises:
        DatasetError: If it is not written as ``YYYY-MM``.
    """
    try:
        return datetime.strptime(month, "%Y-%m").date()
    except ValueError as err:
        raise DatasetError(f"{month!r} is no month; write it like 2013-01") from err


def month_after(month: str) -> str:
    """The month that follows."""
    day = first_day(month)
    year, number = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return f"{year:04d}-{number:02d}"


def last_closed_month(day: str) -> str:
    """The last month that is over when ``day`` (an ISO date or time) begins."""
    moment = date.fromisoformat(day[:10])
    year, number = (
        (moment.year - 1, 12) if moment.month == 1 else (moment.year, moment.month - 1)
    )
    return f"{year:04d}-{number:02d}"


def months_between(first: str, last: str) -> list[str]:
    """All months from ``first`` to ``last``, both included.

    Raises:
        DatasetError: If the last comes before the first.
    """
    if first_day(last) < first_day(first):
        raise DatasetError(f"the last month, {last}, comes before the first, {first}")
    months = [first]
    while months[-1] != last:
        months.append(month_after(months[-1]))
    return months


def month_file(folder: Path | str, month: str) -> str:
    """Path of a month's labelled rows.

    Raises:
        DatasetError: If there are none; names the months that there are.
    """
    path = Path(folder) / f"{month}.parquet"
    if not path.is_file():
        known = sorted(file.stem for file in Path(folder).glob("????-??.parquet"))
        raise DatasetError(
            f"no labelled rows of {month} in {folder}; there are: "
            f"{', '.join(known) or 'none'}"
        )
    return str(path)
