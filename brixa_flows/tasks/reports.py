"""The text of what a run shows in the Prefect UI: what was decided, and why.

Markdown only: tables, PNG images as data URIs and mermaid survive there, style and
inline SVG do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from brixa_flows.deployment import ServedAgain
from brixa_flows.drift import DriftReport, DriftVerdict, PerformanceReport
from brixa_flows.evaluation import Comparison, EvaluationResult, GateDecision
from brixa_flows.evaluation.metrics import METRICS, canonical_metric
from brixa_flows.evaluation.pictures import gains_pictures, pictures_of
from brixa_flows.events import LabelsArrived, ModelDeployed, WindowClosed
from brixa_flows.outbox import Reconciled
from brixa_flows.registry import LineageGraph, ModelMetadata
from brixa_flows.tasks.restarting import DeadRun
from brixa_flows.tasks.run_page import flow_run_link, reports_link

__all__ = [
    "approval_report",
    "decision_report",
    "deployment_report",
    "drift_report",
    "evaluation_report",
    "performance_report",
    "ranking_report",
    "reconciliation_report",
    "registration_report",
    "table",
    "training_report",
]

_PLOTS = 3
_PICTURES = 2


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; pipes and line breaks in cells are made harmless."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _mermaid(graph: LineageGraph) -> str:
    return f"## Lineage\n\n```mermaid\n{graph.to_mermaid().strip()}\n```\n"


def training_report(
    name: str, description: str, metrics: Mapping[str, float], model_uri: str
) -> str:
    """What was trained, and how it did in the training's own eyes."""
    rows = [(metric, f"{value:.4f}") for metric, value in metrics.items()]
    parts = [
        f"# A model for {name} was trained",
        f"{description[:1].upper()}{description[1:]}; MLflow keeps it as `{model_uri}`.",
        table(("metric", "value"), rows) if rows else "The training measured nothing.",
    ]
    return "\n\n".join(parts)


def registration_report(
    metadata: ModelMetadata, graph: LineageGraph, tracking_uri: str
) -> str:
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
        ("training run in Prefect", _flow_run(lineage.flow_run_id)),
        ("versions in MLflow", _in_mlflow(tracking_uri, metadata.name)),
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


def _flow_run(run_id: str | None) -> str:
    return flow_run_link(run_id) if run_id else "unknown"


def _in_mlflow(tracking_uri: str, model: str) -> str:
    """A link to MLflow's page of a model; a database has none."""
    if not tracking_uri.startswith(("http://", "https://")):
        return f"`{tracking_uri}`"
    return f"[{model}]({tracking_uri.rstrip('/')}/#/models/{quote(model)})"


def _kept_page(page: str, tracking_uri: str) -> str:
    """How to open a file that MLflow keeps.

    MLflow's pages open no file by its address, so one link fetches the file, as the
    button there does, and one leads to the run.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return (
            f"MLflow keeps the whole report; `mlflow artifacts download -u '{page}' -d .` "
            "fetches it, with `MLFLOW_TRACKING_URI` set to the registry's "
            "`tracking.uri` (`brixa doctor` shows it)."
        )
    server = tracking_uri.rstrip("/")
    run_id, _, path = page.removeprefix("runs:/").partition("/")
    file = f"{server}/get-artifact?path={quote(path)}&run_uuid={run_id}"
    return (
        f"MLflow keeps [the whole report]({file}) (an HTML file) among the artifacts of "
        f"[the version's run]({server}/#/runs/{run_id})."
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


def ranking_report(results: Sequence[EvaluationResult], metric: str) -> str:
    """Versions that were judged on the same rows, the best by a metric first."""
    name = canonical_metric(metric)
    rises = name not in METRICS or METRICS[name].higher_is_better
    best = sorted(results, key=lambda each: each.metrics[name], reverse=rises)
    shown = list(best[0].metrics)
    rows = [
        [each.version, *(_with_interval(each, metric) for metric in shown)]
        for each in best
    ]
    first = best[0]
    return "\n\n".join(
        [
            f"# {first.model_name} {first.version} is best by {name}",
            f"{len(best)} versions on the same {first.rows} rows of "
            f"{first.dataset.name}, with 95 % intervals.",
            table(("version", *shown), rows),
        ]
    )


def _with_interval(result: EvaluationResult, metric: str) -> str:
    interval = result.intervals.get(metric)
    shown = f"{result.metrics[metric]:.4f}"
    return f"{shown} ({interval})" if interval is not None else shown


def approval_report(
    title: str,
    decision: GateDecision,
    result: EvaluationResult,
    comparison: Comparison | None,
    holder: str,
) -> str:
    """What a person must see to say whether a version may go on.

    Narrow, since the form of a waiting run is.
    """
    pictures = pictures_of(result)[-_PICTURES:]
    parts = [
        f"# {title[:1].upper()}{title[1:]}",
        f"The gates of the policy {decision.policy} have passed:",
        "\n".join(f"- **{each.gate}**: {each.sentence}" for each in decision.gates),
    ]
    if comparison is None:
        parts.append("There is no comparison with another version.")
    else:
        pictures[:0] = gains_pictures(comparison)[:2]
        parts.append(_verdicts(comparison))
    if comparison is not None and holder != str(comparison.baseline):
        parts.append(
            f"> The comparison is with {comparison.baseline}, but "
            f"{holder or 'no version'} is there now."
        )
    return "\n\n".join([*parts, *_beside(pictures)])


def _beside(pictures: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Pictures in rows of two; a table is all that markdown has for that."""
    for begin in range(0, len(pictures), 2):
        pair = pictures[begin : begin + 2]
        captions = [caption for caption, _ in pair]
        yield table(captions, [[f"![{caption}]({uri})" for caption, uri in pair]])


