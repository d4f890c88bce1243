"""The block of a storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from pydantic import Field

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.settings import BrixaSettings

if TYPE_CHECKING:
    from brixa_flows.storage import StorageNode

__all__ = ["BrixaStorage"]


class BrixaStorage(Block):
    """Where files of models, deployments and the registry's journal are kept.

    Example:
        Load a stored storage and look what is there:
        ```python
        from brixa_flows.blocks import BrixaStorage

        storage = BrixaStorage.load("BLOCK_NAME")
        print([found.key for found in storage.open().list("models")])
        ```
    """

    _block_type_name = "Brixa Storage"
    _block_type_slug = "brixa-storage"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    path: str = Field(
        "./data",
        description="Root of the storage: a folder that every worker sees, or a URI of "
        "an installed storage node, whose scheme tells its kind.",
    )

    @classmethod
    def from_settings(cls, settings: BrixaSettings) -> BrixaStorage:
        """The storage that the environment describes.

        A folder becomes absolute: workers run in folders of their own.
        """
        path = settings.storage_path
        if settings.storage_type == "local" and "://" not in path:
            path = str(Path(path).expanduser().resolve())
        return cls(path=path)

    def open(self, settings: BrixaSettings | None = None) -> StorageNode:
        """Open it.

        Raises:
            BrixaError: If there is no such kind of storage, or it can't be opened.
        """
        from brixa_flows.storage import open_storage

        return open_storage(self.path, settings)
