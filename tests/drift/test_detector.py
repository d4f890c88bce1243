"""Verdicts: how often they are wrong, what they find, what they can't be broken by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from brixa_flows.drift import DriftDetector, DriftProfile, DriftReport, Freshness
from brixa_flows.drift.judging import benjamini_hochberg
from brixa_flows.errors import BrixaError, DriftError, UnknownPluginError


def mixed_columns(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Ten numeric, ten categorical columns of 2 to 20 categories."""
    numbers = {f"x{number}": rng.normal(size=rows) for number in range(8)}
    numbers["skewed"] = rng.lognormal(size=rows)
    numbers["hour"] = rng.integers(0, 24, rows)
    words = {
        f"c{count}": rng.integers(0, count, rows).astype(str)
        for count in range(2, 22, 2)
    }
    return numbers | words


@pytest.mark.parametrize(
    ("reference_rows", "rows", "runs", "allowed"),
    [(1000, 1000, 200, 0.064), (200, 200, 50, 0.08), (10_000, 300, 30, 0.10)],
)
def test_the_same_distribution_is_seldom_called(reference_rows, rows, runs, allowed):
    detector = DriftDetector()
    called = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        reference = mixed_columns(rng, reference_rows)
        called += detector.detect(reference, mixed_columns(rng, rows)).status != "ok"
    assert called / runs <= allowed


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_a_fifth_of_a_deviation_is_found_in_ten_thousand_rows(scale):
    detector, found = DriftDetector(), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference = {f"x{n}": rng.normal(size=10_000) * scale for n in range(5)}
        current = {f"x{n}": rng.normal(size=10_000) * scale for n in range(5)}
        current["x3"] += 0.2 * scale
        reference["x3"][0] = 1e9
        found += detector.detect(reference, current).drifted == ["x3"]
    assert found >= 19


def test_a_share_moved_by_five_points_is_found_in_ten_thousand_rows():
    detector, found = DriftDetector(), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference = rng.choice(["a", "b", "c", "d"], 10_000, p=[0.4, 0.3, 0.2, 0.1])
        current = rng.choice(["a", "b", "c", "d"], 10_000, p=[0.35, 0.3, 0.2, 0.15])
        found += detector.detect({"x": reference}, {"x": current}).status == "drift"
    assert found >= 19


def test_five_percent_of_missing_rows_are_found_in_a_thousand():
    detector, found = DriftDetector(), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        current = rng.normal(size=1000)
        current[rng.random(1000) < 0.05] = np.nan
        report = detector.detect({"x": rng.normal(size=1000)}, {"x": current})
        found += report.columns["x"].effect_name == "missing_share_change"
    assert found >= 19


def test_a_sure_but_tiny_change_is_no_drift():
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=300_000), rng.normal(0.03, 1, 300_000)
    column = DriftDetector().detect({"x": reference}, {"x": current}).columns["x"]
    assert column.adjusted_p_value < 1e-6
    assert column.status == "ok"
    strict = DriftDetector(thresholds={"ks": 0.005})
    assert strict.detect({"x": reference}, {"x": current}).status == "drift"


def test_too_few_rows_are_never_called_drift():
    detector = DriftDetector(min_rows=200)
    reference = {"x": np.zeros(1000) + np.arange(1000)}
    for current in ({"x": np.full(199, 1e6)}, {"x": np.array([])}):
        report = detector.detect(reference, current)
        assert report.status == "insufficient_data"
        assert report.columns["x"].status == "insufficient_data"
        assert "at least 200" in report.sentence


def test_columns_gone_new_and_retyped_are_findings():
    reference = {"a": np.arange(300.0), "b": np.arange(300.0), "same": np.ones(300)}
    current = {"b": ["word"] * 300, "same": np.ones(300), "extra": np.ones(300)}
    report = DriftDetector().detect(reference, current)
    kinds = {finding.column: finding.kind for finding in report.findings}
    assert kinds == {"a": "gone", "b": "retyped", "extra": "new"}
    assert report.status == "drift"
    assert report.drifted == ["a", "b"]
    assert "a: the column is gone" in report.sentence
    quiet = DriftDetector().detect(reference, current, ignore=["a", "b"])
    assert quiet.status == "ok"
    assert [finding.kind for finding in quiet.findings] == ["new"]


def test_a_new_category_is_called_by_its_name():
    reference = {"x": ["a", "b"] * 500}
    current = {"x": ["a", "b"] * 485 + ["brand new"] * 30}
    column = DriftDetector().detect(reference, current).columns["x"]
    assert column.status == "drift"
    assert "'brand new'" in column.sentence
    assert "never seen" in column.sentence


