"""What proves that a number was taken where its claim is gone.

A claim that somebody removed must not free its number: what was recorded under it would
be told of another model.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    InvalidVersionError,
    UnsafeKeyError,
)
from brixa_flows.registry.facts.numbered_records import KINDS
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import Listings
from brixa_flows.registry.journal.numbers import parsed_version
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Traces"]

_META = "_meta.json"
_ENTRY = ".json"


class Traces:
    """Finds them; for any thread.

    Args:
        storage: Where they are.
        layout: Under which keys.
        listings: Of the storage.
    """

    def __init__(
        self, storage: StorageNode, layout: Layout, listings: Listings
    ) -> None:
        self._storage = storage
        self._layout = layout
        self._listings = listings

    def has(self, name: str, version: ModelVersion, lifecycle: Lifecycle) -> bool:
        """Whether something of a version is there, at a price that is always the same.

        Args:
            name: Model.
            version: Its number.
            lifecycle: Of the model.
        """
        layout = self._layout
        if version in lifecycle.deleted or version in lifecycle.stages:
            return True
        if version in lifecycle.aliases.values() or self._holds_files(name, version):
            return True
        keys = (
            layout.metadata_key(name, version),
            layout.entry_key(name, "quarantine", version),
        )
        return any(map(self._is_there, keys)) or any(
            self._listings.holds_object(layout.records_prefix(name, kind, version))
            for kind in KINDS
        )

    def all(
        self, name: str, lifecycle: Lifecycle, claimed: Container[ModelVersion]
    ) -> set[ModelVersion]:
        """Every version of a model of which something is there.

        Args:
            name: Model.
            lifecycle: Of the model.
            claimed: Versions of which it is known.
        """
        found = _named(lifecycle)
        found |= _versions(self._files(name))
        folders = _versions(self._listings.folders(self._layout.model_prefix(name)))
        found |= {
            version
            for version in folders
            if version not in claimed and self._may_be_its_own(name, version)
        }
        for kind in KINDS:
            with suppress(DamagedArtifactError):  # told with the damaged records
                prefix = self._layout.entries_prefix(name, kind)
                found |= _versions(self._listings.folders(prefix))
        return found

    def _files(self, name: str) -> Iterator[str]:
        for file in self._listings.names(self._layout.model_prefix(name)):
            if file.endswith(_META):
                yield file.removesuffix(_META)
        quarantine = self._layout.entries_prefix(name, "quarantine")
        for file in self._listings.names(quarantine):
            yield file.removesuffix(_ENTRY)

    def _holds_files(self, name: str, version: ModelVersion) -> bool:
        try:
            return self._listings.holds_object(
                self._layout.version_prefix(name, version)
            )
        except DamagedArtifactError:  # something is there
            return True

    def _may_be_its_own(self, name: str, version: ModelVersion) -> bool:
        """Whether a folder may be what was saved under its number, and no copy."""
        try:
            data, _ = self._storage.read(self._layout.manifest_key(name, version))
            core = json.loads(data)["core"]
            own = (core["name"], ModelVersion.parse(core["version"]).core)
        except (BrixaError, ValueError, KeyError, TypeError):
            return True
        return own == (name, version.core)

    def _is_there(self, key: str) -> bool:
        try:
            return self._storage.stat(key) is not None
        except UnsafeKeyError:
            self._listings.names(key.rpartition("/")[0])  # it may be the whole folder
            return True


def _named(lifecycle: Lifecycle) -> set[ModelVersion]:
    """Versions that a change names."""
    named = (*lifecycle.deleted, *lifecycle.stages, *lifecycle.aliases.values())
    return {parsed_version(version.core) for version in named}


def _versions(texts: Iterable[str]) -> set[ModelVersion]:
    found = set()
    for text in texts:
        with suppress(InvalidVersionError):  # what somebody else put there
            found.add(parsed_version(text))
    return found
