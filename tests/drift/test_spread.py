"""Windows judged against the spread of the reference's own windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from brixa_flows.drift import (
    DriftDetector,
    DriftProfile,
    ReferenceSpread,
    column_histories,
)
from brixa_flows.drift.judging import benjamini_hochberg
from brixa_flows.drift.spread import window_seconds
from brixa_flows.errors import DriftError

_ROWS_A_WEEK = 400
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def weeks(rng: np.random.Generator, count: int, move: float = 0.0) -> pd.DataFrame:
    """Weeks whose level moves at random, as weather and demand do."""
    levels = rng.normal(move, 0.5, count)
    minutes = np.arange(count * _ROWS_A_WEEK) * 7 * 1440 / _ROWS_A_WEEK
    return pd.DataFrame(
        {
            "time": _FIRST + pd.to_timedelta(minutes, unit="min"),
            "weather": rng.normal(np.repeat(levels, _ROWS_A_WEEK), 1),
            "steady": rng.normal(size=count * _ROWS_A_WEEK),
            "word": rng.choice(["a", "b", "c"], count * _ROWS_A_WEEK),
        }
    )


@pytest.fixture(scope="module")
def reference() -> DriftProfile:
    return DriftProfile.build(weeks(np.random.default_rng(0), 10), window_column="time")


def test_another_week_of_the_same_kind_is_quiet_though_a_plain_test_is_sure(reference):
    plainly, as_weeks = 0, 0
    for seed in range(1, 21):
        week = weeks(np.random.default_rng(seed), 1)
        plainly += DriftDetector().detect(reference, week).status == "drift"
        as_weeks += (
            DriftDetector().detect(reference, week, kind="week").status == "drift"
        )
    assert plainly >= 12
    assert as_weeks <= 3


def test_a_week_far_outside_of_the_spread_is_called(reference):
    week = weeks(np.random.default_rng(3), 1, move=4.0)
    report = DriftDetector().detect(reference, week, kind="week")
    assert report.drifted == ["weather"]
    check = report.columns["weather"].checks[0]
    assert check.window_typical > 0.3
    assert check.window_p_value < 0.05
    assert "as far as the reference's own windows" in report.columns["weather"].sentence


def test_a_longer_window_is_expected_to_move_less(reference):
    spread = reference.spread
    week, month = (window_seconds(kind) for kind in ("week", "month"))
    of_week = spread.typical("weather", "wasserstein", week)
    of_month = spread.typical("weather", "wasserstein", month)
    assert of_month == pytest.approx(of_week * np.sqrt(week / month))
    bound = spread.bound("weather", "wasserstein", week)
    assert spread.p_value("weather", "wasserstein", bound, week) == pytest.approx(0.05)


def test_any_of_twenty_columns_is_seldom_called_when_weeks_move_at_random():
    """The margin of the prediction, on effects alone: 8 weeks, 20 columns."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(400):
        moves = rng.normal(size=(9, 20))
        others = (moves[:8].sum(axis=0) - moves[:8]) / 7
        known = np.abs(moves[:8] - others)
        new = np.abs(moves[8] - moves[:8].mean(axis=0))
        effects = {str(n): {"w": tuple(known[:, n])} for n in range(20)}
        spread = ReferenceSpread("7D", 8, effects)
        p_values = [
            spread.p_value(str(n), "w", new[n], window_seconds("week"))
            for n in range(20)
        ]
        called += benjamini_hochberg(p_values).min() < 0.05
    assert called / 400 <= 0.08


def test_few_windows_cannot_tell_and_a_spread_of_nothing_leaves_it_to_the_threshold():
    week = window_seconds("week")
    few = ReferenceSpread("7D", 3, {"x": {"ks": (0.1, 0.2, 0.1)}})
    assert few.p_value("x", "ks", 0.9, week) is None
    assert few.bound("x", "ks", week) is None
    still = ReferenceSpread("7D", 5, {"x": {"ks": (0.0,) * 5}})
    assert still.p_value("x", "ks", 0.1, week) == 0.0
    assert still.p_value("x", "ks", 0.0, week) == 1.0


