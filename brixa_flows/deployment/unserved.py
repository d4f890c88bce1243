"""Deployments that are wanted and that nobody serves: told, and served again."""

from __future__ import annotations

import contextlib
import platform
from typing import TYPE_CHECKING, NamedTuple

from brixa_flows.deployment.config import DeploymentConfig
from brixa_flows.deployment.rollout import Rollout
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import BrixaError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ServedAgain", "UnservedDeployments"]


class ServedAgain(NamedTuple):
    """What came of serving a deployment again.

    Attributes:
        name: Name of the deployment.
        served: Whether it answers now.
        message: One sentence about it.
        is_news: Whether the last try ended otherwise; people are told once.
    """

    name: str
    served: bool
    message: str
    is_news: bool


class UnservedDeployments:
    """The part of a deployer for after a crash; see :class:`ModelDeployer`."""

    _store: DeploymentStore
    _rollout: Rollout

    def up(self) -> dict[str, tuple[bool, str]]:
        """Serve everything that is wanted and not served, as after a reboot.

        Returns:
            For each deployment whether it is served, and one sentence.
        """
        return {name: self._up(name) for name in self._store.names()}

    def unserved(self) -> dict[str, str]:
        """Why nobody serves what is wanted, by the name of the deployment.

        What was last served on another machine is left to that one.
        """
        told = {}
        for name in self._store.names():
            try:
                status = self._seen(name)
            except BrixaError as err:
                told[name] = err.message
            else:
                elsewhere = status.machine not in ("", platform.node())
                if status.state == "stopped" and not elsewhere:
                    told[name] = status.last_error
        return told

    def serve_again(self) -> list[ServedAgain]:
        """Serve again what was served on this machine until its supervisor was killed.

        What another machine served may be served there still, so it is left alone.
        """
        return list(self._serve_again())

    def _serve_again(self) -> Iterator[ServedAgain]:
        for name in self._store.names():
            status = self._stopped(name)
            if status is None or status.machine != platform.node():
                continue
            before = self._store.last_status(name)
            served, message = self._up(name)
            if not served:
                failed = status.model_copy(update={"last_error": message})
                self._store.put_status(failed)
            news = served or before is None or before.last_error != message
            yield ServedAgain(name, served, message, news)

    def _stopped(self, name: str) -> DeploymentStatus | None:
        """The status of a deployment that is wanted and stopped."""
        with contextlib.suppress(BrixaError):
            status = self._seen(name)
            return status if status.state == "stopped" else None
        return None

    def _seen(self, name: str) -> DeploymentStatus:
        config, _ = self._store.get(name)
        return self._rollout.engine(config.engine).status(config)

    def _up(self, name: str) -> tuple[bool, str]:
        try:
            config, etag = self._store.get(name)
            if self._seen(name).state != "stopped":
                return True, f"{name} is up already"
            config = self._rollout.apply(config, etag)
        except BrixaError as err:
            if self._is_ready(name):  # somebody else was faster
                return True, f"{name} is up already"
            return False, err.message
        endpoint = self._endpoints(config)
        return True, f"{name} serves {config.model_name} {config.version} at {endpoint}"

    def _is_ready(self, name: str) -> bool:
        with contextlib.suppress(BrixaError):
            return self._seen(name).state == "ready"
        return False

    def _endpoints(self, config: DeploymentConfig) -> str:
        """Where it is asked, for a message."""
        engine = self._rollout.engine(config.engine)
        said = []
        if config.protocol != "grpc":
            said.append(engine.endpoint(config, "rest"))
        if config.protocol != "rest":
            said.append(f"{engine.endpoint(config, 'grpc')} (gRPC)")
        return " and ".join(said)
