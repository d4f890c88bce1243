"""Folders that lie where the registry keeps a file, so that it can't be read or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from brixa_flows.registry.reading.backends import Backends

__all__ = ["in_the_way", "told"]

_SUFFIX = ".json"


def in_the_way(backends: Backends, name: str | None) -> list[str]:
    """Keys of folders that have the name of a record.

    Args:
        backends: The places.
        name: The model; ``None`` looks where what belongs to no model is.
    """
    layout = backends.layout
    if name is None:
        return list(_below(backends, layout.meta_prefix))
    found = list(_below(backends, layout.model_prefix(name)))
    journal = layout.journal_prefix(name)
    found += _below(backends, journal)
    for kind in _folders(backends, journal):
        found += _below(backends, f"{journal}/{kind}")
    return found


def told(key: str) -> str:
    """The sentence about a folder that is in the way."""
    return (
        f"a folder is in the way of the file {key}: move it elsewhere, then restore the "
        "file or run brixa doctor --fix, which writes anew what it can"
    )


def _below(backends: Backends, prefix: str) -> Iterator[str]:
    for folder in _folders(backends, prefix):
        if folder.endswith(_SUFFIX):
            yield f"{prefix}/{folder}"


def _folders(backends: Backends, prefix: str) -> Iterable[str]:
    """Those right below; a file system has empty ones too, an object store has not."""
    storage = backends.storage
    found: Iterable[str] = getattr(storage, "folders", storage.list_directories)(prefix)
    return found
