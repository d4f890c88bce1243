"""The demo's real data and model."""

from __future__ import annotations

import pickle
import time
from datetime import timedelta

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from brixa_flows.demo import flights
from brixa_flows.errors import DatasetError, MissingExtraError


@pytest.fixture(scope="module")
def fitted():
    training, held_out = flights.training_split()
    pipeline = flights.build_pipeline()
    pipeline.fit(training[flights.FEATURES], training[flights.TARGET])
    return pipeline, training, held_out


def auc(model, rows: pd.DataFrame) -> float:
    scores = model.predict_proba(rows[flights.FEATURES])[:, 1]
    return float(roc_auc_score(rows[flights.TARGET], scores))


def test_a_year_is_read_in_seconds_and_every_flight_is_accounted_for() -> None:
    flights._all_flights.cache_clear()
    started = time.process_time()
    frame = flights.load_flights()
    assert time.process_time() - started < 6
    dropped = frame.attrs["dropped"]
    assert len(frame) + dropped["cancelled"] + dropped["diverted"] == 336_776
    assert dropped == {"cancelled": 8255, "diverted": 1175}
    assert list(frame.columns) == [*flights.FEATURES, "late", "time"]
    assert 0.2 < frame["late"].mean() < 0.26


def test_times_are_aware_and_months_are_those_of_new_york() -> None:
    february = flights.load_flights([2])
    local = february["time"].dt.tz_convert("America/New_York")
    assert str(february["time"].dt.tz) == "UTC"
    assert local.min().isoformat() >= "2013-02-01T05:00:00-05:00"
    assert local.max() < pd.Timestamp("2013-03-01", tz="America/New_York")
    assert february["time"].is_monotonic_increasing


def test_the_weather_of_a_row_was_observed_before_its_hour_of_take_off() -> None:
    # 2013-01-01 10:00 UTC, EWR: the file has 39.92 F for 09:00 UTC.
    first = flights.load_flights([1])
    row = first[(first["origin"] == "EWR") & (first["dest"] == "IAH")].iloc[0]
    assert row["time"] == pd.Timestamp("2013-01-01T10:15Z")
    source = pd.read_csv(flights._data_folder() / "weather.csv")
    before = source[
        (source["origin"] == "EWR") & (source["time_hour"] == "2013-01-01T09:00:00Z")
    ]
    assert row["temp"] == before["temp"].item()


def test_a_window_holds_its_start_and_not_its_end() -> None:
    week = flights.window_rows("2013-03-04", "2013-03-11")
    parts = [
        flights.window_rows(
            pd.Timestamp("2013-03-04") + timedelta(days=day),
            pd.Timestamp("2013-03-05") + timedelta(days=day),
        )
        for day in range(7)
    ]
    pd.testing.assert_frame_equal(week, pd.concat(parts, ignore_index=True))
    assert flights.window_rows("2014-02-01", "2014-02-08").empty


def test_the_same_seed_gives_the_same_split_and_no_row_is_in_both() -> None:
    training, held_out = flights.training_split(seed=3)
    again, _ = flights.training_split(seed=3)
    pd.testing.assert_frame_equal(training, again)
    assert len(training) + len(held_out) == len(flights.load_flights([1, 2]))
    assert training["late"].mean() == pytest.approx(held_out["late"].mean(), abs=1e-3)


def test_the_model_is_as_good_as_the_pages_say(fitted) -> None:
    pipeline, _, held_out = fitted
    assert auc(pipeline, held_out) > 0.73
    assert auc(pipeline, flights.load_flights([3])) > 0.69
    assert auc(pipeline, flights.load_flights([4])) < 0.67


def test_the_baseline_is_not_better(fitted) -> None:
    pipeline, training, held_out = fitted
    baseline = flights.build_baseline()
    baseline.fit(training[flights.FEATURES], training[flights.TARGET])
    assert auc(baseline, held_out) < auc(pipeline, held_out) - 0.05


def test_the_fitted_model_survives_pickling_and_unseen_values(fitted) -> None:
    pipeline, _, held_out = fitted
    rows = held_out[flights.FEATURES].head(3).copy()
    rows["dest"] = ["ZZZ", None, "IAH"]
    rows["temp"] = [None, 40.0, 50.0]
    clone = pickle.loads(pickle.dumps(pipeline))
    assert (clone.predict_proba(rows) == pipeline.predict_proba(rows)).all()


def test_wrong_months_and_windows_are_named() -> None:
    with pytest.raises(DatasetError, match="1 to 12"):
        flights.load_flights([0, 13])
    with pytest.raises(DatasetError, match="not after its start"):
        flights.window_rows("2013-03-01", "2013-03-01")


def test_a_missing_package_names_the_extra(monkeypatch) -> None:
    flights._all_flights.cache_clear()
    monkeypatch.setattr(flights, "_PACKAGE", "no_such_package_of_flights")
    with pytest.raises(MissingExtraError, match=r"brixa-flows\[demo\]"):
        flights.load_flights()
