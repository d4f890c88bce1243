"""The block of a serving target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.errors import DeploymentError, DeploymentNotFoundError

if TYPE_CHECKING:
    from brixa_flows.deployment import DeploymentConfig, ModelDeployer
    from brixa_flows.registry import ModelRegistry

__all__ = ["BrixaServingTarget"]

_KEY_NAME = "prefect"


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
        description="Address that new deployments bind. Any but 127.0.0.1 needs a key.",
    )
    protocol: Literal["", "rest", "grpc", "both"] = Field(
        "",
        description="What is spoken; empty leaves it as it is, and gives a new "
        "deployment rest.",
    )
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of HTTP, which a new deployment keeps; 0 finds a free one. For "
        "a target of one deployment.",
    )
    grpc_port: int = Field(0, ge=0, le=65535, description="The same for gRPC.")
    api_key: SecretStr = Field(
        SecretStr(""),
        description="Key that deployments let in, by the name of prefect; of it they "
        "keep a hash.",
    )
    certificate: str = Field(
        "",
        description="PEM file on the worker to serve HTTPS with; empty leaves it as it "
        "is.",
    )
    certificate_key: str = Field(
        "", description="PEM file of the certificate's private key on the worker."
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

    def at_ports(self, port: int, grpc_port: int) -> Self:
        """The same with other ports for one deployment; 0 leaves what it says."""
        given = {"port": port, "grpc_port": grpc_port}
        chosen = {field: each for field, each in given.items() if each}
        return self.model_copy(update=chosen)

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
            api_keys=self._keys,
            tls=self._tls,
            protocol=self.protocol or None,
            port=self.port or None,
            grpc_port=self.grpc_port or None,
        )
        if not done:
            raise DeploymentError(message, deployment=deployment)
        return message

    @property
    def _keys(self) -> dict[str, str] | None:
        key = self.api_key.get_secret_value()
        return {_KEY_NAME: key} if key else None

    @property
    def _tls(self) -> dict[str, str] | None:
        if not (self.certificate or self.certificate_key):
            return None
        return {"certificate": self.certificate, "key": self.certificate_key}

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
            and self.protocol in ("", present.protocol)
            and self.port in (0, present.port)
            and self.grpc_port in (0, present.grpc_port)
            and self._is_reached(present)
            and deployer.status(deployment).healthy
        )

    def _is_reached(self, present: DeploymentConfig) -> bool:
        """Whether it takes our key, and is encrypted if it should be."""
        from brixa_flows.deployment.access import make_keys
        from brixa_flows.deployment.tls import read_tls

        keys = make_keys(present.api_keys, self._keys or {}, present.updated_at)
        return keys == present.api_keys and (
            self._tls is None or read_tls(self._tls) == present.tls
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
