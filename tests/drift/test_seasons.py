"""A month is judged by that month, a weekday by that weekday."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from brixa_flows.drift import (
    DriftDetector,
    DriftPolicy,
    DriftProfile,
    SeasonalReference,
)
from brixa_flows.errors import DriftError


def sales(first: str, days: int, rows: int = 30) -> pd.DataFrame:
    """Colder in winter, fewer on Sundays."""
    rng = np.random.default_rng(0)
    at = pd.date_range(first, periods=days * rows, freq=f"{24 * 60 // rows}min")
    season = np.cos(2 * np.pi * at.dayofyear / 365)
    amount = rng.normal(10, 1, len(at)) - 5 * (at.dayofweek == 6)
    return pd.DataFrame(
        {"at": at, "cold": season + rng.normal(size=len(at)), "amount": amount}
    )


@pytest.mark.parametrize(
    ("season", "column", "first", "days"),
    [("month", "cold", "2026-12-01", 31), ("weekday", "amount", "2026-11-29", 1)],
)
def test_a_season_is_no_drift(season, column, first, days, tmp_path):
    reference = sales("2025-01-01", 365)
    made = SeasonalReference.build(reference, window_column="at", season=season)
    made.save(tmp_path / "kept")
    seasonal = SeasonalReference.load(tmp_path / "kept")
    window = sales(first, days, rows=240)
    whole = DriftProfile.build(reference, window_column="at", window="1D")
    detector, kind = DriftDetector(), "month" if season == "month" else "day"
    plain = detector.detect(whole, window)
    assert column in plain.drifted
    moment = datetime.fromisoformat(first)
    report = detector.detect(seasonal.at(moment), window, kind=kind)
    assert report.status == "ok"
    hot = window.assign(**{column: window[column] + 3})
    assert detector.detect(seasonal.at(moment), hot, kind=kind).drifted == [column]


def test_a_season_that_never_was_is_judged_by_the_whole():
    seasonal = SeasonalReference.build(sales("2025-01-01", 40), window_column="at")
    assert seasonal.at(datetime(2026, 1, 3)).rows == 31 * 30
    assert seasonal.at(datetime(2026, 7, 1, tzinfo=UTC)) is seasonal.whole
    assert seasonal.whole.rows == 40 * 30


def test_what_is_no_season_is_told(tmp_path):
    rows = sales("2025-01-01", 3)
    with pytest.raises(DriftError, match="'easter' is no season"):
        SeasonalReference.build(rows, window_column="at", season="easter")
    with pytest.raises(DriftError, match="7D has no one weekday"):
        SeasonalReference.build(rows, window_column="at", season="weekday", window="7D")
    with pytest.raises(DriftError, match="no row has a time"):
        SeasonalReference.build(rows.assign(at=pd.NaT), window_column="at")
    with pytest.raises(DriftError, match="is no seasonal reference"):
        SeasonalReference.load(tmp_path)


def test_a_policy_chooses_the_season_and_says_where_there_is_none(tmp_path):
    reference = sales("2025-01-01", 365)
    made = SeasonalReference.build(reference, window_column="at", season="month")
    profile = tmp_path / "drift_profile.parquet"
    made.whole.save(profile)
    window = sales("2026-12-01", 31, rows=240)
    asked = {"kind": "month", "start": "2026-12-01"}
    by_month = DriftPolicy(season="month")
    report = by_month.compare(profile, window, **asked)
    assert report.findings[-1].kind == "no_season"
    assert "the version keeps none" in report.findings[-1].sentence
    made.save(tmp_path / "drift_seasons")
    report = by_month.compare(profile, window, **asked)
    assert (report.status, report.reference_rows) == ("ok", 31 * 30)
    assert "no_season" not in {each.kind for each in report.findings}
    hot = window.assign(cold=window["cold"] + 3)
    assert by_month.compare(profile, hot, **asked).drifted == ["cold"]
    told = {
        "those by month": DriftPolicy(season="weekday").compare(
            profile, window, **asked
        ),
        "nobody said when": by_month.compare(profile, window, kind="month"),
    }
    for words, report in told.items():
        assert words in report.findings[-1].sentence
    strict = DriftPolicy(learn_thresholds=False).compare(profile, window, **asked)
    assert (strict.kind, strict.drifted) == (None, ["cold"])


def test_a_month_that_the_reference_never_saw_is_told(tmp_path):
    made = SeasonalReference.build(sales("2025-01-01", 40), window_column="at")
    made.whole.save(tmp_path / "drift_profile.parquet")
    made.save(tmp_path / "drift_seasons")
    report = DriftPolicy(season="month").compare(
        tmp_path / "drift_profile.parquet",
        sales("2026-07-01", 31),
        kind="month",
        start="2026-07-01",
    )
    assert "no rows of the month of 2026-07-01" in report.findings[-1].sentence
