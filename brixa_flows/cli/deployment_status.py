"""How deployments are, as a table: once, or for as long as somebody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from brixa_flows.cli.workspace import (
    Workspace,
    as_json,
    json_option,
    print_folded,
    print_table,
)
from brixa_flows.deployment import DeploymentStatus, ModelDeployer, RequestLogStatus
from brixa_flows.errors import BrixaError, DeploymentError, some_of

__all__ = ["list_command", "status"]

_SOON = timedelta(days=14)
_COLUMNS = ("name", "serves", "state", "ready", "endpoint")


@click.command("list")
@json_option
@click.pass_obj
def list_command(workspace: Workspace, json_output: bool) -> None:
    """List the deployments and how they are.

    \f
    Raises:
        DeploymentError: After all others, if some can't be looked at.
    """
    deployer = ModelDeployer(workspace.registry, workspace.storage)
    found, faults = [], []
    for name in deployer.list():
        try:
            found.append(deployer.status(name))
        except BrixaError as err:
            faults.append(f"{name}: {err.message}")
    if not found and not faults:
        workspace.say_none("deployments")
    if json_output:
        as_json(found)
    elif found or not faults:
        _print_all(found)
    if faults:
        raise DeploymentError("; ".join(faults))


@click.command("status")
@click.argument("name")
@click.option("--watch", is_flag=True, help="Show it anew until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
@json_option
@click.pass_obj
def status(
    workspace: Workspace, name: str, watch: bool, every: float, json_output: bool
) -> None:
    """Show how one deployment is.

    \f
    Raises:
        click.UsageError: If it is to be watched as JSON.
    """
    deployer = ModelDeployer(workspace.registry, workspace.storage)
    if watch and json_output:
        raise click.UsageError(
            "--watch shows a table; leave one of --watch, --json out"
        )
    if watch:
        watch_status(lambda: deployer.status(name), _pauses(every))
    elif json_output:
        as_json(deployer.status(name))
    else:
        _print_one(deployer.status(name))


def _print_all(found: Sequence[DeploymentStatus]) -> None:
    rows = [
        (each.name, *(_facts(each)[name] for name in _COLUMNS[1:])) for each in found
    ]
    print_table("Deployments", _COLUMNS, rows)
    for item in found:
        for sentence in _sentences(item):
            print_folded(sentence)


def _print_one(seen: DeploymentStatus) -> None:
    print_table(f"Deployment {seen.name}", ("fact", "value"), _facts(seen).items())
    for sentence in _sentences(seen):
        print_folded(sentence)


def _pauses(seconds: float) -> Iterator[None]:
    while True:
        time.sleep(seconds)
        yield


def watch_status(
    look: Callable[[], DeploymentStatus], pauses: Iterator[None], console: Any = None
) -> None:
    """Show a status that is looked up again after each pause, until Ctrl-C.

    Args:
        look: Looks it up.
        pauses: Returns from its next when it is time; ends when nobody watches.
        console: Where to show it; the terminal if not said.
    """
    from rich.live import Live

    with Live(_picture(look()), console=console, auto_refresh=False) as live:
        try:
            for _ in pauses:
                live.update(_picture(look()), refresh=True)
        except KeyboardInterrupt:
            return


def _picture(seen: DeploymentStatus) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    facts = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    for name, cell in {"deployment": seen.name, **_facts(seen)}.items():
        facts.add_row(Text(name), Text(cell))
    replicas = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("replica", "process", "state", "version", "restarts", "since"):
        replicas.add_column(column)
    for each in seen.replicas:
        cells = (each.slot, each.pid or "", each.state, each.version, each.restarts)
        replicas.add_row(*(Text(str(cell)) for cell in cells), Text(_ago(each.since)))
    return Group(facts, replicas, *map(Text, _sentences(seen)))


def _facts(seen: DeploymentStatus) -> dict[str, str]:
    grpc = {"gRPC endpoint": seen.grpc_endpoint} if seen.grpc_endpoint else {}
    return {
        "serves": f"{seen.model_name} {seen.version}",
        "state": seen.state,
        "since": f"{seen.since:%Y-%m-%d %H:%M:%S} UTC, {_ago(seen.since)} ago",
        "ready": f"{seen.ready_replicas} of {seen.desired_replicas}",
        "restarts": str(seen.restarts),
        "requests": f"{seen.requests_total}, {seen.request_rate:.1f} a second",
        "errors": f"{100 * seen.error_rate:.2f} %",
        "p50, p99": f"{_milliseconds(seen.p50_ms)}, {_milliseconds(seen.p99_ms)}",
        "endpoint": seen.endpoint,
        **grpc,
        "keys": some_of(seen.api_keys)
        or f"none: it answers {'nobody' if seen.shut else 'everybody'}",
        **(
            {"certificate": f"until {seen.tls_expires_at:%Y-%m-%d %H:%M} UTC"}
            if seen.tls_expires_at
            else {}
        ),
        "logs": seen.log_path,
    }


def _sentences(item: DeploymentStatus) -> Iterator[str]:
    if item.canary is not None:
        yield _canary_sentence(item)
    if item.request_log is not None:
        yield _log_sentence(item.name, item.request_log)
    if item.tls_expires_at and item.tls_expires_at - datetime.now(UTC) < _SOON:
        yield (
            f"the certificate of {item.name} ends {item.tls_expires_at:%Y-%m-%d %H:%M} "
            "UTC; renew it, and deploy with the new files"
        )
    if item.last_error:
        yield f"last error of {item.name}: {item.last_error}"


def _log_sentence(name: str, log: RequestLogStatus) -> str:
    return (
        f"{name} keeps {log.share:.3g} of the requests in {log.folder}: "
        f"{log.written_rows} rows in {log.files} files, {log.waiting_rows} wait, "
        f"{log.dropped_rows} dropped, {log.lost_rows} lost"
    )


def _canary_sentence(item: DeploymentStatus) -> str:
    tried = item.canary
    assert tried is not None
    if not tried.shadow:
        return (
            f"{item.name} tries {tried.version} on {tried.share:.3g} of the requests: "
            f"{tried.requests} answered, {tried.errors} failed, "
            f"p99 {_milliseconds(tried.p99_ms)}"
        )
    agreed = "none" if tried.agreement is None else f"{tried.agreement:.2%}"
    return (
        f"{item.name} tries {tried.version} as a shadow: {tried.compared_rows} rows "
        f"compared, {agreed} agree; it failed on {tried.failed_rows} and left out "
        f"{tried.dropped_rows}"
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _ago(moment: datetime) -> str:
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"
