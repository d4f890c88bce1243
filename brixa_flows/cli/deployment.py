"""``brixa deployment``: versions behind endpoints on this machine."""

from __future__ import annotations

from typing import Any

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    print_folded,
    print_table,
)
from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DeploymentError, some_of
from brixa_flows.refs import ModelRef

__all__ = ["deployment"]


@click.group()
def deployment() -> None:
    """Serve versions over REST, and look after what is served."""


def _deployer(workspace: Workspace) -> ModelDeployer:
    return ModelDeployer(workspace.registry, workspace.storage)


@deployment.command("create")
@click.argument("ref", type=MODEL_REF)
@click.option("--name", required=True, help="Name of the deployment.")
@click.option("--replicas", type=int, help="Processes that serve it.")
@click.option("--cpu", help="CPU cores of a replica, such as 1 or 500m.")
@click.option("--memory", help="Memory of a replica, such as 2Gi.")
@click.option("--gpu", type=int, help="GPUs of a replica.")
@click.option("--env", "env_vars", multiple=True, metavar="KEY=VALUE")
@json_option
@click.pass_obj
def create(
    workspace: Workspace,
    ref: ModelRef,
    name: str,
    replicas: int | None,
    cpu: str | None,
    memory: str | None,
    gpu: int | None,
    env_vars: tuple[str, ...],
    json_output: bool,
) -> None:
    """Deploy a version, or upgrade the deployment of that name.

    \f
    Raises:
        DeploymentError: If the deployment did not become ready.
    """
    given: dict[str, Any] = {"cpu": cpu, "memory": memory, "gpu": gpu}
    deployer = _deployer(workspace)
    success, message = deployer.deploy(
        model_name=ref.name,
        version=workspace.registry.resolve(ref.name, ref.spec),
        name=name,
        replicas=replicas,
        resources={key: item for key, item in given.items() if item is not None}
        or None,
        env_vars=dict(_pair(item) for item in env_vars) or None,
    )
    if not success:
        raise DeploymentError(message)
    if json_output:
        as_json(deployer.status(name))
    else:
        click.echo(message)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--env")
    return key, value


@deployment.command("list")
@json_option
@click.pass_obj
def list_command(workspace: Workspace, json_output: bool) -> None:
    """List the deployments and how they are."""
    deployer = _deployer(workspace)
    found = [deployer.status(name) for name in deployer.list()]
    if not found:
        workspace.say_none("deployments")
    _print(found, json_output)


@deployment.command("status")
@click.argument("name")
@json_option
@click.pass_obj
def status(workspace: Workspace, name: str, json_output: bool) -> None:
    """Show how one deployment is."""
    found = _deployer(workspace).status(name)
    if json_output:
        as_json(found)
    else:
        _print([found], json_output)


def _print(found: list[Any], json_output: bool) -> None:
    if json_output:
        as_json(found)
        return
    print_table(
        "Deployments",
        ("name", "serves", "state", "ready", "endpoint"),
        (
            (
                item.name,
                f"{item.model_name} {item.version}",
                item.state,
                f"{item.ready_replicas} of {item.desired_replicas}",
                item.endpoint,
            )
            for item in found
        ),
    )
    for item in found:
        if item.last_error:
            print_folded(f"last error of {item.name}: {item.last_error}")


@deployment.command("scale")
@click.argument("name")
@click.argument("replicas", type=int)
@click.pass_obj
def scale(workspace: Workspace, name: str, replicas: int) -> None:
    """Change the number of replicas, with no restart."""
    _deployer(workspace).scale(name, replicas)
    click.echo(f"{name} has {replicas} replicas")


@deployment.command("rollback")
@click.argument("name")
@click.pass_obj
def rollback(workspace: Workspace, name: str) -> None:
    """Return to the previous configuration."""
    deployer = _deployer(workspace)
    deployer.rollback(name)
    click.echo(f"{name} serves {deployer.status(name).version} again")


@deployment.command("delete")
@click.argument("name")
@click.pass_obj
def delete(workspace: Workspace, name: str) -> None:
    """Stop a deployment and forget it."""
    _deployer(workspace).delete(name)
    click.echo(f"deleted {name}", err=True)


@deployment.command("up")
@click.pass_obj
def up(workspace: Workspace) -> None:
    """Start again what should be running, after a reboot for example.

    \f
    Raises:
        DeploymentError: If one of them did not become ready.
    """
    outcomes = _deployer(workspace).up()
    if not outcomes:
        workspace.say_none("deployments")
    for _, message in outcomes.values():
        click.echo(message)
    failed = [name for name, (success, _) in outcomes.items() if not success]
    if failed:
        raise DeploymentError(
            f"not ready: {some_of(failed)}; look at `brixa deployment status NAME`"
        )
