"""From one config of a deployment to the next: the engine first, then what is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brixa_flows.deployment.config import DeploymentConfig, check_reach
from brixa_flows.deployment.engines.base import EngineContext, Release, ServingEngine
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import BrixaError
from brixa_flows.plugins import SERVING_ENGINES

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["Rollout"]

_CHANGES_FOLLOWED = 5


class Rollout:
    """Has engines serve configs, and writes down those that they serve.

    Args:
        registry: Where the models are.
        store: Where deployments are kept.
        ready_timeout_seconds: How long a version may take to load and warm up.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: DeploymentStore,
        ready_timeout_seconds: float,
    ) -> None:
        self._registry = registry
        self._store = store
        self._ready_timeout_seconds = ready_timeout_seconds

    def engine(self, name: str) -> ServingEngine:
        """The engine of that name."""
        engine: ServingEngine = SERVING_ENGINES.load(name)(
            EngineContext(
                self._store,
                self._registry.storage.uri,
                self._registry.settings,
                self._ready_timeout_seconds,
            )
        )
        return engine

    def apply(self, config: DeploymentConfig, etag: str | None) -> DeploymentConfig:
        """Serve a config, then write it down over the one with that etag.

        Raises:
            InvalidDeploymentError: If others could reach it without a key.
            DeploymentError: If it did not become ready, or somebody else was faster.
        """
        check_reach(config)
        config = self._start(config)
        self.keep(config, etag)
        return config

    def keep(self, config: DeploymentConfig, etag: str | None) -> None:
        """Write down what is served; if that fails, serve what is written.

        Raises:
            DeploymentError: If somebody else was faster.
            StorageError: If it can't be written.
        """
        try:
            self._store.put(config, etag)
        except BrixaError:
            self._return_to_what_is_wanted(config.name)
            raise

    def _start(self, config: DeploymentConfig) -> DeploymentConfig:
        recorded, canary = self._registry.tracking.recorded_digest, config.canary
        release = Release(
            recorded(config.model_name, config.version),
            recorded(canary.model_name, canary.version) if canary else None,
        )
        return self.engine(config.engine).apply(config, release)

    def _return_to_what_is_wanted(self, name: str) -> None:
        """Serve what ``config.json`` says, until nobody changes it meanwhile.

        Where there is none, the engine ends by itself what nobody wants.
        """
        found = self._store.find(name)
        for _ in range(_CHANGES_FOLLOWED):
            if found is None:
                return
            self._start(found[0])
            before, found = found, self._store.find(name)
            if found == before:
                return