def _verdicts(comparison: Comparison) -> str:
    rows = [
        (
            found.metric,
            f"{found.baseline:.4f}",
            f"{found.candidate:.4f}",
            found.verdict.replace("_", " "),
        )
        for found in comparison.metrics.values()
    ]
    facts = comparison.dataset
    header = ("metric", comparison.baseline, comparison.candidate, "verdict")
    told = [f"> {warning}" for warning in comparison.warnings]
    where = f"On the same {facts.rows} rows of {facts.name}:"
    return "\n\n".join([where, table(header, rows), *told])


def decision_report(
    decision: GateDecision,
    comparison: Comparison | None,
    graph: LineageGraph,
    answer: str,
) -> str:
    """What a policy decided and why, and what a person answered, if one was asked."""
    parts = [decision.to_markdown()]
    if answer:
        parts.append(f"A person was asked. {answer}")
    if comparison is not None:
        parts.append(comparison.to_markdown())
    return "\n\n".join([*parts, _mermaid(graph)])


def deployment_report(deployed: ModelDeployed) -> str:
    """Where a version answers and how to ask it."""
    replaced = deployed.replaced
    earlier = reports_link("deployed", deployed.name, "what was deployed when")
    before = f"It replaced {replaced}" if replaced else "Nothing was served before"
    base = f"{deployed.endpoint.rstrip('/')}/v2/models/{deployed.name}"
    return "\n".join(
        [
            f"# {deployed.name} {deployed.version} answers at {deployed.endpoint}",
            "",
            f"{before}; {earlier}. It predicts at [`/docs`]({deployed.endpoint}/docs), and "
            f"{deployed.deployment} can be looked at and rolled back:",
            "",
            "```",
            f"curl {base}",
            f"brixa deployment status {deployed.deployment}",
            f"brixa deployment rollback {deployed.deployment}",
            "```",
        ]
    )


def drift_report(
    window: WindowClosed,
    version: str,
    report: DriftReport,
    verdict: DriftVerdict,
    page: str = "",
    tracking_uri: str = "",
) -> str:
    """What a window of traffic looks like, and whether it is an alarm.

    Args:
        window: The window.
        version: The version that served it.
        report: What was found.
        verdict: Whether it is an alarm, and why.
        page: Address of the whole report, ``runs:/ID/PATH``, if it is kept.
        tracking_uri: Of the MLflow that keeps it.
    """
    word = "A drift alarm" if verdict.alarm else "No drift alarm"
    why = "" if verdict.alarm else f" No alarm: {verdict.sentence}."
    _, _, findings = report.to_markdown(plots=_PLOTS).partition("\n\n")  # its heading
    return "\n\n".join(
        [
            f"# {word} about {window.name} {version}",
            f"The {window.kind} from {window.start} to {window.end} of "
            f"{window.deployment} against what {version} was trained on.{why}",
            findings,
            *([_kept_page(page, tracking_uri)] if page else []),
        ]
    )


def performance_report(
    window: LabelsArrived,
    version: str,
    report: PerformanceReport,
    verdict: DriftVerdict,
) -> str:
    """How good a version was in a window, and whether it is an alarm."""
    word = "A performance alarm" if verdict.alarm else "No performance alarm"
    why = "" if verdict.alarm else f" No alarm: {verdict.sentence}."
    how = (
        "Measured with the labels that are known."
        if report.realised
        else "Estimated without labels: a change of what the labels are for the same "
        "rows (concept drift) can't be seen."
    )
    rows = [
        (
            name,
            f"{each.value:.4f}",
            f"{each.interval[0]:.4f} to {each.interval[1]:.4f}",
            f"{each.reference:.4f}",
            f"{each.limits[0]:.4f} to {each.limits[1]:.4f}",
            "**degraded**" if each.status == "degraded" else "as usual",
        )
        for name, each in report.metrics.items()
    ]
    header = ("metric", "in the window", "band", "held-out", "usual", "verdict")
    parts = [
        f"# {word} about {window.name} {version}",
        f"The {window.kind} from {window.start} to {window.end} of "
        f"{window.deployment}.{why} {how}",
        report.sentence,
        table(header, rows) if rows else "",
        *(f"> {each.sentence}" for each in report.findings),
    ]
    return "\n\n".join(part for part in parts if part)


def reconciliation_report(
    done: Reconciled,
    dead: Sequence[DeadRun] = (),
    served: Sequence[ServedAgain] = (),
) -> str:
    """Which runs go on, what was delivered late, repaired and served again."""
    parts = ["# Made good after a crash or an absent server"]
    if dead:
        runs = [
            (run.name, run.why, "yes" if run.restarted else "no, it was too often")
            for run in dead
        ]
        parts.append(table(("run that died", "why", "started again"), runs))
    if served:
        lines = [
            (each.name, "yes" if each.served else "no", each.message) for each in served
        ]
        told_of = ("deployment that nobody served", "served again", "how it is")
        parts.append(table(told_of, lines))
    if done.delivered:
        told = [(each.event, each.message) for each in done.delivered]
        parts.append(table(("delivered late", "what happened"), told))
    if done.unheeded:
        stuck = [
            (each.payload.message, ", ".join(each.waits_for)) for each in done.unheeded
        ]
        header = ("sent four times in vain", "automation that starts no run")
        parts.append(table(header, stuck))
    if done.refused:
        told = [(each.payload.message, each.why) for each in done.refused]
        parts.append(table(("the server does not take", "why"), told))
    if done.untold:
        lost = [(each.what, each.why, each.remedy) for each in done.untold]
        parts.append(table(("no event can tell", "why", "what to do"), lost))
    if done.repaired:
        parts.append(table(("repaired",), [(str(each),) for each in done.repaired]))
    return "\n\n".join(parts)
