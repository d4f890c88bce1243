"""Keys of a deployment: given, listed and revoked while it serves."""

from __future__ import annotations

from datetime import UTC, datetime

from brixa_flows.deployment.access import (
    ApiKey,
    check_key_name,
    make_keys,
    new_api_key,
)
from brixa_flows.deployment.config import DeploymentConfig, check_reach
from brixa_flows.deployment.rollout import Rollout
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import DeploymentError, some_of

__all__ = ["KeyedDeployments"]


class KeyedDeployments:
    """The part of a deployer that lets callers in; see :class:`ModelDeployer`."""

    _store: DeploymentStore
    _rollout: Rollout

    def keys(self, name: str) -> tuple[ApiKey, ...]:
        """Who may ask a deployment: names and hashes, as nobody keeps the keys.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
        """
        return self._store.get(name)[0].api_keys

    def add_key(self, name: str, key_name: str, key: str | None = None) -> str:
        """Let somebody in, with no restart; the first key shuts everybody else out.

        Args:
            name: Name of the deployment.
            key_name: Whose key it is; one of that name is replaced.
            key: The key; a new one is made by default.

        Returns:
            The key. It is kept nowhere, so this is the only time it can be read.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            InvalidDeploymentError: If the name or key can't be one.
            DeploymentError: If somebody else changed the deployment meanwhile.
        """
        config, etag = self._store.get(name)
        text = new_api_key() if key is None else key
        now = datetime.now(UTC)
        keys = make_keys(config.api_keys, {check_key_name(key_name): text}, now)
        self._keep_keys(config, etag, keys, now)
        return text

    def revoke_key(self, name: str, key_name: str) -> None:
        """Let nobody in by a key any more; when this returns no replica does.

        Without its last key the deployment answers nobody, until it gets one or
        :meth:`open_to_all` is called.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            DeploymentError: If it has no such key, or somebody else changed it
                meanwhile.
        """
        config, etag = self._store.get(name)
        kept = tuple(key for key in config.api_keys if key.name != key_name)
        if len(kept) == len(config.api_keys):
            names = some_of(key.name for key in config.api_keys) or "none"
            raise DeploymentError(
                f"the deployment {name!r} has no key {str(key_name)[:64]!r}; it has {names}"
            )
        self._keep_keys(config, etag, kept, datetime.now(UTC), shut=True)

    def open_to_all(self, name: str) -> None:
        """Let everybody in who reaches a deployment; its keys are forgotten.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            InvalidDeploymentError: If others than this machine reach it.
            DeploymentError: If somebody else changed it meanwhile.
        """
        config, etag = self._store.get(name)
        self._keep_keys(config, etag, (), datetime.now(UTC))

    def _keep_keys(
        self,
        config: DeploymentConfig,
        etag: str,
        keys: tuple[ApiKey, ...],
        now: datetime,
        *,
        shut: bool = False,
    ) -> None:
        changes = {"api_keys": keys, "shut": shut, "updated_at": now}
        changed = config.model_copy(update=changes)
        check_reach(changed)
        if self._rollout.engine(config.engine).status(config).state == "stopped":
            self._store.put(changed, etag)
        else:
            self._rollout.apply(changed, etag)