def test_past_windows_can_be_summed_up_to_a_reference():
    frame = weeks(np.random.default_rng(0), 6)
    whole = DriftProfile.build(frame, window_column="time")
    features = frame.drop(columns="time")
    parts = [
        DriftProfile.build(
            features.iloc[start : start + _ROWS_A_WEEK].reset_index(drop=True),
            like=whole,
        )
        for start in range(0, len(frame), _ROWS_A_WEEK)
    ]
    summed = DriftProfile.from_windows(parts, window="7D")
    assert summed.rows == whole.rows
    assert summed.spread.windows == whole.spread.windows == 6
    for column, methods in whole.spread.effects.items():
        for method, effects in methods.items():
            assert summed.spread.effects[column][method] == pytest.approx(effects)


def test_one_wild_value_does_not_make_a_week_unusual(reference):
    week = weeks(np.random.default_rng(1), 1)
    quiet = DriftDetector().detect(reference, week, kind="week")
    week.loc[0, "weather"] = 1e9
    week.loc[1, "steady"] = -1e9
    wild = DriftDetector().detect(reference, week, kind="week")
    assert quiet.status == wild.status == "ok"


def test_an_effect_is_measured_against_what_the_references_windows_reach(reference):
    week = weeks(np.random.default_rng(1), 1)
    report = DriftDetector().detect(reference, week, kind="week")
    weather = report.columns["weather"]
    assert report.status == "ok"
    assert weather.effect_size > weather.effect_threshold, "large, and usual"
    assert weather.effect_size < weather.effect_limit
    assert report.drift_score < 1
    moment = {"deployment": "d", "window": "week", "start": "a", "end": "b"}
    [history] = [
        each
        for each in column_histories([report.to_dict() | moment])
        if each.column == "weather"
    ]
    assert history.moments[0].limit == weather.effect_limit
    week["weather"] += 30
    far = DriftDetector().detect(reference, week, kind="week")
    assert (far.drifted, far.drift_score > 1) == (["weather"], True)


def test_windows_are_named_or_counted():
    assert window_seconds("week") == window_seconds("7D") == window_seconds("1W")
    assert window_seconds("12h") == timedelta(hours=12).total_seconds()


def test_windows_of_rows_are_judged_by_windows_of_rows():
    rng = np.random.default_rng(0)
    waves = np.repeat(rng.normal(0, 0.5, 40), 500) + rng.normal(size=20_000)
    reference = DriftProfile.build({"x": waves}, window_rows=500)
    assert (reference.rows, reference.spread.windows) == (20_000, 40)
    assert reference.spread.window == "500 rows"
    window = {"x": 0.6 + rng.normal(size=700)}
    assert DriftDetector().detect(reference, window).status == "drift"
    report = DriftDetector().detect(reference, window, kind="rows")
    assert report.status == "ok"
    far = {"x": 4 + rng.normal(size=700)}
    assert DriftDetector().detect(reference, far, kind="rows").status == "drift"
    mixed = DriftDetector().detect(reference, window, kind="week")
    assert [finding.kind for finding in mixed.findings] == ["no_spread"]


def test_windows_of_rows_do_not_depend_on_the_batches():
    values = np.random.default_rng(0).normal(size=2_300)
    table = pa.table({"x": values})
    whole = DriftProfile.build(table, window_rows=500)
    parts = table.to_batches(max_chunksize=170)
    batched = DriftProfile.build(parts, like=whole, window_rows=500)
    assert whole.spread.windows == batched.spread.windows == 4
    assert whole.rows == batched.rows == 2_300
    found = batched.spread.effects["x"]["ks"]
    assert found == pytest.approx(whole.spread.effects["x"]["ks"], abs=0.01)
    with pytest.raises(DriftError, match="window_rows is a whole number"):
        DriftProfile.build(table, window_rows=0)
    with pytest.raises(DriftError, match="more than 1000 windows"):
        DriftProfile.build(table, window_rows=2)
