"""The verdicts on the real flights and weather of 2013."""

from __future__ import annotations

import pandas as pd
import pytest

from brixa_flows.demo import flights
from brixa_flows.drift import DriftDetector, DriftProfile

_WEEK = pd.Timedelta(days=7)
_START = pd.Timestamp("2013-01-01", tz="UTC")


@pytest.fixture(scope="module")
def split():
    return flights.training_split()


@pytest.fixture(scope="module")
def reference(split) -> DriftProfile:
    return DriftProfile.build(
        split[0], columns=flights.FEATURES, window_column=flights.TIME
    )


def judge(reference: DriftProfile, rows: pd.DataFrame, kind: str | None = None):
    return DriftDetector().detect(reference, rows, columns=flights.FEATURES, kind=kind)


def test_a_random_sample_of_the_training_months_is_quiet(reference, split):
    assert judge(reference, split[1]).status == "ok"


def test_the_training_months_own_weeks_are_quiet_when_left_out(split):
    rows = pd.concat(split)
    for week in (0, 3, 5):
        start = _START + week * _WEEK
        inside = rows[flights.TIME].between(start, start + _WEEK, inclusive="left")
        others = DriftProfile.build(
            rows[~inside], columns=flights.FEATURES, window_column=flights.TIME
        )
        week_rows = rows[inside]
        assert judge(others, week_rows).status == "drift"
        assert judge(others, week_rows, "week").status == "ok", start


def test_the_weeks_of_march_are_quiet_and_those_of_summer_are_not(reference):
    for week in range(9, 12):
        start = _START + week * _WEEK
        rows = flights.window_rows(start, start + _WEEK)
        assert judge(reference, rows, "week").status == "ok", start
    summer = flights.window_rows("2013-07-16", "2013-07-23")
    assert "temp" in judge(reference, summer, "week").drifted


def test_spring_is_called_by_its_temperature_when_april_ends(reference):
    assert judge(reference, flights.load_flights([3]), "month").status == "ok"
    april = judge(reference, flights.load_flights([4]), "month")
    assert april.drifted == ["temp"]
    assert "4.5 times as far" in april.columns["temp"].sentence
    assert {"temp", "dewp"} <= set(
        judge(reference, flights.load_flights([5]), "month").drifted
    )
