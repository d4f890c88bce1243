"""Rolling a version out."""

from __future__ import annotations

from prefect import get_run_logger

from brixa_flows.outbox import Owed, deployed
from brixa_flows.registry.facts.metadata import Stage
from brixa_flows.tasks.opening import load_target, open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["is_in_stage", "roll_out"]


@remote_task("roll {name} {version} out", timeout_seconds=None)
def roll_out(
    registry: str,
    name: str,
    version: str,
    deployment: str,
    target: str = "",
    port: int = 0,
    grpc_port: int = 0,
) -> Owed:
    """Serve a version; returns when it answers, the old one serves until then.

    One that is served so already is left alone.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        deployment: Name of the deployment, made or upgraded.
        target: Name of the serving target's block; empty is that of the settings.
        port: Of HTTP for a new deployment; 0 is that of the target, else a free one.
        grpc_port: The same for gRPC.

    Returns:
        The event: where it answers and what it replaced.

    Raises:
        DeploymentError: If it does not become ready.
    """
    opened = open_registry(registry)
    serving = load_target(target).at_ports(port, grpc_port)
    deployer = serving.deployer(opened)
    if serving.is_met(deployer, name, version, deployment):
        get_run_logger().info("%s serves %s %s already", deployment, name, version)
    else:
        get_run_logger().info(serving.deploy(opened, name, version, deployment))
    return deployed(deployer, deployment)


@remote_task("is {name} {version} in {stage}")
def is_in_stage(registry: str, name: str, version: str, stage: Stage) -> bool:
    """Whether a version is in a stage now: an event may come late.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        stage: The stage.
    """
    holders = open_registry(registry).list_versions(name, stage=stage)
    found = version in {str(holder.version) for holder in holders}
    get_run_logger().info(
        "%s %s is %s %s", name, version, "in" if found else "no longer in", stage
    )
    return found
