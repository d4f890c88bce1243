"""``brixa drift``: has the data changed, and does it matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    parse_moment,
    print_table,
)
from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DriftError, some_of
from brixa_flows.refs import ModelRef

if TYPE_CHECKING:
    from brixa_flows.drift import ColumnHistory, DriftReport

__all__ = ["drift"]


@click.group()
def drift() -> None:
    """Compare new data with what a version was trained on."""


@drift.command("check")
@click.argument("ref", type=MODEL_REF)
@click.argument("data", required=False)
@click.option("--deployment", help="Compare what it was asked, by its request log.")
@click.option("--since", help="Requests from then on, such as 2026-03-01.")
@click.option("--until", help="Requests before then.")
@click.option(
    "--policy",
    type=click.Path(dir_okay=False),
    help="Rules (YAML, TOML or JSON) of what is judged and how.",
)
@click.option("--kind", help="Length of the window: week, month, 12h ...")
@click.option("--begin", help="When DATA's window begins, for a policy with seasons.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write the full report.")
@click.option(
    "--evidently",
    type=click.Path(file_okay=False),
    help="Add it to the Evidently workspace in this folder (extra drift).",
)
@json_option
@click.pass_obj
def check(
    workspace: Workspace,
    ref: ModelRef,
    data: str | None,
    deployment: str | None,
    since: str | None,
    until: str | None,
    policy: str | None,
    kind: str | None,
    begin: str | None,
    html: str | None,
    evidently: str | None,
    json_output: bool,
) -> None:
    """Compare DATA (a Parquet file or glob) with the version's own reference.

    In place of DATA, --deployment reads what one was asked of the version. Exits with 3
    when drift is found.

    \f
    Raises:
        click.UsageError: If it is not said what to compare.
        DriftError: If the version was saved without reference data.
    """
    if (data is None) == (deployment is None) or (data and (since or until)):
        raise click.UsageError(
            "give either DATA, or --deployment with --since and --until if you like"
        )
    from brixa_flows.drift import DriftPolicy, DriftProfile, write_workspace

    rules = DriftPolicy.from_file(policy) if policy else DriftPolicy()
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    path = registry.reference_profile_path(ref.name, version)
    if path is None:
        raise DriftError(
            f"{ref.name} {version} has no drift profile; save the next version with "
            "save_model(..., reference=DATA)"
        )
    reference = DriftProfile.load(path)
    rows: Any = data
    if deployment is not None:
        rows = ModelDeployer(registry, workspace.storage).logged_requests(
            deployment,
            since=parse_moment(since) if since else None,
            until=parse_moment(until) if until else None,
            version=version,
            inputs_only=True,
            besides=reference.columns,
        )
    report = rules.compare(path, rows, kind=kind, start=begin or since, end=until)
    if evidently:
        at = parse_moment(begin or since or "") if begin or since else None
        write_workspace(report, evidently, project=f"{ref.name} {version}", at=at)
        click.echo(f"added to the workspace {evidently}", err=True)
    _show(report, html, json_output=json_output)
    if report.status == "drift":
        raise click.exceptions.Exit(3)


def _show(report: DriftReport, html: str | None, *, json_output: bool) -> None:
    if html:
        Path(html).write_text(report.to_html(), encoding="utf-8")
        click.echo(f"wrote {html}", err=True)
    if json_output:
        as_json(report.to_dict())
    else:
        click.echo(report.to_markdown())


@drift.command("history")
@click.argument("ref", type=MODEL_REF)
@click.option("--column", help="Show this column window by window.")
@click.option(
    "--html", type=click.Path(dir_okay=False), help="Write a plot of each column."
)
@json_option
@click.pass_obj
def history(
    workspace: Workspace,
    ref: ModelRef,
    column: str | None,
    html: str | None,
    json_output: bool,
) -> None:
    """Show the drift checks that were kept for a version, oldest first.

    The trend has a block a window: empty is no effect, full is twice the limit.

    \f
    Raises:
        DriftError: If no window of the version has the column.
    """
    from brixa_flows.drift.history import column_histories
    from brixa_flows.drift.history_page import render_history

    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    reports = registry.drift_reports(ref.name, version)
    if json_output:
        as_json(reports)
        return
    title = f"Drift checks of {ref.name} {version}"
    histories = column_histories(reports)
    if html:
        page = render_history(title, histories)
        Path(html).write_text(page, encoding="utf-8")
        click.echo(f"wrote {html}", err=True)
    if column is not None:
        _print_column(title, column, histories)
        return
    print_table(
        title,
        ("window", "kind", "status", "rows", "in words"),
        (
            (
                f"{item.get('start', '')[:10]} to {item.get('end', '')[:10]}",
                item.get("window", item.get("kind")),
                item.get("status"),
                item.get("rows"),
                item.get("sentence"),
            )
            for item in reports
        ),
    )
    if not histories:
        return
    print_table(
        "Columns over these windows",
        ("column", "deployment", "kind", "windows", "drifted", "since", "trend"),
        (
            (
                *(each.column, each.deployment, each.kind, len(each.moments)),
                *(each.drifted, (each.since or "-")[:10], each.trend),
            )
            for each in histories
        ),
    )


def _print_column(title: str, column: str, histories: Sequence[ColumnHistory]) -> None:
    from brixa_flows.drift.sentences import mean_text, number

    found = [each for each in histories if each.column == column]
    if not found:
        raise DriftError(
            f"no window was judged by the column {column!r}; there are: "
            f"{some_of(each.column for each in histories)}"
        )
    for each in found:
        print_table(
            f"{title}: {column}, {each.kind}s of {each.deployment}  {each.trend}",
            ("window", "status", "effect", "size", "limit", "mean", "missing"),
            (
                (
                    f"{moment.start[:10]} to {moment.end[:10]}",
                    moment.status,
                    (moment.effect_name or "-").replace("_", " "),
                    number(moment.effect),
                    number(moment.limit),
                    mean_text(moment.kind, moment.mean),
                    (
                        "-"
                        if moment.missing_share is None
                        else f"{moment.missing_share:.1%}"
                    ),
                )
                for moment in each.moments
            ),
        )
