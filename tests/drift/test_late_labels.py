"""Labels that come late, and errors one by one."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from brixa_flows.drift.performance import (
    ErrorStream,
    LateLabels,
    PerformanceEstimator,
)
from brixa_flows.errors import DriftError, MissingExtraError, UnknownPluginError
from tests.requirements_present import require


def scored(seed: int, rows: int, first_id: int, day: str) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, rows)
    minutes = pd.to_timedelta(rng.integers(0, 7 * 24 * 60, rows), unit="min")
    return pd.DataFrame(
        {
            "id": np.arange(first_id, first_id + rows),
            "at": pd.Timestamp(day, tz="UTC") + minutes,
            "score": 1 / (1 + np.exp(-odds)),
            "called": (odds > 0).astype(int),
            "y": (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )


@pytest.fixture(scope="module")
def estimator() -> PerformanceEstimator:
    return PerformanceEstimator(chunk_rows=500).fit(
        scored(0, 4000, 0, "2026-01-05"),
        target_column="y",
        prediction_column="called",
        score_column="score",
    )


def waiting(estimator: PerformanceEstimator) -> LateLabels:
    return LateLabels(estimator, id_column="id", time_column="at", wait_days=3)


def test_each_window_is_closed_once_with_the_labels_that_had_come(estimator):
    week = scored(1, 600, 0, "2026-11-02")  # a Monday
    later = scored(2, 600, 600, "2026-11-16")
    late = waiting(estimator)
    late.add_labels(week[["id", "y"]].iloc[:100])  # before their predictions
    late.add_predictions(week.drop(columns="y").sample(frac=1, random_state=0))
    late.add_labels(week[["id", "y"]].iloc[100:450])
    assert late.close(datetime(2026, 11, 11, 23)) == []
    late.add_predictions(later.drop(columns="y"))
    first = late.close(datetime(2026, 11, 12))
    assert [(each.rows, each.labelled) for each in first] == [(600, 450)]
    assert first[0].start == datetime(2026, 11, 2, tzinfo=UTC)
    assert first[0].end == datetime(2026, 11, 9, tzinfo=UTC)
    assert first[0].realised == estimator.realise(week.iloc[:450])
    assert first[0].estimated.rows == 600
    late.add_labels(week[["id", "y"]])  # too late
    assert late.close(datetime(2026, 11, 12)) == []
    quiet, last = late.close(datetime(2026, 12, 1))
    assert (quiet.rows, quiet.realised.status) == (0, "insufficient_data")
    assert (last.rows, last.labelled, last.realised.rows) == (600, 0, 0)
    assert late.counts["waiting"] == 0


def test_rows_that_can_not_be_taken_are_counted(estimator):
    rows = scored(3, 300, 0, "2026-11-02").astype({"id": "Int64"})
    late = waiting(estimator)
    late.add_predictions(rows)
    late.add_predictions(rows.iloc[:50])
    late.add_predictions(rows.iloc[:5].assign(id=None))
    late.add_predictions(rows.iloc[5:9].assign(id=range(900, 904), at=pd.NaT))
    late.close(datetime(2026, 11, 20))
    late.add_predictions(scored(4, 10, 950, "2026-11-02"))
    late.add_labels({"id": [1, 777, None], "y": [1, 0, 1]})
    assert late.counts == {
        "waiting": 0,
        "unmatched": 1,
        "late_labels": 1,
        "repeated": 50,
        "too_late": 10,
        "timeless": 9,
    }
    with pytest.raises(DriftError, match="'at' holds .*give the dates or times"):
        late.add_predictions(rows.assign(at="yesterday"))
    with pytest.raises(DriftError, match="no column y"):
        late.add_labels(rows[["id"]])
    with pytest.raises(DriftError, match="would be closed at once"):
        late.close(datetime(2150, 1, 1))


def test_a_row_belongs_to_the_window_that_begins_with_it_and_null_is_no_label(
    estimator,
):
    rows = scored(6, 4, 0, "2026-11-02")
    monday = pd.Timestamp("2026-11-09", tz="UTC")
    tick = pd.Timedelta(1, "ms")
    rows["at"] = [monday - pd.Timedelta(7, "D"), monday - tick, monday, monday + tick]
    late = LateLabels(estimator, id_column="id", time_column="at", wait_days=0)
    late.add_labels({"id": [1, 0], "y": [1, 0]})
    late.add_labels({"id": [0, 2], "y": [None, float("nan")]})
    late.add_predictions(rows.iloc[::-1])
    assert late.close((monday - tick).to_pydatetime()) == []
    closed = late.close(monday.to_pydatetime())
    assert [(each.rows, each.labelled) for each in closed] == [(2, 2)]
    assert late.counts["waiting"] == 2 and late.counts["unmatched"] == 0
    for wait in (-1, float("nan"), "x"):
        with pytest.raises(DriftError, match="wait_days is"):
            LateLabels(estimator, id_column="id", time_column="at", wait_days=wait)


def test_labels_of_closed_windows_are_counted_and_not_kept(
    estimator, tmp_path, monkeypatch
):
    week = scored(5, 400, 0, "2026-11-02")
    late = waiting(estimator)
    late.add_predictions(week)
    late.close(datetime(2026, 11, 20, tzinfo=UTC))
    late.save(tmp_path / "late.parquet")
    again = waiting(estimator)
    again.restore(tmp_path / "late.parquet")
    for each in (late, again):
        each.add_labels(week[["id", "y"]])
        each.add_labels({"id": [900], "y": [1]})  # its row may still come
        counts = each.counts
        assert (counts["late_labels"], counts["unmatched"]) == (400, 1)
    # A row id that comes again is a new row, and its label is one.
    late.add_predictions(scored(6, 400, 0, "2026-11-16"))
    late.add_labels(week[["id", "y"]])
    closed = late.close(datetime(2026, 12, 20, tzinfo=UTC))
    assert [each.labelled for each in closed if each.rows] == [400]
    monkeypatch.setattr("brixa_flows.drift.performance._waiting._MOST_CLOSED", 100)
    many = waiting(estimator)
    many.add_predictions(week)
    many.close(datetime(2026, 11, 20, tzinfo=UTC))
    many.add_labels(week[["id", "y"]])
    assert many.counts["late_labels"] == 100


def test_what_waits_survives_a_restart_and_two_labels_of_a_row_are_one(
    estimator, tmp_path
):
    week = scored(5, 400, 0, "2026-11-02")
    late = waiting(estimator)
    late.add_predictions(week)
    late.add_labels(week[["id"]].assign(y=1 - week["y"]))
    late.add_labels(week[["id", "y"]])
    late.save(tmp_path / "kept" / "late.parquet")
    again = waiting(estimator)
    again.restore(tmp_path / "kept" / "late.parquet")
    closed = again.close(datetime(2026, 11, 20, tzinfo=UTC))
    assert closed == late.close(datetime(2026, 11, 20, tzinfo=UTC))
    assert closed[0].realised == estimator.realise(week)
    again.save(tmp_path / "kept" / "late.parquet")
    third = waiting(estimator)
    third.restore(tmp_path / "kept" / "late.parquet")
    assert third.close(datetime(2026, 11, 20, tzinfo=UTC)) == []
    week.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DriftError, match="keeps no rows that wait"):
        third.restore(tmp_path / "other.parquet")


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
def test_errors_that_become_more_are_seen_soon_and_steady_ones_seldom(detector):
    require("river", importlib.util.find_spec("river") is not None)
    rng = np.random.default_rng(0)
    steady = ErrorStream(detector)
    assert steady.update(rng.random(5000) < 0.2) == []
    found = steady.update(rng.random(3000) < 0.5)
    assert 5000 <= found[0].place < 5600
    assert found[0].worse
    assert found[0].before == pytest.approx(0.2, abs=0.05)
    assert steady.changes == found
    for options in ({"nope": 1}, {"delta": "x"}):
        with pytest.raises(DriftError, match="does not take the options"):
            ErrorStream("adwin", **options)
    for value in (float("nan"), -1, "x", None):
        with pytest.raises(DriftError, match=f"error 8000 is {value!r}"):
            steady.update([value])


def test_a_detector_that_is_not_there_is_named():
    with pytest.raises(UnknownPluginError, match="known: adwin, page_hinkley"):
        ErrorStream("magic")
    if importlib.util.find_spec("river") is None:
        with pytest.raises(MissingExtraError, match="stream"):
            ErrorStream()
