"""The journal: who took which number, what is sealed, and how the stages changed.

Every entry is a storage object made by a conditional create, so of many writers exactly
one wins, and no entry is ever rewritten. (Two small exceptions are no history: the
lease of a save under way, and the marker of what the tracking backend shows.)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
    some_of,
)
from brixa_flows.registry.changes import StageChanges
from brixa_flows.registry.layout import Layout
from brixa_flows.registry.numbers import Listings, NumberLists, Numbers
from brixa_flows.registry.records import (
    Change,
    Claim,
    MetadataFile,
    Mutable,
    Quarantine,
    Seal,
    new_id,
    now,
    parse_record,
)
from brixa_flows.registry.stages import Lifecycle
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Journal"]

_ATTEMPTS = 100
_LOG = logging.getLogger(__name__)
_Entry = TypeVar("_Entry", bound=BaseModel)


class Journal:
    """Reads and appends the journal of every model.

    Safe to use from many threads and processes.

    Args:
        storage: Where it is kept.
        layout: Under which keys.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout
        self.listings = Listings(storage)
        self._numbers = NumberLists(self.listings, layout)
        self._changes = StageChanges(self.listings, layout, self._read_change)

    def claim(self, claim: Claim) -> bool:
        """Take a number; ``False`` if somebody has it."""
        key = self._key("claims", claim.core.name, claim.core.version)
        try:
            self._storage.create(key, claim.to_bytes())
        except ObjectExistsError:
            return False
        return True

    def withdraw(self, claim: Claim) -> None:
        """Give back a number under which nothing was ever saved."""
        name, version = claim.core.name, claim.core.version
        self._storage.delete(self._layout.metadata_key(name, version))
        self._storage.delete(self._key("claims", name, version))

    def claimed(self, name: str) -> Numbers:
        """Every number ever taken, without build metadata."""
        return self._numbers.of(name, "claims")

    def sealed(self, name: str) -> Numbers:
        """Versions whose bytes are final."""
        return self._numbers.of(name, "seals")

    def quarantined(self, name: str) -> Numbers:
        """Versions whose bytes are not believed."""
        return self._numbers.of(name, "quarantine")

    def read_claim(self, name: str, version: ModelVersion) -> Claim | None:
        """The claim of a version, ``None`` if its number is free.

        Raises:
            DamagedArtifactError: If it is none, or that of another version: who asks
                for one by its number would get the other.
        """
        key = self._key("claims", name, version)
        claim = self._read(key, Claim)
        if claim is not None:
            taken = claim.core
            if (taken.name, taken.version.core) != (name, version.core):
                reason = f"belongs to {taken.name} {taken.version}"
                raise DamagedArtifactError("the registry's journal", key, reason)
        return claim

    def read_seal(self, name: str, version: ModelVersion) -> Seal | None:
        """The seal of a version, ``None`` if its bytes are not final."""
        return self._read(self._key("seals", name, version), Seal)

    def read_quarantine(self, name: str, version: ModelVersion) -> Quarantine | None:
        """Why a version is not believed, ``None`` if it is."""
        return self._read(self._key("quarantine", name, version), Quarantine)

    def seal(self, name: str, version: ModelVersion, seal: Seal) -> Seal:
        """Declare the bytes final; a seal that is there already stands."""
        return self._create_or_read(self._key("seals", name, version), seal)

    def quarantine(
        self, name: str, version: ModelVersion, record: Quarantine
    ) -> Quarantine:
        """Declare the bytes not believed; an earlier record stands."""
        return self._create_or_read(self._key("quarantine", name, version), record)

    def end_quarantine(self, name: str, version: ModelVersion) -> None:
        """Believe the bytes again; a trust record keeps who said so."""
        self._storage.delete(self._key("quarantine", name, version))

    def changes(self, name: str, after: int = 0) -> list[Change]:
        """Every stage change, alias and tombstone behind a number, oldest first.

        One that can't be read is a :class:`.LostChange`.
        """
        return self._changes.of(name, after)

    def lifecycle(self, name: str) -> Lifecycle:
        """What all changes add up to."""
        return self._changes.lifecycle(name)

    def append_change(
        self, name: str, plan: Callable[[Lifecycle], Change]
    ) -> tuple[Change, Lifecycle]:
        """Add the next numbered change.

        Args:
            name: Model.
            plan: Makes the change from the present state and raises if it is not
                allowed; called again when somebody else was faster.

        Returns:
            The change, and the state after it.
        """
        prefix = self._layout.entries_prefix(name, "changes")
        for _ in range(_ATTEMPTS):
            change = plan(self.lifecycle(name))
            try:
                self._storage.create(
                    f"{prefix}/{change.number:08d}.json", change.to_bytes()
                )
            except ObjectExistsError:
                continue
            return change, self.lifecycle(name)
        raise StorageError(f"too many changes of the stages of {name!r} at once; retry")

    def add_record(
        self, name: str, kind: str, version: ModelVersion, payload: dict[str, Any]
    ) -> dict[str, Any]:
        """Append to a version's numbered records of a kind.

        Returns:
            The record: the payload with ``number``, ``at`` and ``event_id``.

        Raises:
            InvalidMetadataError: If the payload has one of these three itself.
        """
        taken = payload.keys() & {"number", "at", "event_id"}
        if taken:
            raise InvalidMetadataError(
                kind, f"has {some_of(sorted(taken))}, which the journal sets itself"
            )
        prefix = self._layout.records_prefix(name, kind, version)
        at, event_id = now().isoformat(), new_id()
        for _ in range(_ATTEMPTS):
            number = 1 + sum(1 for _ in self._storage.list(prefix, recursive=False))
            record = {"number": number, "at": at, "event_id": event_id, **payload}
            data = json.dumps(record, indent=2, allow_nan=False).encode()
            try:
                self._storage.create(f"{prefix}/{number:08d}.json", data)
            except ObjectExistsError:
                continue
            return record
        raise StorageError(f"too many {kind} of {name} {version} at once; retry")

    def read_change(self, key: str) -> Change:
        """The change at a key; raises ``DamagedArtifactError`` if it is none."""
        return self._must_read(key, Change)

    def read_record(self, key: str) -> dict[str, Any]:
        """The numbered record at a key; raises ``DamagedArtifactError`` likewise."""
        return _read_payload(key, self._storage.read(key)[0])

    def records(
        self, name: str, kind: str, version: ModelVersion
    ) -> list[dict[str, Any]]:
        """A version's numbered records of a kind, newest last.

        One that can't be read is passed over, with a warning in the log.
        """
        prefix = self._layout.records_prefix(name, kind, version)
        found = []
        for stored in self._storage.list(prefix, recursive=False):
            try:
                record = self.read_record(stored.key)
            except DamagedArtifactError as err:
                _LOG.warning("set aside: %s", err)
                continue
            found.append(record)
        return found

    def damaged_records(self, name: str) -> list[DamagedArtifactError]:
        """What is wrong with the numbered records of a model."""
        found = []
        for kind in ("evaluations", "drift", "measurements", "trust"):
            prefix = self._layout.entries_prefix(name, kind)
            for stored in self._storage.list(prefix):
                try:
                    self.read_record(stored.key)
                except DamagedArtifactError as err:
                    found.append(err)
        return found

    def read_metadata(self, name: str, version: ModelVersion) -> MetadataFile | None:
        """``{version}_meta.json``, ``None`` if it is not there."""
        return self._read(self._layout.metadata_key(name, version), MetadataFile)

    def write_metadata(self, claim: Claim) -> None:
        """Write the first ``{version}_meta.json`` of a claim, if there is none."""
        self._create_or_read(
            self._layout.metadata_key(claim.core.name, claim.core.version),
            MetadataFile(core=claim.core, mutable=claim.mutable),
        )

    def change_metadata(
        self, claim: Claim, change: Callable[[MetadataFile], MetadataFile]
    ) -> MetadataFile:
        """Change ``{version}_meta.json`` by compare-and-swap.

        Args:
            claim: Of the version; what stands there if the file is missing.
            change: From old to new; called again when somebody else was faster.
        """
        key = self._layout.metadata_key(claim.core.name, claim.core.version)
        for _ in range(_ATTEMPTS):
            try:
                data, etag = self._storage.read(key)
                old = parse_record(key, data, MetadataFile)
            except ObjectNotFoundError:
                old, etag = MetadataFile(core=claim.core, mutable=claim.mutable), None
            new = change(old)
            if new == old and etag is not None:
                return new
            try:
                self._storage.replace(key, new.to_bytes(), etag=etag)
            except StaleWriteError:
                continue
            return new
        raise StorageError(f"{key!r} is changed by too many at once; retry")

    def change_mutable(
        self, claim: Claim, change: Callable[[Mutable], Mutable]
    ) -> Mutable:
        """Change the part of ``{version}_meta.json`` that may change."""
        return self.change_metadata(
            claim,
            lambda old: MetadataFile(core=old.core, mutable=change(old.mutable)),
        ).mutable

    def projected(self, name: str) -> int:
        """Number of the last change that the tracking backend was shown."""
        try:
            data, _ = self._storage.read(self._layout.projected_key(name))
        except ObjectNotFoundError:
            return 0
        return _projected_number(data)

    def mark_projected(self, name: str, number: int) -> None:
        """Remember that the tracking backend shows the changes up to a number."""
        key = self._layout.projected_key(name)
        for _ in range(_ATTEMPTS):
            etag: str | None
            try:
                data, etag = self._storage.read(key)
                if _projected_number(data) >= number:
                    return
            except ObjectNotFoundError:
                etag = None
            marker = json.dumps({"number": number}).encode()
            try:
                self._storage.replace(key, marker, etag=etag)
            except StaleWriteError:
                continue
            return

    def _key(self, kind: str, name: str, version: ModelVersion) -> str:
        return self._layout.entry_key(name, kind, version)

    def _read_change(self, key: str) -> Change:
        return self._must_read(key, Change)

    def _read(self, key: str, kind: type[_Entry]) -> _Entry | None:
        try:
            data, _ = self._storage.read(key)
        except ObjectNotFoundError:
            return None
        return parse_record(key, data, kind)

    def _must_read(self, key: str, kind: type[_Entry]) -> _Entry:
        return parse_record(key, self._storage.read(key)[0], kind)

    def _create_or_read(self, key: str, entry: _Entry) -> _Entry:
        data = entry.model_dump_json(indent=2).encode() + b"\n"
        try:
            self._storage.create(key, data)
        except ObjectExistsError:
            return self._must_read(key, type(entry))
        return entry


def _projected_number(data: bytes) -> int:
    """A marker that can't be read costs one more projection."""
    try:
        return int(json.loads(data)["number"])
    except (ValueError, TypeError, KeyError):
        return 0


def _read_payload(key: str, data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except ValueError as err:
        raise DamagedArtifactError("the registry's journal", key, "is no JSON") from err
    if not isinstance(record, dict):
        raise DamagedArtifactError("the registry's journal", key, "is no record")
    return record
