"""``brixa deployment``: versions behind endpoints on this machine."""

from __future__ import annotations

from typing import Any

import click

from brixa_flows.cli.deployment_canary import abort, canary, judge, promote
from brixa_flows.cli.deployment_keys import keys
from brixa_flows.cli.deployment_status import list_command, status
from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
)
from brixa_flows.deployment import ModelDeployer, ServingProtocol, new_api_key
from brixa_flows.errors import DeploymentError, some_of
from brixa_flows.refs import ModelRef

__all__ = ["deployment"]


@click.group()
def deployment() -> None:
    """Serve versions over REST or gRPC, and look after what is served."""


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
@click.option(
    "--autoscale",
    metavar="MIN-MAX",
    help="Replicas that CPU use may choose between, such as 1-4; none ends it.",
)
@click.option(
    "--protocol",
    type=click.Choice(["rest", "grpc", "both"]),
    help="What predictions are asked by (rest).",
)
@click.option("--target-cpu", type=int, help="Percent of --cpu to aim at (80).")
@click.option(
    "--request-log",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Share of the requests to keep as Parquet; 0 ends it.",
)
@click.option(
    "--request-log-size", metavar="SIZE", help="Room for them, such as 10Gi (1Gi)."
)
@click.option("--host", help="Address that a new deployment binds (127.0.0.1).")
@click.option("--port", type=int, help="Port of a new deployment (a free one).")
@click.option("--grpc-port", type=int, help="The same for gRPC.")
@click.option(
    "--api-key",
    "key_names",
    multiple=True,
    metavar="WHO",
    help="Make a key for somebody and print it, this once.",
)
@click.option("--certificate", metavar="FILE", help="PEM file to serve HTTPS with.")
@click.option("--certificate-key", metavar="FILE", help="PEM file of its key.")
@click.option("--no-tls", is_flag=True, help="Return to plain HTTP.")
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
    autoscale: str | None,
    target_cpu: int | None,
    request_log: float | None,
    request_log_size: str | None,
    host: str | None,
    port: int | None,
    grpc_port: int | None,
    key_names: tuple[str, ...],
    certificate: str | None,
    certificate_key: str | None,
    no_tls: bool,
    protocol: ServingProtocol | None,
    json_output: bool,
) -> None:
    """Deploy a version, or upgrade the deployment of that name.

    \f
    Raises:
        DeploymentError: If the deployment did not become ready.
        click.UsageError: If options don't go together.
    """
    if json_output and key_names:
        raise click.UsageError("--api-key prints a key; leave one of it and --json out")
    given: dict[str, Any] = {"cpu": cpu, "memory": memory, "gpu": gpu}
    deployer = _binding(workspace, name, host)
    made = {each: new_api_key() for each in key_names}
    success, message = deployer.deploy(
        model_name=ref.name,
        version=workspace.registry.resolve(ref.name, ref.spec),
        name=name,
        replicas=replicas,
        resources={key: item for key, item in given.items() if item is not None}
        or None,
        env_vars=dict(_pair(item) for item in env_vars) or None,
        autoscaling=_autoscaling(autoscale, target_cpu),
        api_keys=made,
        tls=_tls(certificate, certificate_key, no_tls),
        protocol=protocol,
        request_log=_kept(request_log, request_log_size),
        port=port,
        grpc_port=grpc_port,
    )
    if not success:
        raise DeploymentError(message)
    if json_output:
        as_json(deployer.status(name))
    else:
        click.echo(message)
    for each, key in made.items():
        click.echo(f"key {each}, shown this once: {key}")


def _binding(workspace: Workspace, name: str, host: str | None) -> ModelDeployer:
    """A deployer that binds that address, unless the deployment has another one."""
    deployer = _deployer(workspace)
    if host is None:
        return deployer
    if name in deployer.list() and deployer.config(name).host != host:
        raise click.UsageError(
            f"{name} binds {deployer.config(name).host}, and a deployment keeps its "
            "address; delete it first, or choose another name"
        )
    return ModelDeployer(workspace.registry, workspace.storage, host=host)


def _kept(share: float | None, size: str | None) -> dict[str, Any] | None:
    if share is None or not share:
        if size is not None:
            raise click.UsageError("--request-log-size goes with --request-log SHARE")
        return None if share is None else {}
    return {"share": share} | ({} if size is None else {"max_size": size})


def _tls(certificate: str | None, key: str | None, off: bool) -> dict[str, str] | None:
    given = [path for path in (certificate, key) if path is not None]
    if off and given:
        raise click.UsageError("--no-tls ends what --certificate begins; leave one out")
    if len(given) == 1:
        raise click.UsageError("--certificate and --certificate-key go together")
    if certificate is None or key is None:
        return {} if off else None
    return {"certificate": certificate, "key": key}


def _autoscaling(text: str | None, target_cpu: int | None) -> dict[str, Any] | None:
    if text == "none" or text is None:
        if target_cpu is not None:
            raise click.UsageError("--target-cpu goes with --autoscale MIN-MAX")
        return None if text is None else {}
    least, dash, most = text.partition("-")
    if not (dash and least.isdecimal() and most.isdecimal()):
        raise click.BadParameter(
            f"{text!r} is not MIN-MAX, such as 1-4", param_hint="--autoscale"
        )
    limits: dict[str, Any] = {"min_replicas": int(least), "max_replicas": int(most)}
    if target_cpu is not None:
        limits["target_cpu_utilization"] = target_cpu
    return limits


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--env")
    return key, value


for command in (list_command, status, canary, promote, abort, judge, keys):
    deployment.add_command(command)


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
