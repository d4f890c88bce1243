"""Bytes that are written once and never half: nodes, and how to open one."""

from brixa_flows.storage.base import StorageNode, StoredObject
from brixa_flows.storage.opening import open_storage

__all__ = ["StorageNode", "StoredObject", "open_storage"]
