"""Columns over the windows that were judged."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from brixa_flows.drift import DriftDetector, column_histories
from brixa_flows.drift.history_page import render_history
from brixa_flows.drift.sentences import mean_text


def record(day: int, move: float = 0.0, **changes: object) -> dict[str, object]:
    rng = np.random.default_rng(day)
    reference = {
        "x": np.arange(1000.0) / 300,
        "calm": np.ones(1000),
        "old": np.ones(1000),
    }
    window = {"x": np.arange(500.0) / 150 + move, "calm": np.ones(500)}
    if day < 22:
        window["old"] = np.ones(500) * rng.integers(1, 2)
    report = DriftDetector().detect(reference, window)
    place = {"deployment": "d", "window": "week"}
    times = {"start": f"2026-11-{day:02}", "end": f"2026-11-{day + 7:02}"}
    return {**report.to_dict(), **place, **times, **changes}


@pytest.fixture(scope="module")
def records() -> list[dict[str, object]]:
    return [
        record(8, 2.0),
        record(1),
        record(15, 2.0),  # judged again below, with late rows
        record(22, 1.0),
        record(15),
        record(23, 1.0, start="2026-11-29", end="2026-12-06"),
        {"status": "drift"},
        record(1, deployment="e"),
    ]


def test_the_mean_of_a_clock_is_a_date(records):
    at = np.array(["2026-11-02", "2026-11-04"] * 500, dtype="datetime64[s]")
    report = DriftDetector().detect({"at": at}, {"at": at}).to_dict()
    [history] = column_histories([{**records[0], "columns": report["columns"]}])
    [moment] = history.moments
    assert mean_text(moment.kind, moment.mean) == "2026-11-03 00:00"


def test_a_column_tells_since_when_it_drifts(records):
    histories = column_histories(records)
    assert [(each.column, each.deployment) for each in histories[:2]] == [
        ("x", "d"),
        ("old", "d"),
    ]
    x, old = histories[:2]
    assert [each.status for each in x.moments] == [
        "ok",
        "drift",
        "ok",
        "drift",
        "drift",
    ]
    assert (x.drifted, x.since, x.kind) == (3, "2026-11-22", "week")
    assert x.trend[0] == x.trend[2] == "▁"
    assert x.trend[1] == "█"
    assert (old.since, old.trend[-2:]) == ("2026-11-22", "xx")
    calm = next(each for each in histories if each.column == "calm")
    assert (calm.drifted, calm.since) == (0, None)


def test_the_page_draws_each_column_and_loads_nothing(records):
    page = render_history("Drift of <delays>", column_histories(records), plots=2)
    images = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(images) == 2
    assert all(base64.b64decode(each).startswith(b"\x89PNG") for each in images)
    told = "x, weeks of d: 3 of 5 windows drifted; it has drifted since 2026-11-22."
    assert told in page
    assert "Drift of &lt;delays&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert render_history("none", []).count("<figure>") == 0
    unjudged = record(1)
    unjudged["columns"] = {"at": {"status": "not_judged"}}
    page = render_history("clock", column_histories([unjudged]))
    assert "<figure>" not in page and "<td>at</td>" in page
