"""Reports: JSON, markdown, HTML."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from brixa_flows.drift import DriftDetector, DriftReport


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
