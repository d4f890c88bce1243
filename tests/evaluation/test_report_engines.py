"""Evidently's own page about a version's answers."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from brixa_flows.errors import EvaluationError, MissingExtraError, UnknownPluginError
from brixa_flows.evaluation import show_rows
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.plugins import REPORT_ENGINES
from tests.evaluation.outcome_makers import (
    many_classes,
    numbers,
    several_labels,
    two_classes,
)
from tests.requirements_present import require

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning",
    # 2026-11: Evidently 0.7.23 and what it imports, on current numpy and pandas.
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::RuntimeWarning",
)

# Whom Chromium asks for the time, spelling and its start page, whatever page it shows;
# a page that wants a font of Google's asks googleapis.com.
OF_THE_BROWSER = (".google.com", "redirector.gvt1.com", "update.googleapis.com")

INSTALLED = importlib.util.find_spec("evidently") is not None


def engine() -> Any:
    require("evidently", INSTALLED)
    return REPORT_ENGINES.load("evidently")()


def one_answer() -> Outcomes:
    outcomes = two_classes(200)
    return outcomes.take(np.flatnonzero(outcomes.truth == 0))


@pytest.mark.parametrize(
    "outcomes",
    [two_classes(300), many_classes(300), numbers(300), one_answer()],
    ids=["binary", "multiclass", "regression", "one class only"],
)
def test_evidently_shows_every_task_but_several_labels(outcomes: Outcomes) -> None:
    page = engine().html(outcomes, "Rows of <spring>")
    assert "Rows of &lt;spring&gt;" in page
    assert "<script" in page and 'src="http' not in page


def test_evidently_counts_as_we_do() -> None:
    outcomes = two_classes(1_000)
    right = (outcomes.truth == outcomes.predicted).mean()
    assert f"{right:.3f}".rstrip("0") in engine().html(outcomes, "")


def test_several_labels_a_row_are_refused() -> None:
    with pytest.raises(EvaluationError, match="no report of several labels"):
        engine().html(several_labels(50), "")


def test_a_page_of_more_rows_says_that_it_shows_a_sample(workshop: Any) -> None:
    require("evidently", INSTALLED)
    page = show_rows(workshop.registry, "flowers", "3.0.0", workshop.test, rows=100)
    assert "flowers 3.0.0 on a fair sample of 100 of 400 rows" in page
    with pytest.raises(EvaluationError, match="how many rows to show, not 0"):
        show_rows(workshop.registry, "flowers", "3.0.0", workshop.test, rows=0)


def test_an_engine_that_is_not_there_is_told(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownPluginError, match="evidently"):
        show_rows(workshop.registry, "flowers", "3.0.0", workshop.test, engine="x")
    if not INSTALLED:
        with pytest.raises(MissingExtraError, match=r"brixa-flows\[drift\]"):
            show_rows(workshop.registry, "flowers", "3.0.0", workshop.test)


def test_the_page_asks_no_server_for_anything(tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    require("Chromium", program is not None)
    assert program is not None
    page, log = tmp_path / "page.html", tmp_path / "net.json"
    page.write_text(engine().html(two_classes(300), "Rows"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    quiet = ["--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        [program, *options, *quiet, f"--log-net-log={log}", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Accuracy" in done.stdout  # its scripts ran
    asked = [part.split('"')[0] for part in log.read_text().split('"url":"')[1:]]
    hosts = {urlsplit(url).hostname or "" for url in asked if url.startswith("http")}
    assert [each for each in hosts if not each.endswith(OF_THE_BROWSER)] == []
