"""What storage says of versions: read, checked, and remembered while nothing changes.

What is remembered of a version is small: the plain facts, and its JSON compressed. It
is believed only as long as the storage node vouches that none of the files it was read
from has changed (:meth:`.QuickLooks.mark`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.damage import damaged_record
from brixa_flows.registry.facts.metadata import Lineage
from brixa_flows.registry.facts.records import Core, Mutable, Seal
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.sealed import SealedFiles
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Look", "StoredVersion", "StoredVersions"]

_KEPT_BYTES_AT_MOST = 128 * 2**20
_OVERHEAD_BYTES = 2048
_DOUBT = (
    "{} {}: the file {!r} is missing, so description, tags, metrics, custom and owner are "
    "in doubt: they are as they were registered; MLflow, once it answers, knows better, "
    "and brixa doctor --fix writes the file anew"
)
_JSON = {"hyperparameters", "input_schema", "output_schema", "dependencies"}
_PLAIN = Core.model_fields.keys() - _JSON - {"schema_bump"}


@dataclass(frozen=True)
class StoredVersion:
    """What storage says of a version.

    Attributes:
        plain: Facts that are values of their own, by their name in the metadata.
        text: The others, as compressed JSON.
        run_id: Its run in the tracking backend when it was saved.
        backend_version: The tracking backend's number for it then.
        doubt: Why what may change is not what storage last knew; ``""`` if it is.
    """

    plain: Mapping[str, Any]
    text: bytes
    run_id: str | None
    backend_version: str | None
    doubt: str = ""

    @classmethod
    def of(
        cls,
        core: Core,
        lineage: Lineage,
        mutable: Mutable,
        seal: Seal | None,
    ) -> StoredVersion:
        """Put together what was read."""
        plain = {key: getattr(core, key) for key in _PLAIN}
        plain |= {
            "digest": seal.digest if seal else None,
            "size_bytes": seal.size_bytes if seal else None,
            "has_reference": seal.has_reference if seal else False,
            "saved_at": seal.saved_at if seal else None,
        }
        content = {
            "core": core.model_dump(mode="json", include=_JSON),
            "lineage": lineage.model_dump(mode="json"),
            "mutable": mutable.model_dump(mode="json", exclude={"judged_on"}),
        }
        text = zlib.compress(json.dumps(content).encode(), 1)
        if seal is None:
            return cls(plain, text, None, None)
        return cls(plain, text, seal.run_id, seal.backend_version)

    def deferred(self) -> dict[str, Any]:
        """What was registered or sealed and is no plain fact; new objects each time."""
        content = json.loads(zlib.decompress(self.text))
        return {
            **content["core"],
            "lineage": Lineage.model_validate(content["lineage"]),
        }

    def mutable(self) -> dict[str, Any]:
        """What may change, as ``{version}_meta.json`` has it; new objects each time."""
        found: dict[str, Any] = json.loads(zlib.decompress(self.text))["mutable"]
        return {**found, "run_id": None}


class Look(NamedTuple):
    """A version as it is in storage.

    Attributes:
        stored: What it says; as far as it can be read, if something is damaged.
        damage: What is wrong, if anything is.
    """

    stored: StoredVersion
    damage: DamagedArtifactError | None


class _Kept(NamedTuple):
    look: Look
    mark: bytes
    files: tuple[str, ...]
    files_mark: bytes


class _Read(NamedTuple):
    stored: StoredVersion
    files: tuple[str, ...]
    files_mark: bytes | None


class StoredVersions:
    """Reads versions; for any thread.

    Args:
        storage: Where their files are.
        layout: Under which keys.
        journal: Claims and seals.
    """

    def __init__(self, storage: StorageNode, layout: Layout, journal: Journal) -> None:
        self._storage = storage
        self._layout = layout
        self._journal = journal
        self.files = SealedFiles(storage, layout, journal)
        self._kept: Recent[tuple[str, ModelVersion, bool], _Kept] = Recent(
            _KEPT_BYTES_AT_MOST
        )

    def look(self, name: str, version: ModelVersion, ready: bool) -> Look:
        """What is stored of a version whose number was taken, and what is damaged.

        Args:
            name: Model.
            version: Its number.
            ready: Its files count.
        """
        # Taken before anything is read: of what changes meanwhile the mark is old.
        mark_of = self._journal.listings.mark
        mark = mark_of(self._keys(name, version, ready))
        kept = self._kept.get((name, version, ready))
        if kept is not None and kept.mark == mark:
            if not kept.files or kept.files_mark == mark_of(kept.files):
                return kept.look
        files: tuple[str, ...] = ()
        files_mark: bytes | None = b""
        try:
            stored, files, files_mark = self._read(name, version, ready)
            look = Look(stored, None)
        except DamagedArtifactError as err:
            look = Look(self._salvaged(name, version), err)
            # It may be about a file that no mark was taken of.
            mark = None if ready else mark
        if mark is not None and files_mark is not None:
            weight = _OVERHEAD_BYTES + len(look.stored.text)
            found = _Kept(look, mark, files, files_mark)
            self._kept.put((name, version, ready), found, weight)
        return look

    def _keys(self, name: str, version: ModelVersion, ready: bool) -> tuple[str, ...]:
        core = version.core
        journal, model = self._layout.journal_prefix(name), self._layout.root
        keys = (
            f"{journal}/claims/{core}.json",
            f"{journal}/seals/{core}.json",
            f"{model}/{name}/{core}_meta.json",
        )
        if not ready:
            return keys
        return (*keys, f"{model}/{name}/{core}/{MANIFEST_NAME}")

    def _read(self, name: str, version: ModelVersion, ready: bool) -> _Read:
        claim = self._journal.must_read_claim(name, version)
        seal = self._journal.read_seal(name, version)
        if seal is not None and seal.claim_id != claim.id:
            key = self._layout.entry_key(name, "seals", version)
            raise damaged_record(key, "belongs to another version")
        file = self._journal.read_metadata(name, version)
        mutable = claim.mutable if file is None else file.mutable
        if not ready or seal is None:
            core = claim.core if file is None else file.core  # a save completed it
            stored = StoredVersion.of(core, claim.lineage, mutable, seal)
            return _Read(stored, (), b"")
        listed = self.files.listed(claim, seal, file)
        places = self.files.places(claim, listed)
        mark = self._journal.listings.mark(places)
        self.files.check_sizes(claim, listed)
        lineage = self.files.lineage(claim, listed)
        stored = StoredVersion.of(listed.core, lineage, mutable, seal)
        if file is None:
            key = self._layout.metadata_key(name, version)
            stored = replace(stored, doubt=_DOUBT.format(name, version, key))
        return _Read(stored, places, mark)

    def _salvaged(self, name: str, version: ModelVersion) -> StoredVersion:
        """What can still be read of a damaged version."""
        journal, claim, core, seal = self._journal, None, None, None
        mutable, lineage = Mutable(), Lineage()
        with suppress(DamagedArtifactError):
            seal = journal.read_seal(name, version)
        with suppress(DamagedArtifactError):
            claim = journal.read_claim(name, version)
        if claim is not None:
            core, lineage, mutable = claim.core, claim.lineage, claim.mutable
        with suppress(DamagedArtifactError):
            file = journal.read_metadata(name, version)
            if file is not None:
                core, mutable = core or file.core, file.mutable
        if core is None:
            at = seal.saved_at if seal else datetime.fromtimestamp(0, UTC)
            core = Core(name=name, version=version, model_type="", created_at=at)
        return StoredVersion.of(core, lineage, mutable, seal)
