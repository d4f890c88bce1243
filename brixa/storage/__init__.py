"""Where the registry keeps its files."""

from brixa_flows.storage import StorageNode, StoredObject, open_storage

__all__ = ["StorageNode", "StoredObject", "open_storage"]
