"""The block of a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prefect.blocks.core import Block
from pydantic import Field

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.blocks.backend import BrixaMlflowBackend
from brixa_flows.blocks.storage import BrixaStorage
from brixa_flows.settings import BrixaSettings

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["BrixaRegistry"]


class BrixaRegistry(Block):
    """Where a model registry keeps its files and its tracking data.

    Example:
        Load a stored registry and the model in production:
        ```python
        from brixa_flows.blocks import BrixaRegistry

        block = BrixaRegistry.load("BLOCK_NAME")
        model = block.open().load_model("flights-delay", "production")
        ```
    """

    _block_type_name = "Brixa Registry"
    _block_type_slug = "brixa-registry"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    # Without a description and with the title of its class: with another one, Prefect's
    # form asks for JSON instead of offering the documents that are there.
    storage: BrixaStorage
    backend: BrixaMlflowBackend = Field(default_factory=BrixaMlflowBackend)
    model_registry_path: str = Field(
        "models", description="Folder of the registry below the storage root."
    )
    deployments_path: str = Field(
        "deployments", description="Folder of deployments below the registry's."
    )
    trust_policy: Literal["default", "strict", "open"] = Field(
        "default", description="What may be loaded that can run code."
    )

    @classmethod
    def from_settings(cls, settings: BrixaSettings) -> BrixaRegistry:
        """The registry that the environment describes."""
        return cls(
            storage=BrixaStorage.from_settings(settings),
            backend=BrixaMlflowBackend.from_settings(settings),
            model_registry_path=settings.model_registry_path,
            deployments_path=settings.deployments_path,
            trust_policy=settings.trust_policy,
        )

    def open(self) -> ModelRegistry:
        """Open the registry; its backends are touched on first use.

        Raises:
            BrixaError: If the storage or the MLflow backend can't be used.
        """
        from brixa_flows.registry import ModelRegistry
        from brixa_flows.tracking import open_store

        settings = BrixaSettings.load().model_copy(
            update={
                "storage_path": self.storage.path,
                "model_registry_path": self.model_registry_path,
                "deployments_path": self.deployments_path,
                "trust_policy": self.trust_policy,
            }
        )
        storage = self.storage.open(settings)
        tracking_uri, registry_uri = self.backend.addresses()
        tracking = None
        if registry_uri:
            root = getattr(storage, "root", None)
            tracking = open_store(
                tracking_uri,
                registry_uri=registry_uri,
                storage_root=root if isinstance(root, Path) else None,
                registry_folder=self.model_registry_path,
            )
        return ModelRegistry(
            storage,
            tracking_uri=tracking_uri or None,
            tracking=tracking,
            settings=settings,
        )
