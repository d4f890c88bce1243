"""``brixa model search`` and ``diff``: questions across versions."""

from __future__ import annotations

from collections.abc import Sequence

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    print_folded,
    print_table,
)
from brixa_flows.refs import ModelRef
from brixa_flows.registry import ModelMetadata
from brixa_flows.registry.reading.searching import LARGEST_PAGE

__all__ = ["diff", "search"]


@click.command("search")
@click.argument("filter", default="")
@click.option("--order-by", multiple=True, help="Such as 'version DESC'; repeatable.")
@click.option(
    "--max-results",
    type=click.IntRange(1, LARGEST_PAGE),
    default=100,
    show_default=True,
    help="Versions in a page.",
)
@click.option("--page-token", help="What the page before printed.")
@json_option
@click.pass_obj
def search(
    workspace: Workspace,
    filter: str,
    order_by: tuple[str, ...],
    max_results: int,
    page_token: str | None,
    json_output: bool,
) -> None:
    """Find versions by FILTER, in the grammar of MLflow's searches.

    Such as: "metrics.f1 > 0.8 and tags.team = 'fraud' and stage = 'production'"
    """
    page = workspace.registry.search(
        filter, order_by=order_by, max_results=max_results, page_token=page_token
    )
    if not len(page):
        workspace.say_none("versions like that")
    found = workspace.answered(page)
    if json_output:
        as_json({"versions": list(found), "next_page_token": page.token})
        return
    workspace.say_problems(found)
    _print(found)
    if page.token is not None:
        click.echo(f"there are more: --page-token {page.token}", err=True)


def _print(found: Sequence[ModelMetadata]) -> None:
    print_table(
        f"{len(found)} found",
        ("model", "version", "state", "stage", "framework", "metrics"),
        (
            (
                item.name,
                item.version,
                item.state,
                item.stage,
                item.framework,
                ", ".join(f"{k} {v:.4g}" for k, v in sorted(item.metrics.items())[:4]),
            )
            for item in found
        ),
    )


@click.command("diff")
@click.argument("before", type=MODEL_REF)
@click.argument("after", type=MODEL_REF)
@json_option
@click.pass_obj
def diff(
    workspace: Workspace, before: ModelRef, after: ModelRef, json_output: bool
) -> None:
    """Compare two versions of a model: NAME@A NAME@B.

    \f
    Raises:
        click.UsageError: If they are of two models.
    """
    if before.name != after.name:
        raise click.UsageError(
            f"{before.name} and {after.name} are two models; name two versions of one"
        )
    found = workspace.registry.diff(before.name, before.spec, after.spec)
    if json_output:
        as_json(found)
    else:
        print_folded(str(found))
