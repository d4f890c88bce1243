"""``brixa drift``: has the data changed, and does it matter."""

from __future__ import annotations

from pathlib import Path

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

__all__ = ["drift"]


@click.group()
def drift() -> None:
    """Compare new data with what a version was trained on."""


@drift.command("check")
@click.argument("ref", type=MODEL_REF)
@click.argument("data")
@click.option(
    "--policy",
    type=click.Path(dir_okay=False),
    help="Rules (YAML, TOML or JSON) of what is judged and how.",
)
@click.option("--html", type=click.Path(dir_okay=False), help="Write the full report.")
@json_option
@click.pass_obj
def check(
    workspace: Workspace,
    ref: ModelRef,
    data: str,
    policy: str | None,
    html: str | None,
    json_output: bool,
) -> None:
    """Compare DATA (a Parquet file or glob) with the version's own reference.

    Exits with 3 when drift is found.

    \f
    Raises:
        DriftError: If the version was saved without reference data.
    """
    from brixa_flows.drift import DriftPolicy, DriftProfile

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
    report = rules.detector().detect(reference, data, ignore=rules.ignore)
    if html:
        Path(html).write_text(report.to_html(), encoding="utf-8")
        click.echo(f"wrote {html}", err=True)
    if json_output:
        as_json(report.to_dict())
    else:
        click.echo(report.to_markdown())
    if report.status == "drift":
        raise click.exceptions.Exit(3)


@drift.command("history")
@click.argument("ref", type=MODEL_REF)
@json_option
@click.pass_obj
def history(workspace: Workspace, ref: ModelRef, json_output: bool) -> None:
    """Show the drift checks that were kept for a version, oldest first."""
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    reports = registry.drift_reports(ref.name, version)
    if json_output:
        as_json(reports)
        return
    print_table(
        f"Drift checks of {ref.name} {version}",
        ("window", "kind", "status", "rows", "in words"),
        (
            (
                f"{item.get('start', '')[:10]} to {item.get('end', '')[:10]}",
                item.get("kind"),
                item.get("status"),
                item.get("rows"),
                item.get("sentence"),
            )
            for item in reports
        ),
    )