STRANGE = {
    "all null": [None] * 300,
    "all nan": [np.nan] * 300,
    "all inf": [np.inf] * 300,
    "constant": [3.0] * 300,
    "mixed": ["a", 1, None] * 100,
    "nested": [[1, 2], None, [3]] * 100,
    "words": ["a", "b", "c"] * 100,
    "flags": [True, False, None] * 100,
    "days": list(pd.date_range("2024-01-01", periods=300, tz="Europe/Berlin")),
    "numbers": list(np.arange(300.0)),
    "huge": [1e308, -1e308, 0.0] * 100,
    "ids": [10**18 + number for number in range(300)],
}


@pytest.mark.parametrize("before", STRANGE)
def test_no_column_makes_it_crash_or_skips_in_silence(before):
    reference = pd.DataFrame({name: pd.Series(STRANGE[before]) for name in STRANGE})
    current = pd.DataFrame({name: pd.Series(STRANGE[name]) for name in STRANGE})
    report = DriftDetector().detect(reference, current)
    named = {*report.columns, *(finding.column for finding in report.findings)}
    assert named == set(STRANGE)
    assert report.columns[before].status != "drift"
    assert DriftReport.from_dict(report.to_dict()) == report
    assert "huge" in report.to_markdown()
    assert "huge" in report.to_html(plots=0)


def _days(first: str, days: int, rows: int) -> dict[str, np.ndarray]:
    at = np.datetime64(first) + np.repeat(np.arange(days), rows) * np.timedelta64(
        1, "D"
    )
    return {"at": at, "x": np.random.default_rng(0).normal(size=days * rows)}


def test_a_week_with_far_fewer_or_more_rows_than_usual_is_an_alarm():
    reference = DriftProfile.build(
        _days("2026-01-01", 70, 60), window_column="at", window="7D"
    )
    for rows, found in ((60, []), (50, []), (29, ["volume"]), (130, ["volume"])):
        window = _days("2026-03-12", 7, rows)
        report = DriftDetector(judge_volume=True).detect(reference, window, kind="week")
        assert [finding.kind for finding in report.findings] == found, rows
        assert report.status == ("drift" if found else "ok")
    assert "about 420 are usual" in report.sentence
    noted = DriftDetector().detect(reference, window, kind="week")
    assert (noted.status, noted.findings[0].severity) == ("ok", "note")
    empty = {"x": np.array([]), "at": np.array([], "datetime64[s]")}
    report = DriftDetector().detect(reference, empty, kind="week")
    assert report.status == "insufficient_data"
    assert "0 rows came in this week" in report.findings[0].sentence


def test_rows_that_are_old_are_an_alarm_and_rows_without_a_time_a_note():
    data = _days("2026-01-01", 5, 60)
    soon = Freshness(datetime(2026, 1, 5, 12))
    assert DriftDetector().detect(data, data, freshness=soon).findings == ()
    late = datetime(2026, 1, 8, tzinfo=UTC)
    report = DriftDetector().detect(data, data, freshness=Freshness(late, clock="at"))
    assert report.findings[0].kind == "stale"
    assert "72.0 hours old" in report.sentence
    patient = Freshness(late, within=timedelta(days=9))
    assert DriftDetector().detect(data, data, freshness=patient).status == "ok"
    timeless = {"x": data["x"]}
    note = DriftDetector().detect(timeless, timeless, freshness=soon)
    assert (note.status, note.findings[0].severity) == ("ok", "note")
    gone = DriftDetector().detect(data, timeless, freshness=Freshness(late, clock="at"))
    assert "No row says in at when it is from any more" in gone.sentence
    with pytest.raises(DriftError, match="no column 'x' of dates"):
        DriftDetector().detect(data, data, freshness=Freshness(late, clock="x"))


def test_a_change_of_the_time_zone_is_noted():
    naive = {"at": pd.date_range("2026-01-01", periods=300, freq="h")}
    zoned = {"at": naive["at"].tz_localize("Asia/Tokyo")}
    report = DriftDetector().detect(naive, zoned)
    assert [finding.kind for finding in report.findings] == ["zone"]
    assert report.status == "ok"


def test_a_clock_is_not_judged_unless_asked():
    reference = {"at": pd.date_range("2024-01-01", periods=400, freq="h")}
    current = {"at": pd.date_range("2024-03-01", periods=400, freq="h")}
    report = DriftDetector().detect(reference, current)
    assert report.status == "ok"
    assert "clock" in report.columns["at"].sentence
    asked = DriftDetector(judge_datetimes=True).detect(reference, current)
    assert asked.status == "drift"


def test_predictions_are_a_column_like_any_other():
    rng = np.random.default_rng(0)
    reference = {"score": rng.beta(2, 5, 2000)}
    report = DriftDetector().detect(reference, {"score": rng.beta(2, 3, 2000)})
    assert report.drifted == ["score"]


