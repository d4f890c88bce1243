"""The entry point: global options, the groups, and errors as one sentence."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

import click

from brixa_flows import __version__
from brixa_flows.cli.approve import approve
from brixa_flows.cli.deployment import deployment
from brixa_flows.cli.doctor import doctor
from brixa_flows.cli.drift import drift
from brixa_flows.cli.gate import gate
from brixa_flows.cli.gc import gc
from brixa_flows.cli.key import key
from brixa_flows.cli.lineage import lineage
from brixa_flows.cli.model import model
from brixa_flows.cli.model_judging import compare, evaluate, leaderboard, report
from brixa_flows.cli.model_queries import diff, search
from brixa_flows.cli.model_trust import scan, sign, verify
from brixa_flows.cli.performance import performance
from brixa_flows.cli.predict import predict
from brixa_flows.cli.prefect_commands import automations, demo, init
from brixa_flows.cli.trust import trust
from brixa_flows.cli.workspace import Workspace
from brixa_flows.errors import BrixaError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--storage",
    metavar="URI",
    help="Storage root: a folder or URI. Default: BRXA_STORAGE_PATH, else ./data.",
)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow backend. Default: BRXA_TRACKING_URI, MLFLOW_TRACKING_URI, else sqlite "
    "below the storage.",
)
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
@click.version_option(__version__, prog_name="brixa")
@click.pass_context
def brixa(
    context: click.Context, storage: str | None, tracking_uri: str | None, debug: bool
) -> None:
    """Carry trained models safely to production and watch them there."""
    context.obj = Workspace(storage, tracking_uri)
    if not debug:
        warnings.showwarning = _warn_in_a_line
        logging.getLogger("alembic").setLevel(logging.WARNING)


def _warn_in_a_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if category.__module__.startswith("brixa_flows"):
        click.echo(f"warning: {message}", err=True)


for command in (search, diff, sign, verify, scan):
    model.add_command(command)
for command in (evaluate, compare, leaderboard, report):
    model.add_command(command)
for command in (model, key, trust, deployment, drift, lineage, approve, doctor):
    brixa.add_command(command)
for command in (performance, gate, gc, predict, demo, init, automations):
    brixa.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; the console script's target.

    Args:
        arguments: What follows ``brixa``; ``None`` takes the process's own.

    Raises:
        BrixaError: Only with ``--debug``.
        OSError: Only with ``--debug``.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        brixa.main(args=given, prog_name="brixa", standalone_mode=True)
    except (BrixaError, OSError) as err:
        if "--debug" in given:
            raise
        click.echo(f"error: {_sentence(err)}", err=True)
        sys.exit(1)


def _sentence(err: BrixaError | OSError) -> str:
    if isinstance(err, BrixaError) or err.filename is None:
        return str(err)
    return f"can't use {str(err.filename)!r}: {err.strerror}; name another path"
