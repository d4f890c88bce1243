"""``brixa performance``: how good is a version in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    print_table,
)
from brixa_flows.errors import DriftError
from brixa_flows.refs import ModelRef

if TYPE_CHECKING:
    from brixa_flows.drift import PerformanceReport

__all__ = ["performance"]


@click.group()
def performance() -> None:
    """Say how good a version is on new rows, before their labels come and after."""


@performance.command("learn")
@click.argument("ref", type=MODEL_REF)
@click.argument("data")
@click.option("--target", help="Column of the label, if it is not plain.")
@json_option
@click.pass_obj
def learn(
    workspace: Workspace,
    ref: ModelRef,
    data: str,
    target: str | None,
    json_output: bool,
) -> None:
    """Learn from DATA, labelled rows that the version was not trained on.

    The flow evaluate_model does the same with the rows that decide.
    """
    from brixa_flows.prediction import learn_performance

    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    record = learn_performance(registry, ref.name, version, data, target=target)
    if json_output:
        as_json(record)
        return
    dataset = record["dataset"]
    usual = record["estimator"]["usual"]
    print_table(
        f"{ref.name} {version} on {dataset['rows']:,} rows of {dataset['name']}",
        ("metric", "held-out"),
        ((name, f"{each['value']:.4f}") for name, each in usual.items()),
    )


@performance.command("check")
@click.argument("ref", type=MODEL_REF)
@click.argument("data")
@click.option(
    "--labels", help="Row ids and labels; without, DATA's own if there are any."
)
@click.option("--row-id", help="Column of the row ids, in DATA and the labels.")
@json_option
@click.pass_obj
def check(
    workspace: Workspace,
    ref: ModelRef,
    data: str,
    labels: str | None,
    row_id: str | None,
    json_output: bool,
) -> None:
    """Judge the version on DATA (a Parquet or CSV file or glob).

    Without labels its performance is estimated. Exits with 3 when it is degraded.

    \f
    Raises:
        DriftError: If no estimator was learned for the version.
    """
    from brixa_flows.prediction import judge_performance

    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    found = judge_performance(
        registry, ref.name, version, data, labels=labels, row_id=row_id
    )
    if found is None:
        raise DriftError(
            f"nobody learned how good {ref.name} {version} is; do it with labelled rows "
            f"that it was not trained on: brixa performance learn {ref.name}@{version} "
            "ROWS"
        )
    if json_output:
        as_json(
            {
                **found.report.to_dict(),
                "window_rows": found.rows,
                "labelled": found.labelled,
            }
        )
    else:
        _print(f"{ref.name} {version} on {found.rows:,} rows", found.report)
    if found.report.status == "degraded":
        raise click.exceptions.Exit(3)


def _print(title: str, report: PerformanceReport) -> None:
    print_table(
        f"{title}, {'measured' if report.realised else 'estimated'}",
        ("metric", "here", "band", "held-out", "usual", "verdict"),
        (
            (
                name,
                f"{each.value:.4f}",
                f"{each.interval[0]:.4f} to {each.interval[1]:.4f}",
                f"{each.reference:.4f}",
                f"{each.limits[0]:.4f} to {each.limits[1]:.4f}",
                "degraded" if each.status == "degraded" else "as usual",
            )
            for name, each in report.metrics.items()
        ),
    )
    click.echo(report.sentence)
    for finding in report.findings:
        click.echo(finding.sentence)


@performance.command("history")
@click.argument("ref", type=MODEL_REF)
@json_option
@click.pass_obj
def history(workspace: Workspace, ref: ModelRef, json_output: bool) -> None:
    """Show the windows in which a version was judged, oldest first."""
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    records = registry.performance_reports(ref.name, version)
    if json_output:
        as_json(records)
        return
    print_table(
        f"Performance of {ref.name} {version}",
        ("window", "kind", "rows", "labelled", "how", "status", "in words"),
        (
            (
                f"{item.get('start', '')[:10]} to {item.get('end', '')[:10]}",
                item.get("window"),
                item.get("rows"),
                item.get("labelled"),
                "measured" if item.get("realised") else "estimated",
                item.get("status"),
                item.get("sentence"),
            )
            for item in records
        ),
    )