def test_the_reference_may_be_a_stored_profile(tmp_path):
    rng = np.random.default_rng(0)
    reference = {"x": rng.normal(size=2000), "w": rng.choice(["a", "b"], 2000)}
    current = {"x": rng.normal(1, 1, 2000), "w": rng.choice(["a", "b"], 2000)}
    DriftProfile.build(reference).save(tmp_path / "profile.parquet")
    direct = DriftDetector().detect(reference, current)
    stored = DriftDetector().detect(str(tmp_path / "profile.parquet"), current)
    assert stored == direct
    apart = DriftDetector().detect(
        tmp_path / "profile.parquet", DriftProfile.build(current)
    )
    assert apart.drifted == direct.drifted == ["x"]
    assert apart.columns["x"].effect_size == pytest.approx(
        direct.columns["x"].effect_size, rel=0.02
    )


def test_the_adjustment_is_that_of_scipy():
    p = np.random.default_rng(0).random(40) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    assert benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "magic"}, UnknownPluginError, "drift engine .*known: profile"),
        ({"thresholds": {"kss": 0.1}}, UnknownPluginError, "known: .*ks"),
        ({"engine": ["profile"]}, UnknownPluginError, "known: profile"),
        ({"alpha": 0.0}, DriftError, "alpha is a number within 0 to 1"),
        ({"alpha": np.nan}, DriftError, "alpha .* not nan"),
        ({"alpha": "x"}, DriftError, "alpha .* not 'x'"),
        ({"min_rows": 0}, DriftError, "min_rows is a whole number of at least 1"),
        ({"min_rows": np.nan}, DriftError, "min_rows .* not nan"),
        ({"min_rows": "x"}, DriftError, "min_rows .* not 'x'"),
        ({"min_rows": True}, DriftError, "min_rows .* not True"),
        ({"thresholds": [1]}, DriftError, "numbers by method"),
        ({"thresholds": {"ks": np.nan}}, DriftError, "threshold of ks .* not nan"),
        ({"thresholds": {"ks": np.inf}}, DriftError, "threshold of ks .* not inf"),
        ({"thresholds": {"ks": -1}}, DriftError, "over 0, .* not -1"),
        ({"thresholds": {"ks": 0}}, DriftError, "over 0, .* not 0"),
        ({"thresholds": {"ks": "x"}}, DriftError, "threshold of ks .* not 'x'"),
        ({"thresholds": {"ks": None}}, DriftError, "threshold of ks .* not None"),
        ({"thresholds": {"ks": True}}, DriftError, "threshold of ks .* not True"),
        ({"spread": 1}, DriftError, "spread is a ReferenceSpread.* not a int"),
    ],
)
def test_wrong_settings_are_named(arguments, error, message):
    with pytest.raises(BrixaError, match=message) as caught:
        DriftDetector(**arguments)
    assert isinstance(caught.value, error)


def test_settings_may_be_numbers_of_numpy():
    detector = DriftDetector(
        min_rows=np.int32(9), alpha=np.float32(0.5), thresholds={"ks": np.float32(1)}
    )
    assert (detector.min_rows, detector.alpha) == (9, 0.5)
    assert detector.thresholds == {"ks": 1.0}


@pytest.mark.parametrize("given", ["a", b"a", 1])
def test_columns_that_are_no_list_of_names_are_refused(given):
    data = {"a": np.arange(300.0)}
    with pytest.raises(DriftError, match="columns= is a list of column names"):
        DriftDetector().detect(data, data, columns=given)
    with pytest.raises(DriftError, match="ignore= is a list of column names"):
        DriftDetector().detect(data, data, ignore=given)


def test_what_leaves_nothing_to_judge_is_refused_and_a_mistyped_name_is_told():
    data = {"0": np.arange(300.0), "row_id": np.arange(300)}
    detector = DriftDetector()
    with pytest.raises(DriftError, match="columns= names no column"):
        detector.detect(data, data, columns=[])
    with pytest.raises(DriftError, match="passes over every column, 0, row_id"):
        detector.detect(data, data, ignore=[0, "row_id"])
    report = detector.detect(data, data, ignore=["rowid"])
    assert [(each.column, each.kind) for each in report.findings] == [
        ("rowid", "ignored_absent")
    ]
    assert (
        report.status == "ok" and "there are: 0, row_id" in report.findings[0].sentence
    )
    assert list(detector.detect(data, data, columns=[0]).columns) == ["0"]
    clock = np.arange(300).astype("datetime64[h]")
    timed = DriftProfile.build({**data, "at": clock}, window_column="at")
    assert not detector.detect(timed, data, ignore=["at"]).findings


def test_an_empty_path_is_told():
    data = {"x": np.arange(300.0)}
    with pytest.raises(DriftError, match="the path of the data is empty"):
        DriftDetector().detect(data, "")


def test_wrong_columns_and_kinds_are_named():
    data = {"x": np.arange(300.0)}
    with pytest.raises(DriftError, match="column y; there are: x"):
        DriftDetector().detect(data, data, columns=["y"])
    with pytest.raises(DriftError, match="'fortnight' is no window"):
        DriftDetector().detect(data, data, kind="fortnight")
    report = DriftDetector().detect(data, data, kind="week")
    assert [finding.kind for finding in report.findings] == ["no_spread"]
