"""What a serving engine is: it makes the observed state follow the desired one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from brixa_flows.deployment.config import DeploymentConfig
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.settings import BrixaSettings

__all__ = ["EngineContext", "Release", "ServingEngine"]


@dataclass(frozen=True)
class EngineContext:
    """What an engine is made with.

    Attributes:
        store: Where deployments are kept; the engine writes ``status.json`` there.
        model_storage_uri: Storage that replicas load models from.
        settings: Where the registry lies in it, trust policy, log level.
        ready_timeout_seconds: How long a version may take to become ready.
    """

    store: DeploymentStore
    model_storage_uri: str
    settings: BrixaSettings
    ready_timeout_seconds: float = 180.0


@dataclass(frozen=True)
class Release:
    """The bytes that replicas may serve.

    Attributes:
        digest: What the tracking backend recorded when the version was saved, looked
            up by the deployer; a replica refuses files with any other. It is handed
            from process to process and never read from the storage that it judges.
        canary_digest: The same of the canary.
    """

    digest: str | None
    canary_digest: str | None = None


class ServingEngine(Protocol):
    """Runs deployments.

    A call returns when what it asks for is so, or raises ``DeploymentError`` with one
    sentence; what was serving before then serves on. Calls for one deployment from
    many threads or processes happen one after the other.
    """

    def __init__(self, context: EngineContext) -> None:
        """Make an engine; nothing is started."""
        ...

    def apply(self, config: DeploymentConfig, release: Release) -> DeploymentConfig:
        """Serve what ``config`` says, with no failed request on the way.

        Returns:
            The config with what the engine chose (the port).

        Raises:
            DeploymentError: If it did not become ready; the state before is kept.
        """
        ...

    def scale(self, config: DeploymentConfig) -> None:
        """Have ``config.replicas`` replicas of what is served, with no restart.

        Raises:
            DeploymentError: If they did not become ready or nothing is served.
        """
        ...

    def status(self, config: DeploymentConfig) -> DeploymentStatus:
        """What is observed right now."""
        ...

    def endpoint(self, config: DeploymentConfig, protocol: str) -> str:
        """Address that clients of ``protocol`` use.

        Raises:
            DeploymentError: If the engine does not speak it.
        """
        ...

    def delete(self, name: str) -> None:
        """Stop serving after the requests in flight; nothing there is no error."""
        ...
