"""Reports read like reports: what was decided and why, with links and plots."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from brixa_flows.deployment import ServedAgain
from brixa_flows.drift import DriftDetector, DriftReport, DriftVerdict
from brixa_flows.evaluation import EvaluationResult
from brixa_flows.evaluation.results import DatasetFacts
from brixa_flows.events import ModelDeployed, WindowClosed
from brixa_flows.outbox import Reconciled, Unheeded
from brixa_flows.registry import Lineage, LineageGraph, ModelMetadata
from brixa_flows.tasks import reports
from brixa_flows.tasks.restarting import DeadRun
from brixa_flows.versioning import ModelVersion

WINDOW = WindowClosed(
    name="m",
    deployment="m-prod",
    start="2026-10-01",
    end="2026-11-01",
    kind="month",
    data_uri="rows.parquet",
)


@pytest.fixture(scope="module")
def drifted() -> DriftReport:
    rows = np.random.default_rng(0).normal(size=1000)
    before, after = pd.DataFrame({"a": rows}), pd.DataFrame({"a": rows + 3})
    return DriftDetector().detect(before, after)


def test_a_drift_report_begins_with_the_alarm_and_shows_the_plot(
    drifted: DriftReport,
) -> None:
    text = reports.drift_report(WINDOW, "1.0.0", drifted, DriftVerdict(True, "so"))
    assert text.startswith("# A drift alarm about m 1.0.0\n")
    assert "The month from 2026-10-01 to 2026-11-01 of m-prod against" in text
    assert "](data:image/png;base64," in text
    assert text.count("\n# ") == 0  # one heading


@pytest.mark.parametrize(
    ("tracking_uri", "shown"),
    [
        (
            "http://mlflow.example:5000/",
            "[the whole report](http://mlflow.example:5000/get-artifact?path=reports/"
            "drift%20a%20b.html&run_uuid=a1) (an HTML file) among the artifacts of [the "
            "version's run](http://mlflow.example:5000/#/runs/a1).",
        ),
        (
            "sqlite:////data/mlflow.db",
            "`mlflow artifacts download -u 'runs:/a1/reports/drift a b.html' -d .` fetches "
            "it, with `MLFLOW_TRACKING_URI` set to the registry's `tracking.uri` (`brixa "
            "doctor` shows it).",
        ),
    ],
)
def test_the_whole_report_of_a_window_can_be_opened(
    drifted: DriftReport, tracking_uri: str, shown: str
) -> None:
    verdict, page = DriftVerdict(True, "so"), "runs:/a1/reports/drift a b.html"
    text = reports.drift_report(WINDOW, "1.0.0", drifted, verdict, page, tracking_uri)
    assert text.rstrip().endswith(shown)


def test_drift_that_is_no_alarm_says_why(drifted: DriftReport) -> None:
    verdict = DriftVerdict(False, "1 of the last 3 months drifted")
    text = reports.drift_report(WINDOW, "1.0.0", drifted, verdict)
    assert text.startswith("# No drift alarm about m 1.0.0\n")
    assert "No alarm: 1 of the last 3 months drifted." in text


@pytest.mark.parametrize(
    ("tracking_uri", "shown"),
    [
        ("http://mlflow.example:5000/", "[m](http://mlflow.example:5000/#/models/m)"),
        ("sqlite:////data/mlflow.db", "`sqlite:////data/mlflow.db`"),
    ],
)
def test_a_registration_leads_to_mlflow_where_that_has_pages(
    tracking_uri: str, shown: str
) -> None:
    metadata = ModelMetadata(
        name="m",
        version="1.0.0",
        model_type="classification",
        metrics={"auc": 0.81234},
        lineage=Lineage(run_id="a1", flow_run_id="of another orchestrator"),
        created_at=datetime.now(UTC),
    )
    graph = LineageGraph((), ())
    text = reports.registration_report(metadata, graph, tracking_uri)
    assert f"| versions in MLflow | {shown} |" in text
    assert "| training run in Prefect | `of another orchestrator` |" in text
    assert "| auc at training | 0.8123 |" in text


def test_a_deployment_says_where_it_answers_and_what_it_replaced() -> None:
    deployed = ModelDeployed(
        name="m",
        version="1.0.1",
        deployment="m-prod",
        endpoint="http://127.0.0.1:8000",
        replaced="1.0.0",
    )
    text = reports.deployment_report(deployed)
    assert "It replaced 1.0.0" in text
    assert "(http://127.0.0.1:8000/docs)" in text
    assert "brixa deployment rollback m-prod" in text


def test_a_training_report_shows_what_was_measured() -> None:
    text = reports.training_report("m", "trees", {"auc": 0.7}, "runs:/a/model")
    assert "Trees; MLflow keeps it as `runs:/a/model`." in text
    assert "| auc | 0.7000 |" in text
    assert "measured nothing" in reports.training_report("m", "trees", {}, "x")


def _judged(version: str, loss: float) -> EvaluationResult:
    return EvaluationResult(
        model_name="m",
        version=ModelVersion.parse(version),
        task="binary",
        dataset=DatasetFacts(name="held-out", digest="d", rows=10),
        metrics={"log_loss": loss, "roc_auc": loss},
        intervals={},
        evaluated_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("metric", "best", "worst"),
    [("log_loss", "1.0.1", "1.0.0"), ("auc", "1.0.0", "1.0.1")],
)
def test_a_ranking_has_the_best_first_whichever_way_its_metric_goes(
    metric: str, best: str, worst: str
) -> None:
    results = [_judged("1.0.0", 0.5), _judged("1.0.1", 0.2)]
    text = reports.ranking_report(results, metric)
    assert text.startswith(f"# m {best} is best by ")
    assert text.index(f"| {best} |") < text.index(f"| {worst} |")


def test_what_was_made_good_says_what_nobody_acted_on() -> None:
    stuck = Unheeded(WINDOW, ("Watch every window that closes",))
    dead = DeadRun("deploy m 1.0.1", "exited with -9", True)
    back = ServedAgain("m", True, "m serves m 1.0.0 again", is_news=True)
    made_good = Reconciled((WINDOW,), (), (stuck,))
    text = reports.reconciliation_report(made_good, [dead], [back])
    assert "| m | yes | m serves m 1.0.0 again |" in text
    assert "| deploy m 1.0.1 | exited with -9 | yes |" in text
    assert f"| brixa.window.closed | {WINDOW.message} |" in text
    assert f"| {WINDOW.message} | Watch every window that closes |" in text
