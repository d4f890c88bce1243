"""``brixa doctor``: is everything here that the loop needs."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from brixa_flows.cli.workspace import Workspace, as_json, json_option, print_table
from brixa_flows.errors import BrixaError
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.registry import RecoveryAction

__all__ = ["doctor"]


@dataclass(frozen=True)
class _Finding:
    check: str
    ok: bool
    detail: str


@click.command()
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False),
    default=".",
    help="Folder of prefect.yaml.",
)
@click.option(
    "--fix", is_flag=True, help="Finish or roll back what a crash interrupted."
)
@click.option(
    "--rebuild-tracking",
    is_flag=True,
    help="Make what MLflow lost anew from storage.",
)
@json_option
@click.pass_obj
def doctor(
    workspace: Workspace,
    project: str,
    fix: bool,
    rebuild_tracking: bool,
    json_output: bool,
) -> None:
    """Check settings, storage, MLflow, Prefect and the project file.

    Exits with 1 when one of them is broken. With --fix or --rebuild-tracking the
    registry is repaired instead, and what was done is told; both are safe to repeat,
    beside others at work too.
    """
    if fix or rebuild_tracking:
        registry = workspace.registry
        actions = registry.rebuild_tracking() if rebuild_tracking else []
        actions += registry.recover() if fix else []
        _tell(actions, json_output)
        return
    checks: dict[str, Callable[[], str | list[str]]] = {
        "settings": lambda: _settings(workspace),
        "storage": lambda: _storage(workspace),
        "tracking": lambda: _tracking(workspace),
        "registry": lambda: _registry(workspace),
        "events": lambda: _events(workspace),
        "deployments": lambda: _deployments(workspace),
        "frameworks": _frameworks,
        "prefect server": _prefect_server,
        "prefect.yaml": lambda: _project_file(Path(project)),
        "brixa.toml": lambda: _training_rules(Path(project)),
    }
    findings = [each for name, check in checks.items() for each in _run(name, check)]
    if json_output:
        as_json([asdict(finding) for finding in findings])
    else:
        print_table(
            "brixa doctor",
            ("check", "", "detail"),
            (
                (item.check, "ok" if item.ok else "BROKEN", item.detail)
                for item in findings
            ),
        )
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def _run(name: str, check: Callable[[], str | list[str]]) -> list[_Finding]:
    """What a check found: one thing that is well, or each that is not."""
    try:
        told = check()
    except BrixaError as err:
        return [_Finding(name, False, str(err))]
    if isinstance(told, str):
        return [_Finding(name, True, told)]
    return [_Finding(name, False, problem) for problem in told]


def _tell(actions: list[RecoveryAction], json_output: bool) -> None:
    """Print what was repaired; exits with 1 if something is left to do."""
    if json_output:
        as_json(actions)
    for action in () if json_output else actions:
        click.echo(str(action))
    left = sum(not action.repaired for action in actions)
    rest = f", {left} left for a person to look at" if left else ""
    click.echo(f"{len(actions) - left} repaired{rest}", err=True)
    if left:
        raise click.exceptions.Exit(1)


def _settings(workspace: Workspace) -> str:
    given = sorted(name for name in os.environ if name.startswith("BRXA_"))
    policy = workspace.settings.trust_policy
    return f"trust policy {policy}; set: {', '.join(given) or 'none'}"


def _storage(workspace: Workspace) -> str:
    node = workspace.storage
    key = (
        f"{workspace.settings.model_registry_path}/_meta/doctor-{secrets.token_hex(8)}"
    )
    etag = node.create(key, b"first")
    try:
        node.replace(key, b"second", etag=etag)
    finally:
        node.delete(key)
    return f"{node.uri} takes create-once and compare-and-swap writes"


def _tracking(workspace: Workspace) -> str:
    tracking = workspace.registry.tracking
    tracking.ping()
    return f"{tracking.uri} answers"


def _registry(workspace: Workspace) -> str | list[str]:
    registry = workspace.registry
    findings = registry.check()
    if findings:
        return findings
    return f"{len(registry.list_models())} models; MLflow shows what the journal says"


def _events(workspace: Workspace) -> str | list[str]:
    from brixa_flows.outbox import Outbox, Reconciler

    registry = workspace.registry
    untold = Reconciler(registry, lambda payload, event_id: None).untold()
    if untold:
        return [str(each) for each in untold]
    waiting = len([*Outbox(registry).pending()])
    return f"{waiting} wait to be seen on the server; none that can't be told"


def _deployments(workspace: Workspace) -> str | list[str]:
    from brixa_flows.deployment import ModelDeployer

    deployer = ModelDeployer(workspace.registry, workspace.storage)
    stopped = deployer.unserved()
    if stopped:
        return list(stopped.values())
    return f"{len(deployer.list())} deployments; none that is stopped here"


def _frameworks() -> str:
    """Which libraries are installed, told without importing them."""
    present: list[str] = []
    absent: list[str] = []
    for plugin in SERIALIZERS.all().values():
        library = (*plugin.handles, plugin.extra or "pickle")[0].partition(".")[0]
        found = importlib.util.find_spec(library) is not None
        (present if found else absent).append(plugin.name)
    return f"here: {', '.join(present)}; not installed: {', '.join(absent) or 'none'}"


def _prefect_server() -> str:
    from brixa_flows.cli.prefect_checks import check_server

    return check_server()


def _project_file(folder: Path) -> str:
    from brixa_flows.cli.prefect_checks import check_project

    return check_project(folder)


def _training_rules(folder: Path) -> str:
    from brixa_flows.cli.prefect_checks import check_trainings

    return check_trainings(folder)
