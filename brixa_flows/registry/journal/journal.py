"""The journal: who took which number, what is sealed, and how the stages changed.

Every entry is a storage object made by a conditional create, so of many writers exactly
one wins, and no entry is ever rewritten. (Two small exceptions are no history: the
lease of a save under way, and the marker of what the tracking backend shows.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from brixa_flows.errors import (
    DamagedArtifactError,
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
    UnsafeKeyError,
)
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.damage import LINK, damaged_record
from brixa_flows.registry.facts.records import (
    Change,
    Claim,
    Core,
    MetadataFile,
    Mutable,
    Quarantine,
    Record,
    Seal,
    Shown,
    parse_record,
)
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.registry.journal.changes import StageChanges
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.numbered import NumberedRecords
from brixa_flows.registry.journal.numbers import NumberLists, Numbers
from brixa_flows.registry.journal.traces import Traces
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Journal", "first_file"]

_ATTEMPTS = 100
_SHOWN_AT_MOST = 10_000
_MISSING = "is missing, or no regular file"
_Entry = TypeVar("_Entry", bound=Record)


class Journal(NumberedRecords):
    """Reads and appends the journal of every model.

    Safe to use from many threads and processes.

    Args:
        storage: Where it is kept.
        layout: Under which keys.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        super().__init__(storage, layout)
        self._numbers = NumberLists(self.listings, layout)
        self._changes = StageChanges(
            self.listings, layout, self.read_change, self.place, self._surely_shown
        )
        self._shown: Recent[str, tuple[bytes, int]] = Recent(_SHOWN_AT_MOST)
        self._traces = Traces(storage, layout, self.listings)

    def claim(self, claim: Claim) -> bool:
        """Take a number; ``False`` if somebody has it, or had before its claim was lost."""
        name, version = claim.core.name, claim.core.version
        if ModelVersion.parse(version.core) in self.sealed(name).members:
            return False
        if self._traces.has(name, version, self.lifecycle(name)):
            return False
        key = self._key("claims", name, version)
        try:
            self._storage.create(key, claim.to_bytes())
        except (ObjectExistsError, UnsafeKeyError):  # or a link is there
            return False
        return True

    def withdraw(self, claim: Claim) -> None:
        """Give back a number under which nothing was ever saved."""
        name, version = claim.core.name, claim.core.version
        self._storage.delete(self._layout.metadata_key(name, version))
        self._storage.delete(self._key("claims", name, version))

    def claimed(self, name: str) -> Numbers:
        """Every number ever taken, without build metadata, as far as listings tell.

        What is sealed was claimed, also where somebody removed the claim.
        """
        return self._numbers.together(name, "claims", "seals")

    def lost_claims(self, name: str) -> list[ModelVersion]:
        """Numbers that have other records and are not :meth:`claimed`; costs time."""
        known = self.claimed(name).members
        traces = self._traces.all(name, self.lifecycle(name), known)
        return sorted(traces - self.claimed(name).members)

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
            _refuse_another(key, claim.core, name, version)
        return claim

    def must_read_claim(self, name: str, version: ModelVersion) -> Claim:
        """The claim of a version that has other records.

        Raises:
            DamagedArtifactError: If it is missing, or as :meth:`read_claim`.
        """
        claim = self.read_claim(name, version)
        if claim is None:
            raise damaged_record(self._key("claims", name, version), _MISSING)
        return claim

    def as_written(self, name: str, version: ModelVersion) -> ModelVersion:
        """A version with its build metadata, if its claim can be read."""
        try:
            claim = self.read_claim(name, version)
        except DamagedArtifactError:
            claim = None
        return version if claim is None else claim.core.version

    def read_seal(self, name: str, version: ModelVersion) -> Seal | None:
        """The seal of a version, ``None`` if its bytes are not final."""
        return self._read(self._key("seals", name, version), Seal)

    def read_quarantine(self, name: str, version: ModelVersion) -> Quarantine | None:
        """Why a version is not believed, ``None`` if it is."""
        return self._read(self._key("quarantine", name, version), Quarantine)

    def why_quarantined(self, name: str, version: ModelVersion) -> str:
        """Why a version is not believed and what to do, in a sentence."""
        try:
            record = self.read_quarantine(name, version)
        except DamagedArtifactError as err:
            return str(err)
        reason = record.reason if record else "its record was removed just now"
        remedy = (
            "restore its files from a backup and run brixa doctor --fix, or save the "
            "model as the next version"
        )
        if record is not None and record.recorded_digest is None:
            remedy = (
                f"brixa trust {name}@{version} --actor YOU --reason WHY admits it, if "
                "you know where its files come from"
            )
        return f"{name} {version} is quarantined: {reason}; {remedy}"

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
        if self.lifecycle(name).number < change.number:
            key = f"{prefix}/{change.number:08d}.json"
            raise StorageError(
                f"{name}: no stage or alias can be changed, as something that is no "
                f"regular file is in the way at {key}; remove it"
            )
        raise StorageError(f"too many changes of the stages of {name!r} at once; retry")

    def read_change(self, key: str) -> Change:
        """The change at a key; raises ``DamagedArtifactError`` if it is none."""
        return self._must_read(key, Change)

    def read_metadata(self, name: str, version: ModelVersion) -> MetadataFile | None:
        """``{version}_meta.json``, ``None`` if it is not there.

        Raises:
            DamagedArtifactError: If it is none, or that of another version.
        """
        key = self._layout.metadata_key(name, version)
        file = self._read(key, MetadataFile)
        if file is not None:
            _refuse_another(key, file.core, name, version)
        return file

    def write_metadata(self, first: MetadataFile) -> None:
        """Write the first ``{version}_meta.json`` of a version, if there is none."""
        key = self._layout.metadata_key(first.core.name, first.core.version)
        self._create_or_read(key, first)

    def change_metadata(
        self,
        claim: Claim,
        change: Callable[[MetadataFile], MetadataFile],
        anew: Callable[[], MetadataFile] | None = None,
    ) -> MetadataFile:
        """Change ``{version}_meta.json`` by compare-and-swap.

        Args:
            claim: Of the version.
            change: From old to new; called again when somebody else was faster.
            anew: Gives what stands there if the file is missing; without it, what was
                registered.
        """
        key = self._layout.metadata_key(claim.core.name, claim.core.version)
        for _ in range(_ATTEMPTS):
            try:
                data, etag = self._storage.read(key)
                old = parse_record(key, data, MetadataFile)
            except ObjectNotFoundError:
                old, etag = first_file(claim) if anew is None else anew(), None
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
        self,
        claim: Claim,
        change: Callable[[Mutable], Mutable],
        anew: Callable[[], MetadataFile],
    ) -> Mutable:
        """Change the part of ``{version}_meta.json`` that may change."""
        return self.change_metadata(
            claim,
            lambda old: MetadataFile(core=old.core, mutable=change(old.mutable)),
            anew,
        ).mutable

    def projected(self, name: str) -> int | None:
        """Number of the last change that the tracking backend was shown.

        ``None`` if nobody knows: it was shown none yet, or the marker is lost.
        """
        try:
            shown, _ = self._read_shown(name)
        except (ObjectNotFoundError, DamagedArtifactError):
            return None
        return shown.number

    def mark_projected(self, name: str, number: int) -> None:
        """Remember that the tracking backend shows the changes up to a number."""
        key = self._layout.projected_key(name)
        for _ in range(_ATTEMPTS):
            etag: str | None
            try:
                shown, etag = self._read_shown(name)
                if shown.number >= number:
                    return
            except ObjectNotFoundError:
                etag = None
            except DamagedArtifactError:
                _, etag = self._storage.read(key)
            marker = json.dumps({"number": number, "again": number}).encode()
            try:
                self._storage.replace(key, marker, etag=etag)
            except StaleWriteError:
                continue
            return

    def _surely_shown(self, name: str) -> int:
        """As :meth:`projected`, 0 unless the marker was certainly written so.

        A change with that number was there: if it is gone now, it is lost.
        """
        key = self._layout.projected_key(name)
        mark = self.listings.mark((key,))
        kept = self._shown.get(name)
        if kept is not None and kept[0] == mark:
            return kept[1]
        try:
            shown, _ = self._read_shown(name)
            number = shown.number if shown.number == shown.again else 0
        except (ObjectNotFoundError, DamagedArtifactError):
            number = 0
        if mark is not None:
            self._shown.put(name, (mark, number))
        return number

    def damaged_records(self, name: str) -> list[DamagedArtifactError]:
        """What is wrong with the numbered records of a model, and its marker."""
        accepted = {key for each in self.changes(name) for key in each.accepts_records}
        found = [*self._unreadable(name, accepted), *self._numbers.foreign(name)]
        for kind in ("saves", "adoptions"):
            try:
                self.listings.names(self._layout.entries_prefix(name, kind))
            except DamagedArtifactError as err:
                found.append(err)
        try:
            self._read_shown(name)
        except ObjectNotFoundError:
            pass
        except DamagedArtifactError as err:
            if err.facts["reason"] != LINK:  # one is told of where it is in the way
                found.append(err)
        return found

    def _read_shown(self, name: str) -> tuple[Shown, str]:
        """What the marker says, and its etag; raises where it says nothing."""
        key = self._layout.projected_key(name)
        with self._readable(key):
            data, etag = self._storage.read(key)
        return parse_record(key, data, Shown), etag

    def _key(self, kind: str, name: str, version: ModelVersion) -> str:
        return self._layout.entry_key(name, kind, version)

    def _read(self, key: str, kind: type[_Entry]) -> _Entry | None:
        try:
            with self._readable(key):
                data, _ = self._storage.read(key)
        except ObjectNotFoundError:
            return None
        return parse_record(key, data, kind)

    def _must_read(self, key: str, kind: type[_Entry]) -> _Entry:
        found = self._read(key, kind)
        if found is None:
            raise damaged_record(key, _MISSING)
        return found

    def _create_or_read(self, key: str, entry: _Entry) -> _Entry:
        try:
            self._storage.create(key, entry.to_bytes())
        except ObjectExistsError:
            return self._must_read(key, type(entry))
        return entry


def first_file(claim: Claim) -> MetadataFile:
    """``{version}_meta.json`` of a version that was registered right now."""
    return MetadataFile(core=claim.core, mutable=claim.mutable)


def _refuse_another(key: str, core: Core, name: str, version: ModelVersion) -> None:
    """A record that was copied from another version is genuine, and not this one's."""
    if (core.name, core.version.core) != (name, version.core):
        raise damaged_record(key, f"belongs to {core.name} {core.version}")
