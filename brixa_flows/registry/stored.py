"""What storage says of versions: read, checked, and remembered while nothing changes.

What is remembered of a version is small: the plain facts, and its JSON compressed. It
is believed only as long as the storage node vouches that none of the files it was read
from has changed (:meth:`.QuickLooks.mark`).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from brixa_flows.errors import DamagedArtifactError, ObjectNotFoundError
from brixa_flows.recent import Recent
from brixa_flows.registry.journal import Journal
from brixa_flows.registry.layout import Layout
from brixa_flows.registry.metadata import Lineage
from brixa_flows.registry.records import Claim, Core, Mutable, Seal, first_problem
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["LINEAGE_NAME", "StoredVersion", "StoredVersions"]

LINEAGE_NAME = "lineage.json"
_KEPT_BYTES_AT_MOST = 128 * 2**20
_OVERHEAD_BYTES = 2048
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
    """

    plain: Mapping[str, Any]
    text: bytes
    run_id: str | None
    backend_version: str | None

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


class _Kept(NamedTuple):
    mark: bytes
    stored: StoredVersion


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
        self._kept: Recent[tuple[str, ModelVersion, bool], _Kept] = Recent(
            _KEPT_BYTES_AT_MOST
        )

    def find(
        self, name: str, version: ModelVersion, ready: bool
    ) -> StoredVersion | None:
        """What is stored of a version, ``None`` if its number was never taken.

        Args:
            name: Model.
            version: Its number.
            ready: Its files count.

        Raises:
            DamagedArtifactError: If a file can't be read, or ``{version}_meta.json`` and
                ``config.json`` differ.
        """
        # Taken before anything is read: of what changes meanwhile the mark is old.
        mark = self._journal.listings.mark(self._keys(name, version, ready))
        kept = self._kept.get((name, version, ready))
        if kept is not None and kept.mark == mark:
            return kept.stored
        stored = self._read(name, version, ready)
        if mark is not None and stored is not None:
            weight = _OVERHEAD_BYTES + len(stored.text)
            self._kept.put((name, version, ready), _Kept(mark, stored), weight)
        return stored

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
        prefix = f"{model}/{name}/{core}"
        return (*keys, f"{prefix}/{MANIFEST_NAME}", f"{prefix}/{LINEAGE_NAME}")

    def _read(
        self, name: str, version: ModelVersion, ready: bool
    ) -> StoredVersion | None:
        claim = self._journal.read_claim(name, version)
        if claim is None:
            return None
        seal = self._journal.read_seal(name, version)
        sealed = ready and seal is not None
        core = self.core(claim) if sealed else claim.core
        file = self._journal.read_metadata(name, version)
        mutable = claim.mutable if file is None else file.mutable
        return StoredVersion.of(core, self.lineage(claim, sealed), mutable, seal)

    def lineage(self, claim: Claim, sealed: bool) -> Lineage:
        """What went into a version: as sealed, else as registered.

        Raises:
            DamagedArtifactError: If the sealed record can't be read.
        """
        if not sealed:
            return claim.lineage
        content = self._sealed_json(claim, LINEAGE_NAME)
        try:
            return claim.lineage if content is None else Lineage.model_validate(content)
        except ValidationError as err:
            label = f"{claim.core.name} {claim.core.version}"
            reason = f"is no lineage record: {first_problem(err)}"
            raise DamagedArtifactError(label, LINEAGE_NAME, reason) from err

    def core(self, claim: Claim) -> Core:
        """The immutable core of a saved version, from its ``config.json``.

        Raises:
            DamagedArtifactError: If it can't be read, or ``{version}_meta.json``
                tells another story.
        """
        name, version = claim.core.name, claim.core.version
        label = f"{name} {version}"
        content = self._sealed_json(claim, MANIFEST_NAME)
        if content is None:
            raise DamagedArtifactError(label, MANIFEST_NAME, "is missing")
        try:
            core = Core.model_validate(content["core"])
        except (KeyError, TypeError, ValidationError) as err:
            reason = f"holds no core metadata: {first_problem(err)}"
            raise DamagedArtifactError(label, MANIFEST_NAME, reason) from err
        repeated = self._journal.read_metadata(name, version)
        if repeated is not None and repeated.core != core:
            raise self._contradiction(name, version)
        return core

    def _contradiction(self, name: str, version: ModelVersion) -> DamagedArtifactError:
        """Which of the two places that keep the core is not what it was."""
        label = f"{name} {version}"
        key = f"{self._layout.version_prefix(name, version)}/{MANIFEST_NAME}"
        digest = hashlib.sha256(self._storage.read(key)[0]).hexdigest()
        seal = self._journal.read_seal(name, version)
        if seal is not None and seal.digest != f"sha256:{digest}":
            reason = "is not what was saved (sha256)"
            return DamagedArtifactError(label, MANIFEST_NAME, reason)
        file = self._layout.metadata_key(name, version)
        reason = f"differs from {MANIFEST_NAME} in what never changes"
        return DamagedArtifactError(label, file, reason)

    def _sealed_json(self, claim: Claim, file: str) -> Any:
        name, version = claim.core.name, claim.core.version
        key = f"{self._layout.version_prefix(name, version)}/{file}"
        try:
            return json.loads(self._storage.read(key)[0])
        except ObjectNotFoundError:
            return None
        except ValueError as err:
            raise DamagedArtifactError(
                f"{name} {version}", file, "is not JSON"
            ) from err
