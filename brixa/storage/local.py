"""A folder as a storage node."""

from brixa_flows.storage.local import LocalStorageNode

__all__ = ["LocalStorageNode"]
