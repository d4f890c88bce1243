"""Our own small files in the directory of a saved version, read and checked.

They are compared with the seal, and the model's files by name and size; what is in
those is compared when they are opened, because that means to read all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from brixa_flows.errors import (
    DamagedArtifactError,
    ObjectNotFoundError,
    StorageError,
    some_of,
)
from brixa_flows.registry.facts.damage import damaged_record, why_unreadable
from brixa_flows.registry.facts.metadata import Lineage
from brixa_flows.registry.facts.records import (
    Claim,
    Core,
    MetadataFile,
    Seal,
    first_problem,
)
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.serializers.manifest import MANIFEST_NAME, WRITTEN_BY_MLFLOW
from brixa_flows.storage.base import StorageNode

__all__ = ["LINEAGE_NAME", "Listed", "SealedFiles"]

LINEAGE_NAME = "lineage.json"
_CHANGED = "is not what was saved (sha256)"
_REMOVE = "the version does not load beside it. Remove it"


class Listed(NamedTuple):
    """What ``config.json`` says.

    Attributes:
        core: The immutable core.
        files: What every other file must be, by its path.
    """

    core: Core
    files: Mapping[str, Mapping[str, Any]]


class SealedFiles:
    """Reads them; for any thread.

    Args:
        storage: Where they are.
        layout: Under which keys.
        journal: Seals and ``{version}_meta.json``.
    """

    def __init__(self, storage: StorageNode, layout: Layout, journal: Journal) -> None:
        self._storage = storage
        self._layout = layout
        self._journal = journal

    def core(self, claim: Claim) -> Core:
        """The immutable core of a saved version, from its ``config.json``.

        Raises:
            DamagedArtifactError: If it is not the one that was sealed, or
                ``{version}_meta.json`` tells another story.
        """
        name, version = claim.core.name, claim.core.version
        seal = self._journal.read_seal(name, version)
        file = self._journal.read_metadata(name, version)
        return self.listed(claim, seal, file).core

    def listed(
        self, claim: Claim, seal: Seal | None, file: MetadataFile | None
    ) -> Listed:
        """What ``config.json`` says; raises as :meth:`core`.

        Args:
            claim: Of the version.
            seal: Of the version.
            file: Its ``{version}_meta.json``, if it is there.
        """
        data = self._bytes(claim, MANIFEST_NAME)
        if seal is not None and seal.digest != f"sha256:{_sha256(data)}":
            raise self._damaged(claim, MANIFEST_NAME, _CHANGED)
        content = self._parsed(claim, MANIFEST_NAME, data)
        try:
            core, files = Core.model_validate(content["core"]), content["files"]
            for record in files.values():
                record["size_bytes"]
        except ValidationError as err:
            reason = f"is not the manifest of a version: {first_problem(err)}"
            raise self._damaged(claim, MANIFEST_NAME, reason) from err
        except (KeyError, TypeError, AttributeError, ValueError) as err:
            reason = "is not the manifest of a version"
            raise self._damaged(claim, MANIFEST_NAME, reason) from err
        if file is not None and file.core != core:
            key = self._layout.metadata_key(core.name, core.version)
            reason = f"differs from {MANIFEST_NAME} in what never changes"
            raise damaged_record(key, reason)
        return Listed(core, files)

    def lineage(self, claim: Claim, listed: Listed | None = None) -> Lineage:
        """What went into a saved version.

        Args:
            claim: Of the version.
            listed: What its ``config.json`` says, to compare with.

        Raises:
            DamagedArtifactError: If it can't be read, or is another one.
        """
        record = (listed.files if listed else {}).get(LINEAGE_NAME)
        if listed is not None and record is None:
            return claim.lineage
        data = self._bytes(claim, LINEAGE_NAME)
        if record is not None and record.get("sha256") != _sha256(data):
            raise self._damaged(claim, LINEAGE_NAME, _CHANGED)
        try:
            return Lineage.model_validate(self._parsed(claim, LINEAGE_NAME, data))
        except ValidationError as err:
            reason = f"can't be read: {first_problem(err)}"
            raise self._damaged(claim, LINEAGE_NAME, reason) from err

    def check_sizes(self, claim: Claim, listed: Listed) -> None:
        """Go on only if the files are there that were saved, each of its size.

        Raises:
            DamagedArtifactError: If not; names the first one.
        """
        prefix = self._prefix(claim)
        try:
            found = {
                stored.key.removeprefix(f"{prefix}/"): stored.size_bytes
                for stored in self._storage.list(prefix)
            }
        except StorageError as err:
            reason = why_unreadable(err)
            if reason is None:
                raise
            raise self._damaged(
                claim, MANIFEST_NAME, f"or a file beside it {reason}"
            ) from err
        for file, record in sorted(listed.files.items()):
            size, actual = record["size_bytes"], found.get(file)
            if actual is None:
                reason = "is missing, or no regular file"
                raise self._damaged(claim, file, reason)
            if actual != size:
                reason = f"has {actual} bytes instead of {size}"
                raise self._damaged(claim, file, reason)
        allowed = {MANIFEST_NAME, *WRITTEN_BY_MLFLOW, *listed.files}
        extra = sorted(found.keys() - allowed)
        if extra:
            reason = f"was not saved with it (so were not: {some_of(extra)})"
            raise self._damaged(claim, extra[0], reason, _REMOVE)

    def places(self, claim: Claim, listed: Listed) -> tuple[str, ...]:
        """Keys of the directory, of the listed files and of the folders around them."""
        prefix = self._prefix(claim)
        folders = {file.rpartition("/")[0] for file in listed.files} - {""}
        names = (*sorted(folders), *sorted(listed.files))
        return (prefix, *(f"{prefix}/{each}" for each in names))

    def _prefix(self, claim: Claim) -> str:
        return self._layout.version_prefix(claim.core.name, claim.core.version)

    def _damaged(
        self, claim: Claim, file: str, reason: str, remedy: str = ""
    ) -> DamagedArtifactError:
        """The error of a file of a version, which it names with its folder."""
        where = f"{claim.core.name} {claim.core.version}"
        key = f"{self._prefix(claim)}/{file}"
        return DamagedArtifactError(where, key, reason, remedy)

    def _parsed(self, claim: Claim, file: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as err:
            reason = "can't be read: it is not JSON"
            raise self._damaged(claim, file, reason) from err

    def _bytes(self, claim: Claim, file: str) -> bytes:
        key = f"{self._prefix(claim)}/{file}"
        try:
            return self._storage.read(key)[0]
        except ObjectNotFoundError as err:
            raise self._damaged(claim, file, "is missing") from err
        except StorageError as err:
            reason = why_unreadable(err)
            if reason is None:
                raise
            raise self._damaged(claim, file, reason) from err


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
