"""The places that every part of the registry works with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from brixa_flows.errors import some_of
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.leases import Leases
from brixa_flows.registry.journal.vouching import keys_of
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing
from brixa_flows.storage.base import StorageNode
from brixa_flows.tracking import TrackingStore, open_store
from brixa_flows.versioning import ModelVersion

__all__ = ["Backends"]


class Backends:
    """Storage, journal and the tracking backend, which is opened on first use.

    Args:
        storage: Where the bytes and the journal are.
        settings: What the environment or the caller said.
        tracking: The backend, already open.
        tracking_uri: Address to open it at; without both, the settings decide.
    """

    def __init__(
        self,
        storage: StorageNode,
        settings: BrixaSettings,
        tracking: TrackingStore | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        self.storage = storage
        self.settings = settings
        self.layout = Layout(settings.model_registry_path, settings.deployments_path)
        self.journal = Journal(storage, self.layout)
        self.leases = Leases(storage, self.layout)
        self._given = tracking
        self._tracking_uri = tracking_uri or settings.tracking_uri

    @property
    def place(self) -> str:
        """Where the registry is, as people write it."""
        return f"{self.storage.uri.rstrip('/')}/{self.layout.root}"

    @property
    def _root(self) -> Path | None:
        """Of the storage, if it is a folder."""
        root = getattr(self.storage, "root", None)
        return root if isinstance(root, Path) else None

    @cached_property
    def keys(self) -> KeyRing:
        """Whose signatures are believed.

        Raises:
            SettingsError: If the keys lie in the storage: who writes there could trust
                himself.
        """
        return keys_of(self.settings, self._root)

    @cached_property
    def tracking(self) -> TrackingStore:
        """The tracking backend.

        Raises:
            SettingsError: If nothing says where it is.
        """
        if self._given is not None:
            return self._given
        return open_store(
            self._tracking_uri,
            storage_root=self._root,
            registry_folder=self.layout.root,
        )

    def lost(self, name: str, versions: Iterable[ModelVersion]) -> str:
        """The sentence about versions that the tracking backend does not have."""
        return (
            f"the MLflow backend at {self.tracking.uri} does not have {name} "
            f"{some_of(map(str, versions))}, which storage has; if that is the right "
            "backend, brixa doctor --rebuild-tracking makes it anew from storage"
        )

    def without_run(self, name: str, version: ModelVersion, run_id: str | None) -> str:
        """The sentence about a version whose run somebody deleted."""
        return (
            f"{name} {version}: its run {run_id} was deleted in the MLflow backend at "
            f"{self.tracking.uri}, with its metrics and the digest that was recorded, so "
            f"nothing can be logged there: mlflow runs restore --run-id {run_id} brings "
            "it back; if it is gone for good, brixa doctor --rebuild-tracking makes "
            "another one from storage"
        )
