"""Which storage node a URI or the settings mean."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from brixa_flows.errors import SettingsError, StorageError
from brixa_flows.plugins import STORAGE_NODES
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.base import StorageNode

__all__ = ["open_storage"]

_TYPES = {"file": "local", "gs": "gcs", "az": "azure"}
"""Storage type by URI scheme, where they differ."""


def open_storage(
    uri: str | Path | None = None, settings: BrixaSettings | None = None
) -> StorageNode:
    """Open a storage node.

    Args:
        uri: A folder, ``file:///folder``, ``memory://``, or a URI whose scheme is the
            type of an installed node. ``None`` takes the settings'.
        settings: Where the storage is without a URI; ``None`` reads the environment
            (``BRXA_STORAGE_TYPE``, ``BRXA_STORAGE_PATH``).

    Raises:
        UnknownPluginError: If there is no such type of storage; lists the known ones.
        MissingExtraError: If the type's library is not installed.
        SettingsError: If storage type and path of the settings contradict each other.
        StorageError: If the storage can't be opened.
    """
    if uri is not None:
        if not str(uri).strip():
            raise StorageError("no storage is named; give a folder or a URI")
        return _open(_type_of(str(uri)), str(uri))
    settings = settings or BrixaSettings.load()
    kind, path = settings.storage_type, settings.storage_path
    if kind == "memory":
        return _open(kind, "memory://")
    if _type_of(path) != kind:
        raise SettingsError(
            "BRXA_STORAGE_PATH",
            f"= {path!r} is a place of type {_type_of(path)!r}, but BRXA_STORAGE_TYPE "
            f"is {kind!r}; change one of the two",
        )
    return _open(kind, path)


def _type_of(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    return _TYPES.get(scheme.lower(), scheme.lower()) if separator else "local"


def _open(kind: str, uri: str) -> StorageNode:
    node_type = STORAGE_NODES.load(kind)
    node: StorageNode = node_type(_folder(uri) if kind == "local" else uri)
    return node


def _folder(uri: str) -> str:
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise StorageError(f"{uri!r} names no local folder; write file:///FOLDER")
    return unquote(parts.path)
