"""Evidently's own verdicts, without what makes it crash."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from brixa_flows.drift import (
    DriftDetector,
    DriftProfile,
    DriftReport,
    write_workspace,
)
from brixa_flows.errors import DriftError, MissingExtraError
from tests.requirements_present import require

INSTALLED = importlib.util.find_spec("evidently") is not None

pytestmark = pytest.mark.filterwarnings(
    # 2026-11: Evidently 0.7.23 and what it imports, on current numpy and pandas.
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
)


def rows(seed: int, count: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(shift, 1, count),
            "city": rng.choice(["Rome", "Oslo"], count),
            "flag": rng.random(count) > 0.5,
            "at": pd.date_range("2026-01-01", periods=count, freq="min"),
            "nothing": np.nan,
            "gappy": np.where(rng.random(count) < 0.1, np.inf, rng.normal(size=count)),
        }
    )


def test_it_judges_what_it_can_and_the_rest_is_told() -> None:
    require("evidently", INSTALLED)
    state = np.random.get_state()[1].tolist()
    detector = DriftDetector("evidently")
    report = detector.detect(rows(0, 2000), rows(1, 1500, shift=1).assign(more=1.0))
    assert np.random.get_state()[1].tolist() == state
    assert (report.engine, report.status) == ("evidently", "drift")
    assert report.drifted == ["x"]
    x = report.columns["x"]
    assert x.effect_name == "Wasserstein distance (normed)"
    assert x.effect_size == pytest.approx(1, abs=0.1)
    assert "by the engine's own rule" in x.sentence
    statuses = {name: column.status for name, column in report.columns.items()}
    assert statuses["at"] == statuses["nothing"] == "not_judged"
    assert statuses["city"] == statuses["flag"] == statuses["gappy"] == "ok"
    assert "new" in {finding.kind for finding in report.findings}
    assert DriftReport.from_dict(report.to_dict()) == report
    assert "not judged" in report.to_markdown()


def test_few_rows_and_samples_are_told() -> None:
    require("evidently", INSTALLED)
    detector = DriftDetector("evidently")
    few = detector.detect(rows(0, 2000), rows(1, 50))
    assert few.status == "insufficient_data"
    many = rows(0, 60_000)[["x"]]
    report = detector.detect(many, many)
    assert (report.rows, report.status) == (60_000, "ok")
    assert "Random samples of at most 50,000 rows" in report.findings[0].sentence
    parts = [pa.table(many), pa.table({"y": np.arange(20_000.0)})]
    found = detector.detect(many, iter(parts)).findings
    [partly] = [each for each in found if each.kind == "partly_gone"]
    assert "20,000 of 80,000 rows came without" in partly.sentence


def test_a_profile_has_no_rows_and_a_missing_library_has_an_extra() -> None:
    if not INSTALLED:
        with pytest.raises(MissingExtraError, match=r"brixa-flows\[drift\]"):
            DriftDetector("evidently").detect(rows(0, 300), rows(1, 300))
        return
    profile = DriftProfile.build(rows(0, 300))
    with pytest.raises(DriftError, match="take the engine 'profile'"):
        DriftDetector("evidently").detect(profile, rows(1, 300))
    with pytest.raises(DriftError, match="knows neither windows nor freshness"):
        DriftDetector("evidently").detect(rows(0, 300), rows(1, 300), kind="week")


def test_our_own_verdicts_stand_in_its_workspace(tmp_path: Path) -> None:
    require("evidently", INSTALLED)
    from evidently.core.report import Snapshot
    from evidently.ui.workspace import Workspace

    report = DriftDetector().detect(rows(0, 2000), rows(1, 1500, shift=1))
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 8)]
    for at in moments:
        write_workspace(report, tmp_path / "kept", project="flights", at=at)
    workspace = Workspace.create(str(tmp_path / "kept"))  # as its interface opens it
    [project] = workspace.list_projects()
    assert project.name == "flights"
    runs = [
        workspace.get_run(project.id, each) for each in workspace.list_runs(project.id)
    ]
    assert sorted(each.timestamp for each in runs) == moments
    assert runs[0].metadata["sentence"] == report.sentence
    shown = [each for each in runs[0].widgets if each.type == "counter"]
    assert len(shown) == len(runs[0].metric_results) == len(runs[0].widgets)
    assert shown[0].title == report.sentence
    found = Snapshot.load_model(runs[0]).dict()
    values = {x["config"]["column"]: x["value"] for x in found["metrics"]}
    x = report.columns["x"]
    assert values["x: effect / limit"] == x.effect_size / x.effect_threshold
    assert values["drift share"] == report.drift_share
    failed = {each["name"] for each in found["tests"] if each["status"] == "FAIL"}
    assert len(failed) == 1 and "x: drift" in failed.pop()
    (tmp_path / "file").touch()
    with pytest.raises(DriftError, match="can't be written as a workspace"):
        write_workspace(report, tmp_path / "file", project="flights")
