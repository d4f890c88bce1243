"""Trying a version on live requests: ``canary``, ``promote``, ``abort``, ``judge``."""

from __future__ import annotations

import math

import click

from brixa_flows.cli.workspace import Workspace, as_json, json_option
from brixa_flows.deployment import CanaryGate, ModelDeployer
from brixa_flows.errors import DeploymentError

__all__ = ["abort", "canary", "judge", "promote"]


def _number(
    _context: click.Context, _option: click.Parameter, value: float | None
) -> float | None:
    if value is not None and math.isnan(value):  # which lies in every range of click
        raise click.BadParameter("nan is no number")
    return value


def _deployer(workspace: Workspace) -> ModelDeployer:
    return ModelDeployer(workspace.registry, workspace.storage)


def _say(outcome: tuple[bool, str]) -> None:
    success, message = outcome
    if not success:
        raise DeploymentError(message)
    click.echo(message)


@click.command("canary")
@click.argument("name")
@click.argument("version")
@click.option("--share", type=float, help="Share of the requests it answers: 0.1.")
@click.option("--shadow", is_flag=True, help="It predicts a copy and answers nobody.")
@click.pass_obj
def canary(
    workspace: Workspace, name: str, version: str, share: float | None, shadow: bool
) -> None:
    """Try VERSION beside what the deployment NAME serves, in the same replicas."""
    deployer = _deployer(workspace)
    _say(deployer.start_canary(name, version, share=share, shadow=shadow))


@click.command("promote")
@click.argument("name")
@click.pass_obj
def promote(workspace: Workspace, name: str) -> None:
    """Serve the version that is tried; `rollback` returns."""
    _say(_deployer(workspace).promote_canary(name))


@click.command("abort")
@click.argument("name")
@click.pass_obj
def abort(workspace: Workspace, name: str) -> None:
    """Try the version no longer."""
    _say(_deployer(workspace).abort_canary(name))


@click.command("judge")
@click.argument("name")
@click.option("--min-requests", type=click.IntRange(min=1), default=200)
@click.option(
    "--max-error-share", type=click.FloatRange(0, 1), default=0.0, callback=_number
)
@click.option(
    "--max-time-ratio", type=click.FloatRange(0, min_open=True), callback=_number
)
@click.option("--min-agreement", type=click.FloatRange(0, 1), callback=_number)
@json_option
@click.pass_obj
def judge(
    workspace: Workspace,
    name: str,
    min_requests: int,
    max_error_share: float,
    max_time_ratio: float | None,
    min_agreement: float | None,
    json_output: bool,
) -> None:
    """Promote or abort what is tried by what was observed.

    Exits with 3 if it is not promoted: aborted, or not asked enough yet.

    \f
    Raises:
        click.exceptions.Exit: With 3 if it is not promoted.
    """
    gate = CanaryGate(
        min_requests=min_requests,
        max_error_share=max_error_share,
        max_time_ratio=max_time_ratio,
        min_agreement=min_agreement,
    )
    verdict = _deployer(workspace).judge_canary(name, gate)
    if json_output:
        as_json(verdict)
    else:
        click.echo(f"{verdict.decision}: {'; '.join(verdict.reasons)}")
    if verdict.decision != "promote":
        raise click.exceptions.Exit(3)
