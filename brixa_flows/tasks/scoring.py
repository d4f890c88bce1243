"""Predicting many rows at once, and watching them for drift."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger

from brixa_flows.events import WindowClosed
from brixa_flows.prediction import ScoringReport, score
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.reporting import publish
from brixa_flows.tasks.reports import table

__all__ = ["predict_rows", "publish_scoring", "window_of"]


@remote_task("predict many rows by {name} {spec}", timeout_seconds=None)
def predict_rows(
    registry: str, name: str, spec: str, source: str, output: str, **options: Any
) -> ScoringReport:
    """Predict every row of a source and write it with its prediction.

    Tried again, it begins anew: a try that failed leaves nothing.

    Args:
        registry: Name of the registry's block.
        name: The model.
        spec: Version, stage, alias or constraint; empty is production, else the highest.
        source: File, folder, glob or a database's address.
        output: File or a database's address.
        **options: Of ``brixa_flows.prediction.score``.

    Raises:
        DatasetError: If the input does not fit the model, or the output is there.
    """
    opened = open_registry(registry)
    report = score(opened, name, spec or None, source, output, **options)
    get_run_logger().info("%d rows by %s %s", report.rows, name, report.version)
    return report


def window_of(report: ScoringReport, start: str, end: str, kind: str) -> WindowClosed:
    """The scored rows as a window that drift is looked for in.

    Args:
        report: What was scored, with a profile.
        start: Begin of the window, ISO 8601.
        end: Its end.
        kind: ``week`` ...; ``sample`` has no length.
    """
    return WindowClosed(
        name=report.model_name,
        deployment=f"{report.model_name}-batch",
        start=start,
        end=end,
        kind=kind,
        data_uri=report.profile,
    )


def publish_scoring(report: ScoringReport) -> None:
    """Show what was predicted and where it is."""
    facts = [
        ("rows", report.rows),
        ("seconds", f"{report.seconds:.1f}"),
        ("output", report.output),
        (
            "drift profile",
            report.profile
            or (
                "in the registry, if the rows are of a window; no file stands beside a "
                "database's table"
                if report.seen.profile is not None
                else "none: the version has no reference"
            ),
        ),
    ]
    what = f"{report.model_name} {report.version} predicted {report.rows} rows"
    text = f"# {what}\n\n{table(('fact', 'value'), facts)}"
    publish("scored", report.model_name, text, what, report.version)
