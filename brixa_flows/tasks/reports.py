"""The text of what a run shows in the Prefect UI: what was decided, and why.

Markdown only: tables, PNG images as data URIs and mermaid survive there, style and
inline SVG do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from brixa_flows.drift import DriftReport, DriftVerdict
from brixa_flows.evaluation import Comparison, EvaluationResult, GateDecision
from brixa_flows.events import ModelDeployed, WindowClosed
from brixa_flows.registry import LineageGraph, ModelMetadata

__all__ = [
    "decision_report",
    "deployment_report",
    "drift_report",
    "evaluation_report",
    "registration_report",
    "table",
]

_PLOTS = 3


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; pipes and line breaks in cells are made harmless."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _mermaid(graph: LineageGraph) -> str:
    return f"## Lineage\n\n```mermaid\n{graph.to_mermaid().strip()}\n```\n"


def registration_report(metadata: ModelMetadata, graph: LineageGraph) -> str:
    """What a new version is and where it comes from."""
    lineage = metadata.lineage
    facts = [
        ("model type", metadata.model_type),
        ("framework", metadata.framework or "unknown"),
        ("digest", f"`{metadata.digest}`"),
        ("size", f"{(metadata.size_bytes or 0) / 1e6:.1f} MB"),
        *(
            (f"trained on ({d.role})", f"{d.name}, {d.rows} rows")
            for d in lineage.datasets
        ),
        ("commit", f"`{lineage.code.commit}`" if lineage.code else "unknown"),
        ("training run in MLflow", f"`{lineage.run_id}`"),
        ("training run in Prefect", f"`{lineage.flow_run_id}`"),
        ("drift profile", "saved with it" if metadata.has_reference else "none"),
        *((f"{name} at training", f"{x:.4f}") for name, x in metadata.metrics.items()),
    ]
    return "\n".join(
        [
            f"# {metadata.name} {metadata.version} is registered and sealed",
            "",
            metadata.description,
            "",
            table(("fact", "value"), facts),
            "",
            _mermaid(graph),
        ]
    )


def evaluation_report(
    results: Sequence[EvaluationResult], comparison: Comparison | None
) -> str:
    """How a version did on each dataset, and against production on the last."""
    decisive = results[-1]
    rows = [
        (result.dataset.name, result.rows, metric, f"{value:.4f}", interval)
        for result in results
        for metric, value in result.metrics.items()
        if (interval := result.intervals.get(metric, "")) is not None
    ]
    parts = [
        f"# {decisive.model_name} {decisive.version} on {decisive.rows} rows it has "
        f"not seen",
        f"The rows of **{decisive.dataset.name}** decide about its promotion.",
        table(("rows", "number", "metric", "value", "95 % interval"), rows),
        *(f"> {warning}" for result in results for warning in result.warnings),
    ]
    if comparison is None:
        parts.append("Nothing else is in production, so there is nothing to beat.")
    else:
        parts.append(comparison.to_markdown())
    return "\n\n".join(parts)


def decision_report(
    decision: GateDecision, comparison: Comparison | None, graph: LineageGraph
) -> str:
    """What a policy decided and why."""
    parts = [decision.to_markdown()]
    if comparison is not None:
        parts.append(comparison.to_markdown())
    return "\n\n".join([*parts, _mermaid(graph)])


def deployment_report(deployed: ModelDeployed) -> str:
    """Where a version answers and how to ask it."""
    replaced = deployed.replaced
    before = f"It replaced {replaced}." if replaced else "Nothing was served before."
    base = f"{deployed.endpoint.rstrip('/')}/v2/models/{deployed.name}"
    return "\n".join(
        [
            f"# {deployed.name} {deployed.version} answers at {deployed.endpoint}",
            "",
            before,
            "",
            "```",
            f"curl {base}",
            f"brixa deployment status {deployed.deployment}",
            f"brixa deployment rollback {deployed.deployment}",
            "```",
        ]
    )


def drift_report(
    window: WindowClosed, version: str, report: DriftReport, verdict: DriftVerdict
) -> str:
    """What a window of traffic looks like, and whether it is an alarm."""
    word = "An alarm" if verdict.alarm else "No alarm"
    return "\n\n".join(
        [
            f"The {window.kind} from {window.start} to {window.end} of "
            f"{window.deployment}, against what {window.name} {version} was trained on.",
            f"**{word}**: {verdict.sentence}.",
            report.to_markdown(plots=_PLOTS),
        ]
    )
