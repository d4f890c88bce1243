"""``brixa lineage``: what went into a version, and what depends on it."""

from __future__ import annotations

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    print_folded,
)
from brixa_flows.refs import ModelRef

__all__ = ["lineage"]


@click.group()
def lineage() -> None:
    """Ask what went into a version and what depends on it."""


@lineage.command("show")
@click.argument("ref", type=MODEL_REF)
@click.option("--mermaid", is_flag=True, help="Print a mermaid diagram.")
@json_option
@click.pass_obj
def show(workspace: Workspace, ref: ModelRef, mermaid: bool, json_output: bool) -> None:
    """Show data, code, runs, parents, stages and deployments of a version."""
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    graph = registry.lineage(ref.name, version)
    if json_output:
        as_json(graph.to_dict())
    elif mermaid:
        click.echo(graph.to_mermaid())
    else:
        print_folded(graph.to_text())
