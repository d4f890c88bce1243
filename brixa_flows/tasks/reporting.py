"""Puts reports where a person finds them: as artifacts of the flow run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from brixa_flows.deployment import ServedAgain
from brixa_flows.drift import DriftReport, DriftVerdict, PerformanceReport
from brixa_flows.evaluation import Comparison, EvaluationResult, GateDecision
from brixa_flows.events import LabelsArrived, ModelDeployed, WindowClosed
from brixa_flows.outbox import Owed, Reconciled
from brixa_flows.registry import ModelMetadata
from brixa_flows.tasks import reports
from brixa_flows.tasks.assets import materialize_version
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.restarting import DeadRun
from brixa_flows.tasks.run_page import artifact_address, artifact_key, tag_run

__all__ = [
    "publish",
    "publish_decision",
    "publish_deployment",
    "publish_drift",
    "publish_evaluation",
    "publish_performance",
    "publish_ranking",
    "publish_reconciliation",
    "publish_registration",
    "publish_retraining",
    "publish_rollback",
    "publish_training",
]

_LARGEST_BYTES = 1_000_000
_PLOT = re.compile(r"!\[[^\]]*\]\(data:[^)]*\)")


def publish(
    kind: str, model: str, markdown: str, description: str, version: str = ""
) -> None:
    """Show a report as an artifact of the run, linked from its log.

    Args:
        kind: What the report is about; with ``model`` it makes the artifact's key.
        model: Name of the model.
        markdown: The report; one over 1 MB loses its plots, and its end if need be,
            since the UI can't show it.
        description: One line for lists.
        version: Version of the model; the run is tagged with both.
    """
    key = artifact_key(kind, model)
    artifact_id = create_markdown_artifact(
        _small_enough(markdown), key=key, description=description
    )
    if version:
        tag_run(model, version)
    place = artifact_address(artifact_id) or f"artifact {key}"
    get_run_logger().info("%s\nReport: %s", description, place)


def _small_enough(markdown: str) -> str:
    if len(markdown.encode()) > _LARGEST_BYTES:
        markdown = _PLOT.sub("(a plot was left out: the report is too large)", markdown)
    return markdown.encode()[:_LARGEST_BYTES].decode(errors="ignore")


def publish_training(
    name: str, description: str, metrics: Mapping[str, float], model_uri: str
) -> None:
    """Show what was trained and how it did in the training's own eyes.

    Args:
        name: Model that gets a new version.
        description: What was trained, in words.
        metrics: What the training measured.
        model_uri: Where MLflow keeps it.
    """
    text = reports.training_report(name, description, metrics, model_uri)
    publish("trained", name, text, f"trained {name}: {description}")


def publish_registration(registry: str, metadata: ModelMetadata) -> None:
    """Show what a new version is and where it comes from, as an asset too."""
    opened, version = open_registry(registry), str(metadata.version)
    graph = opened.lineage(metadata.name, version)
    what = f"{metadata.name} {version} is registered"
    text = reports.registration_report(metadata, graph, opened.tracking.uri)
    publish("registered", metadata.name, text, what, version)
    materialize_version(metadata)


def publish_evaluation(
    results: Sequence[EvaluationResult], comparison: Comparison | None
) -> None:
    """Show how a version did."""
    judged = results[-1]
    what = f"{judged.model_name} {judged.version} on {judged.dataset.name}"
    text = reports.evaluation_report(results, comparison)
    publish("evaluated", judged.model_name, text, what, str(judged.version))


def publish_ranking(results: Sequence[EvaluationResult], metric: str) -> None:
    """Show many versions that were judged on the same rows, the best first.

    Args:
        results: One a version.
        metric: What ranks them.
    """
    first = results[0]
    what = f"{len(results)} versions of {first.model_name} on {first.dataset.name}"
    publish("ranked", first.model_name, reports.ranking_report(results, metric), what)


def publish_decision(
    registry: str,
    decision: GateDecision,
    comparison: Mapping[str, Any],
    answer: str,
) -> None:
    """Show what a policy decided, and what a person said to it.

    Args:
        registry: Name of the registry's block.
        decision: The decision of the gates.
        comparison: With production, as the event carried it; may be empty.
        answer: Who said what, if a person was asked.
    """
    name, version = decision.model_name, decision.version
    graph = open_registry(registry).lineage(name, version)
    compared = Comparison.from_dict(comparison) if comparison else None
    text = reports.decision_report(decision, compared, graph, answer)
    what = f"{name} {version}: {decision.verdict} by the policy {decision.policy}"
    said = f"{name} {version}, {answer}" if answer else what
    publish("decided", name, text, said, version)


def publish_deployment(deployed: ModelDeployed) -> None:
    """Show where a version answers."""
    text = reports.deployment_report(deployed)
    publish("deployed", deployed.name, text, deployed.message, deployed.version)


def publish_drift(
    registry: str,
    window: WindowClosed,
    version: str,
    report: DriftReport,
    verdict: DriftVerdict,
    page: str = "",
) -> None:
    """Show what a window of traffic looks like against the reference.

    Args:
        registry: Name of the registry's block.
        window: The window.
        version: The version that served it.
        report: What was found.
        verdict: Whether it is an alarm, and why.
        page: MLflow's address of the whole report, if it is kept.
    """
    tracking_uri = open_registry(registry).tracking.uri if page else ""
    text = reports.drift_report(window, version, report, verdict, page, tracking_uri)
    what = f"the {window.kind} from {window.start} to {window.end}: {report.sentence}"
    publish("drift", window.name, text, what, version)


def publish_performance(
    window: LabelsArrived,
    version: str,
    report: PerformanceReport,
    verdict: DriftVerdict,
) -> None:
    """Show how good a version was in a window.

    Args:
        window: The window.
        version: The version that served it.
        report: What was found.
        verdict: Whether it is an alarm, and why.
    """
    text = reports.performance_report(window, version, report, verdict)
    what = f"the {window.kind} from {window.start} to {window.end}: {report.sentence}"
    publish("performance", window.name, text, what, version)


def publish_rollback(name: str, version: str, owed: Owed | None) -> None:
    """Show whether an alarm brought back the version before, and why not.

    Args:
        name: The model.
        version: The version that the alarm was about.
        owed: The event of the change, if there was one.
    """
    said = "is not in production, so nothing is rolled back"
    what = owed.payload.message if owed else f"{name} {version} {said}"
    text = f"# After an alarm on {name} {version}\n\n{what}."
    publish("rolled-back", name, text, what)


def publish_retraining(name: str, decision: str) -> None:
    """Show whether an alarm starts a training, and why.

    Args:
        name: The model.
        decision: What was decided, as a sentence.
    """
    publish("retraining", name, f"# After an alarm on {name}\n\n{decision}.", decision)


def publish_reconciliation(
    registry: str,
    done: Reconciled,
    dead: Sequence[DeadRun] = (),
    served: Sequence[ServedAgain] = (),
) -> None:
    """Show what was made good; nothing if there was nothing to do.

    Args:
        registry: Name of the registry's block.
        done: What was.
        dead: Runs whose process had died.
        served: Deployments whose supervisor had been killed.
    """
    if done != Reconciled((), ()) or dead or served:
        text = reports.reconciliation_report(done, dead, served)
        publish("reconciled", registry, text, f"made good in the registry {registry}")
