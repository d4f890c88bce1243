"""Reports: JSON, markdown, HTML."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from brixa_flows.drift import (
    DriftDetector,
    DriftReport,
    PerformanceEstimator,
    PerformanceReport,
    advised,
    column_histories,
)


@pytest.fixture(scope="module")
def report() -> DriftReport:
    rng = np.random.default_rng(0)
    reference = {
        "age": rng.normal(40, 10, 3000),
        "city|<b>": rng.choice(["Rome", "Oslo"], 3000),
        "calm": rng.normal(size=3000),
        "gone": np.ones(3000),
    }
    current = {
        "age": rng.normal(48, 10, 2000),
        "city|<b>": rng.choice(["Rome", "Oslo"], 2000, p=[0.7, 0.3]),
        "calm": rng.normal(size=2000),
        "late": np.ones(2000),
    }
    return DriftDetector().detect(reference, current)


def test_the_sentence_says_what_changed(report):
    assert report.sentence.startswith("Drift in 2 of 3 columns over 2,000 rows: ")
    assert re.search(r"age \(mean (39|40)\.\d+ to (47|48)", report.sentence)
    assert "gone: the column is gone" in report.sentence
    assert report.columns["age"].effect_size == pytest.approx(0.8, abs=0.1)
    city = report.columns["city|<b>"].sentence
    assert re.search(r"the share of '(Rome|Oslo)': \d+\.\d% to \d+\.\d%", city)
    assert "no change" in report.columns["calm"].sentence


def test_json_goes_both_ways(report):
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert DriftReport.from_dict(json.loads(text)) == report
    assert len(text) < 20_000


def test_common_measures_are_reported_and_decide_nothing(report):
    reported = report.columns["age"].reported
    assert set(reported) == {"wasserstein_over_sd", "psi", "jensen_shannon"}
    assert reported["wasserstein_over_sd"] == pytest.approx(0.8, abs=0.1)


def test_markdown_has_a_row_a_column_and_plots_on_demand(report):
    plain = report.to_markdown()
    rows = [line for line in plain.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3
    assert all(
        len(re.split(r"(?<!\\)\|", row)) == len(re.split(r"\|", rows[1]))
        for row in rows
    )
    assert "image/png" not in plain
    images = re.findall(r"data:image/png;base64,([^)]+)", report.to_markdown(plots=1))
    assert len(images) == 1
    assert base64.b64decode(images[0]).startswith(b"\x89PNG")
    assert len(report.to_markdown(plots=5)) < 200_000


def test_html_loads_nothing_and_escapes_names(report):
    page = report.to_html()
    assert page.count("<figure>") == 3
    assert "city|&lt;b&gt;" in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert report.to_html(plots=0).count("<figure>") == 0


def test_a_quiet_window_says_so():
    data = {"x": np.arange(500.0)}
    report = DriftDetector().detect(data, data)
    assert report.sentence == "No drift in 1 columns over 500 rows."
    assert report.to_markdown().startswith("# No drift")
    assert '<h1 class="ok">No drift</h1>' in report.to_html()


def _estimates(moved: float) -> PerformanceReport:
    def rows(seed: int, shift: float) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        odds = rng.normal(size=3000) * (1 - shift)
        chance = 1 / (1 + np.exp(-2 * odds))
        return {"score": chance, "y": (rng.random(3000) < chance).astype(int)}

    estimator = PerformanceEstimator(chunk_rows=500).fit(
        rows(0, 0.0), target_column="y", score_column="score"
    )
    return estimator.estimate(rows(1, moved))


def test_advice_says_what_it_costs_since_when_and_what_to_do(report):
    bad, good = _estimates(0.8), _estimates(0.0)
    assert (bad.status, good.status) == ("degraded", "ok")
    place = {"deployment": "d", "window": "week", "end": "2026-11-15"}
    histories = column_histories([{**report.to_dict(), **place, "start": "2026-11-08"}])
    weights = {"age": 1.0, "city|<b>": 3.0, "calm": 4.0}
    told = advised(report, performance=bad, importance=weights, histories=histories)
    first, *others = told.advice
    assert (first.column, first.action.startswith("Retrain")) == (None, True)
    assert "roc_auc -0." in first.matters
    named = {each.column: each for each in others}
    assert set(named) == {"gone", "age", "city|<b>"}
    assert named["age"].since == "2026-11-08"
    assert "12% of the model's importance" in named["age"].matters
    assert "source" in named["gone"].action
    watched = advised(report, performance=good).advice
    assert {each.action[:5] for each in watched if each.column == "age"} == {"Watch"}
    unknown = {each.column: each.action for each in advised(report).advice}
    assert "wait for labels" in unknown["age"]
    assert DriftReport.from_dict(told.to_dict()) == told
    assert "## What to do" in told.to_markdown()
    assert "<b>" not in told.to_html(plots=0)
    assert "What to do" in told.to_html(plots=0)


def test_a_quiet_report_needs_no_advice():
    data = {"x": np.arange(500.0)}
    quiet = DriftDetector().detect(data, data)
    assert advised(quiet, performance=_estimates(0.0)).advice == ()
    missing = {"x": np.where(np.arange(500) % 5, np.arange(500.0), np.nan)}
    (only,) = advised(DriftDetector().detect(data, missing)).advice
    assert "source" in only.action


def test_dates_are_shown_as_dates_and_a_name_is_no_formula():
    hours = np.datetime64("2026-01-01T00", "s") + np.arange(400) * 3600
    before = {"at": hours, r"$\frac$": np.arange(400.0)}
    after = {"at": hours + 86_400 * 30, r"$\frac$": np.arange(400.0) + 300}
    report = DriftDetector(judge_datetimes=True).detect(before, after)
    assert "at (mean 2026-01-09 07:30 to 2026-02-08 07:30)" in report.sentence
    assert len(report.drifted) == 2
    for page in (report.to_html(), report.to_markdown(plots=2)):
        assert "2026-02-08 07:30" in page
        assert page.count("data:image/png") == 2
