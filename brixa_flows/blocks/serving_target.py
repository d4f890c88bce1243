"""The block of a serving target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from pydantic import Field

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.errors import DeploymentError, DeploymentNotFoundError

if TYPE_CHECKING:
    from brixa_flows.deployment import ModelDeployer
    from brixa_flows.registry import ModelRegistry

__all__ = ["BrixaServingTarget"]


class BrixaServingTarget(Block):
    """Where versions are served, by how many replicas of which size.

    Example:
        Load a stored target and serve what is in production there:
        ```python
        from brixa_flows.blocks import BrixaRegistry
        from brixa_flows.blocks import BrixaServingTarget

        registry = BrixaRegistry.load("BLOCK_NAME").open()
        target = BrixaServingTarget.load("BLOCK_NAME")
        print(target.deploy(registry, "flights-delay", "production", "flights-delay"))
        ```
    """

    _block_type_name = "Brixa Serving Target"
    _block_type_slug = "brixa-serving-target"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    engine: str = Field(
        "local",
        min_length=1,
        description="Serving engine; local runs replicas on the worker.",
    )
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that new deployments bind; each finds a free port and "
        "keeps it.",
    )
    replicas: int = Field(
        0,
        ge=0,
        description="How many processes serve a deployment; 0 leaves as many as it has, "
        "and gives a new one BRXA_DEFAULT_REPLICAS.",
    )
    cpu: str = Field(
        "",
        description="Cores of a replica, such as 1 or 500m; empty leaves what it has.",
    )
    memory: str = Field(
        "", description="Memory of a replica, such as 2Gi; empty leaves what it has."
    )
    gpu: int = Field(
        0, ge=0, description="Whole GPUs of a replica; 0 leaves what it has."
    )
    ready_timeout_seconds: float = Field(
        180.0, gt=0, description="How long a version may take to load and to answer."
    )

    def deployer(self, registry: ModelRegistry) -> ModelDeployer:
        """The deployer for this target."""
        from brixa_flows.deployment import ModelDeployer

        return ModelDeployer(
            registry,
            engine=self.engine,
            host=self.host,
            ready_timeout_seconds=self.ready_timeout_seconds,
        )

    def deploy(
        self, registry: ModelRegistry, name: str, version: str, deployment: str
    ) -> str:
        """Serve a version; returns when it answers, the old one serves until then.

        Args:
            registry: Where the version is.
            name: Model.
            version: Version, stage, alias or constraint.
            deployment: Name of the deployment, made or upgraded.

        Returns:
            What is served where, as a sentence.

        Raises:
            DeploymentError: If it does not become ready; the old one serves on.
        """
        deployer = self.deployer(registry)
        done, message = deployer.deploy(
            model_name=name,
            version=version,
            name=deployment,
            replicas=self.replicas or None,
            resources=self._resources(deployer, deployment),
        )
        if not done:
            raise DeploymentError(message, deployment=deployment)
        return message

    def is_met(
        self, deployer: ModelDeployer, name: str, version: str, deployment: str
    ) -> bool:
        """Whether a deployment serves a version as this target wants it, and is well.

        Args:
            deployer: What :meth:`deployer` gave.
            name: Model.
            version: Exact version.
            deployment: Name of the deployment.
        """
        try:
            present = deployer.config(deployment)
        except DeploymentNotFoundError:
            return False
        wanted = self._resources(deployer, deployment)
        return (
            (present.model_name, present.version) == (name, version)
            and self.replicas in (0, present.replicas)
            and wanted in (None, present.resources.model_dump())
            and deployer.status(deployment).healthy
        )

    def _resources(
        self, deployer: ModelDeployer, deployment: str
    ) -> dict[str, str | int] | None:
        asked = {"cpu": self.cpu, "memory": self.memory, "gpu": self.gpu}
        given = {resource: amount for resource, amount in asked.items() if amount}
        if not given:
            return None
        try:
            present = deployer.config(deployment).resources.model_dump()
        except DeploymentNotFoundError:
            present = {}
        return {**present, **given}
