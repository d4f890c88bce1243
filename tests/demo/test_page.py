"""The pages that we write, in a real browser: they render and ask nobody for anything."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.demo import page
from brixa_flows.demo.display import StepTime
from brixa_flows.demo.scenario import MonthScore, Story
from brixa_flows.demo.summary import RunLine, Summary, VersionLine
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.browser import page_after_loading

# What the page asked for, whether it came or not, and the width of each decoded image.
PROBE = """<script>addEventListener("load", () => document.body.dataset.seen =
JSON.stringify({
  asked: performance.getEntriesByType("resource").map(entry => entry.name),
  widths: [...document.images].map(image => image.naturalWidth)}))</script>"""


@dataclass(frozen=True)
class Seen:
    """A page after it loaded.

    Attributes:
        dom: Its elements, as HTML.
        asked: Addresses of whatever it asked for.
        widths: Of its images, in pixels; 0 is one that can't be shown.
    """

    dom: str
    asked: list[str]
    widths: list[int]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], Seen]:
    """Opens HTML from a file in Chromium."""

    def open_page(page_html: str) -> Seen:
        path = tmp_path / "page.html"
        path.write_text(page_html.replace("</head>", PROBE + "</head>"), "utf-8")
        dom = page_after_loading(path.as_uri(), tmp_path / "profile", 2000)
        [seen] = re.findall(r'data-seen="([^"]*)"', dom)
        return Seen(dom, **json.loads(html.unescape(seen)))

    return open_page


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    """What a demo would tell, with a month of each kind."""
    story = Story(
        first_version="1.0.0",
        refused_version="1.0.1",
        new_version="1.0.2",
        rows_sent=83_594,
        alarm_month="2013-04",
        alarm="Drift in 1 of 16 columns: temp (mean <35.96> to 53.19).",
        months=[
            MonthScore("2013-04", 27_564, 0.635, None),
            MonthScore("2013-05", 28_128, 0.705, 0.748),
        ],
    )
    found = Summary(
        story,
        [
            VersionLine(
                "1.0.0", "archived", "gradient boosting", 0.701, "allowed: a > b"
            )
        ],
        [RunLine("Evaluate what was registered", "evaluate 1.0.0", 12.0, 3.4)],
        [StepTime("Train", 0.0, 5.0)],
        png=tmp_path / "auc.png",
    )
    found.png.write_bytes(page.draw_months(story))
    return found


def test_the_page_of_a_demo_renders_and_asks_for_nothing(
    summary: Summary, browse: Callable[[str], Seen]
) -> None:
    seen = browse(page.render(summary))
    assert seen.asked == []
    assert seen.widths == [880]
    assert "83,594 real flights" in seen.dom
    assert "mean &lt;35.96&gt; to 53.19" in seen.dom
    assert seen.dom.count("<tr>") == 4 + 5


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_the_report_of_an_evaluation_renders_and_asks_for_nothing(
    tmp_path: Path, browse: Callable[[str], Seen]
) -> None:
    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking=MemoryTrackingStore()
    )
    rows = pd.DataFrame({"a": range(200), "late": [0, 1] * 50 + [1] * 100})
    registry.register_model("delays", "classification", "sklearn")
    model = LogisticRegression().fit(rows[["a"]], rows["late"])
    registry.save_model("delays", "1.0.0", model, rows[["a"]].head())
    evaluator = ModelEvaluator(registry)
    evaluator.evaluate("delays", "1.0.0", rows, ["roc_auc"], target="late")
    report = evaluator.generate_report("delays", "1.0.0", output_format="html")
    seen = browse(report)
    assert seen.asked == []
    assert seen.widths and all(seen.widths)
    assert "delays 1.0.0" in seen.dom and "roc_auc" in seen.dom


def test_a_page_that_asks_for_something_is_noticed(
    browse: Callable[[str], Seen],
) -> None:
    addresses = ["http://example.com/logo.png", "https://example.com/style.css"]
    seen = browse(
        f'<html><head><link rel="stylesheet" href="{addresses[1]}"></head>'
        f'<body><img src="{addresses[0]}"></body></html>'
    )
    assert sorted(seen.asked) == addresses
    assert seen.widths == [0]
