"""``brixa approve``: what waits for a person's word, and giving it."""

from __future__ import annotations

import importlib
from typing import Any

import click

from brixa_flows.cli.workspace import as_json, json_option

__all__ = ["approve"]


@click.command()
@click.argument("run", required=False)
@click.option("--by", metavar="NAME", help="Who you are; goes into the stage history.")
@click.option("--reason", metavar="TEXT", help="Why; goes into the stage history.")
@click.option("--reject", is_flag=True, help="Say no: the version stays out.")
@json_option
def approve(
    run: str | None, by: str | None, reason: str | None, reject: bool, json_output: bool
) -> None:
    """List promotions that wait for a person, or answer the one of the flow run RUN.

    RUN is its id, the begin of its id that no other one has, or its name.
    """
    answering = importlib.import_module("brixa_flows.tasks.answering")
    if run is None:
        if by or reason or reject:
            raise click.UsageError("name the RUN to answer; without options it lists")
        _list(answering.waiting_approvals(), json_output)
        return
    if not (by and by.strip() and reason and reason.strip()):
        raise click.UsageError("an answer needs --by NAME and --reason TEXT")
    asked = answering.answer_approval(run, not reject, by, reason)
    if json_output:
        as_json(vars(asked))
    else:
        word = "rejected" if reject else "approved"
        click.echo(f"{word} {asked.name} {asked.version} for {asked.stage} as {by}")


def _list(waiting: list[Any], json_output: bool) -> None:
    if json_output:
        as_json([vars(each) for each in waiting])
        return
    if not waiting:
        click.echo("no promotion waits for a person", err=True)
        return
    for each in waiting:
        until = f", until {each.deadline:%Y-%m-%d %H:%M} UTC" if each.deadline else ""
        click.echo(
            f"{each.name} {each.version} waits for {each.stage}, "
            f"which the policy {each.policy} lets a person decide{until}"
        )
        click.echo(f"    {each.url}")
        click.echo(f"    brixa approve {each.flow_run_id} --by NAME --reason TEXT")
