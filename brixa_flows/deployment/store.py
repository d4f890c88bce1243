"""Where deployments are kept: ``config.json`` and ``status.json`` of each."""

from __future__ import annotations

from pydantic import ValidationError

from brixa_flows.deployment.config import DeploymentConfig
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.errors import (
    DeploymentError,
    DeploymentNotFoundError,
    ObjectNotFoundError,
    StaleWriteError,
)
from brixa_flows.refs import check_deployment_name
from brixa_flows.storage.base import StorageNode

__all__ = ["DeploymentStore"]

_STATUS_ATTEMPTS = 5


class DeploymentStore:
    """Reads and writes the two files by compare-and-swap.

    Args:
        storage: The node that keeps them.
        prefix: Directory key of all deployments (``models/deployments``).
    """

    def __init__(self, storage: StorageNode, prefix: str) -> None:
        self.storage = storage
        self.prefix = prefix

    def folder(self, name: str) -> str:
        """Directory key of one deployment.

        Raises:
            InvalidNameError: If a deployment can't have that name.
        """
        return f"{self.prefix}/{check_deployment_name(name)}"

    def config_key(self, name: str) -> str:
        """Key of the desired state."""
        return f"{self.folder(name)}/config.json"

    def status_key(self, name: str) -> str:
        """Key of the observed state."""
        return f"{self.folder(name)}/status.json"

    def names(self) -> list[str]:
        """Names of all deployments, sorted."""
        return [
            name
            for name in self.storage.list_directories(self.prefix)
            if self.storage.stat(f"{self.prefix}/{name}/config.json") is not None
        ]

    def find(self, name: str) -> tuple[DeploymentConfig, str] | None:
        """Desired state and its etag, ``None`` if there is no such deployment.

        Raises:
            DeploymentError: If the file can't be understood.
        """
        key = self.config_key(name)
        try:
            data, etag = self.storage.read(key)
        except ObjectNotFoundError:
            return None
        try:
            return DeploymentConfig.model_validate_json(data), etag
        except ValidationError as err:
            raise DeploymentError(
                f"{key} in {self.storage.uri} can't be understood "
                f"({err.errors()[0]['msg']}); delete the deployment and deploy again"
            ) from err

    def get(self, name: str) -> tuple[DeploymentConfig, str]:
        """Desired state and its etag.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
        """
        found = self.find(name)
        if found is None:
            where = f"in {self.storage.uri}"
            raise DeploymentNotFoundError(name, self.names(), where)
        return found

    def engine_of(self, name: str) -> str:
        """Which engine serves it: the default one if its file can't be understood.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
        """
        try:
            return self.get(name)[0].engine
        except DeploymentNotFoundError:
            raise
        except DeploymentError:
            return str(DeploymentConfig.model_fields["engine"].default)

    def put(self, config: DeploymentConfig, etag: str | None) -> str:
        """Write the desired state over the one that was read.

        Returns:
            The new etag.

        Raises:
            DeploymentError: If somebody else changed it meanwhile.
        """
        data = config.model_dump_json(indent=2).encode()
        try:
            return self.storage.replace(self.config_key(config.name), data, etag=etag)
        except StaleWriteError as err:
            raise DeploymentError(
                f"the deployment {config.name!r} was changed by somebody else "
                "meanwhile; look at its status and try again"
            ) from err

    def last_status(self, name: str) -> DeploymentStatus | None:
        """What was last observed, ``None`` if nothing (readable) was."""
        try:
            data, _ = self.storage.read(self.status_key(name))
            return DeploymentStatus.model_validate_json(data)
        except (ObjectNotFoundError, ValidationError):
            return None

    def put_status(self, status: DeploymentStatus) -> None:
        """Write the observed state; the last writer wins.

        Raises:
            StaleWriteError: If others kept writing between read and write.
        """
        key = self.status_key(status.name)
        data = status.model_dump_json(indent=2).encode()
        for attempt in range(1, _STATUS_ATTEMPTS + 1):
            found = self.storage.stat(key)
            try:
                self.storage.replace(key, data, etag=found.etag if found else None)
                return
            except StaleWriteError:
                if attempt == _STATUS_ATTEMPTS:
                    raise

    def remove(self, name: str) -> None:
        """Remove both files."""
        self.storage.delete(self.folder(name))
