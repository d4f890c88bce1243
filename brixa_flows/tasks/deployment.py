"""Rolling a version out."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DeploymentError, DeploymentNotFoundError
from brixa_flows.events import ModelDeployed
from brixa_flows.tasks.opening import open_registry

__all__ = ["roll_out"]


@task(task_run_name="roll {name} {version} out", cache_policy=NO_CACHE)
def roll_out(
    registry: str, name: str, version: str, deployment: str, replicas: int
) -> ModelDeployed:
    """Serve a version; returns when it answers, the old one serves until then.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        deployment: Name of the deployment, made or upgraded.
        replicas: How many processes serve it.

    Returns:
        Where it answers and what it replaced.

    Raises:
        DeploymentError: If it does not become ready.
    """
    deployer = ModelDeployer(open_registry(registry))
    replaced = _served_version(deployer, deployment)
    done, message = deployer.deploy(
        model_name=name, version=version, name=deployment, replicas=replicas
    )
    get_run_logger().info(message)
    if not done:
        raise DeploymentError(message, deployment=deployment)
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
