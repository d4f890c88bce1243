"""Rolling a version out."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DeploymentNotFoundError
from brixa_flows.events import ModelDeployed
from brixa_flows.tasks.opening import load_target, open_registry

__all__ = ["roll_out"]


@task(task_run_name="roll {name} {version} out", cache_policy=NO_CACHE)
def roll_out(
    registry: str, name: str, version: str, deployment: str, target: str = ""
) -> ModelDeployed:
    """Serve a version; returns when it answers, the old one serves until then.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        deployment: Name of the deployment, made or upgraded.
        target: Name of the serving target's block; empty is that of the settings.

    Returns:
        Where it answers and what it replaced.

    Raises:
        DeploymentError: If it does not become ready.
    """
    opened, serving = open_registry(registry), load_target(target)
    deployer = serving.deployer(opened)
    replaced = _served_version(deployer, deployment)
    get_run_logger().info(serving.deploy(opened, name, version, deployment))
    return ModelDeployed(
        name=name,
        version=version,
        deployment=deployment,
        endpoint=deployer.get_endpoint(deployment),
        replaced=replaced,
    )


def _served_version(deployer: ModelDeployer, deployment: str) -> str:
    try:
        return deployer.status(deployment).version
    except DeploymentNotFoundError:
        return ""
