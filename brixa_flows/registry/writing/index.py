"""``_registry.json``: a summary of all models for people and dashboards.

Advisory: nothing in the registry decides by it, and it can be made anew from the
journal at any time. It is updated by compare-and-swap after each change.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Container, Mapping
from typing import Any

from brixa_flows.errors import (
    ModelNotFoundError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
)
from brixa_flows.registry.facts.stages import SINGLE_HOLDER
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader, Standing

__all__ = ["INDEX_PROTOCOL", "rebuild_index", "update_index", "vanished"]

INDEX_PROTOCOL = 1
_ATTEMPTS = 50
_LOG = logging.getLogger(__name__)


def update_index(backends: Backends, reader: Reader, name: str) -> Standing | None:
    """Bring one model's part up to date; all of it where it can't be read.

    A failure is logged and not raised, because what it follows is done already.

    Returns:
        Where the model's versions stand, if that was looked up and it has any.
    """
    standing = None
    key = backends.layout.index_key
    try:
        for _ in range(_ATTEMPTS):
            index, etag = _read(backends, key)
            if index is None:
                rebuild_index(backends, reader)
                return None
            standing = _standing(reader, name)
            entry = _entry(standing)
            if index["models"].get(name) == entry and etag is not None:
                return standing
            if entry is None:
                index["models"].pop(name, None)
            else:
                index["models"][name] = entry
            if _replace(backends, key, index, etag):
                return standing
    except StorageError as err:
        _LOG.warning("the index %s could not be updated: %s", key, err)
        return standing
    _LOG.warning("the index %s is updated by too many at once; recover() mends it", key)
    return standing


def vanished(backends: Backends, names: Container[str]) -> dict[str, dict[str, Any]]:
    """What the index tells of models of which storage has nothing now.

    Args:
        backends: The places.
        names: Of all models that there are.
    """
    try:
        index, _ = _read(backends, backends.layout.index_key)
    except StorageError:  # what is in the way of it is told with what it is
        return {}
    return {
        name: entry
        for name, entry in sorted((index or {"models": {}})["models"].items())
        if name not in names
        and backends.layout.is_model_directory(name)
        and isinstance(entry, dict)
    }


def rebuild_index(
    backends: Backends, reader: Reader, kept: Mapping[str, Any] | None = None
) -> bool:
    """Make the whole index anew; says whether it was wrong.

    Args:
        backends: The places.
        reader: What is known.
        kept: Entries of models that are gone and shall be told of.
    """
    key = backends.layout.index_key
    for _ in range(_ATTEMPTS):
        old, etag = _read(backends, key)
        models = dict(kept or {})
        models |= {each.name: _entry(each) for each in reader.standings()}
        new = {"protocol": INDEX_PROTOCOL, "models": models}
        if new == old:
            return False
        if _replace(backends, key, new, etag):
            return True
    raise StorageError(
        f"{key!r} is changed by too many at once, or is no file; remove it, or retry"
    )


def _read(backends: Backends, key: str) -> tuple[dict[str, Any] | None, str | None]:
    """The index, ``None`` if it is damaged, and its etag, ``None`` if it is missing."""
    empty: dict[str, Any] = {"protocol": INDEX_PROTOCOL, "models": {}}
    try:
        data, etag = backends.storage.read(key)
    except ObjectNotFoundError:
        return empty, None
    try:
        index = json.loads(data)
    except ValueError:
        return None, etag
    good = isinstance(index, dict) and isinstance(index.get("models"), dict)
    return (index if good else None), etag


def _replace(
    backends: Backends, key: str, index: dict[str, Any], etag: str | None
) -> bool:
    data = json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"
    try:
        backends.storage.replace(key, data, etag=etag, durable=False)
    except StaleWriteError:
        return False
    return True


def _standing(reader: Reader, name: str) -> Standing | None:
    try:
        return reader.standing(name)
    except ModelNotFoundError:
        return None


def _entry(standing: Standing | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    latest = standing.latest()
    return {
        "versions": len(standing.claimed),
        "ready": standing.ready_count,
        "latest": None if latest is None else str(latest),
        "stages": {
            stage: str(holder)
            for stage in SINGLE_HOLDER
            if (holder := standing.lifecycle.holder(stage)) is not None
        },
    }
