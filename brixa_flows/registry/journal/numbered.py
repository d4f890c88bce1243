"""A version's numbered records: evaluations, drift reports, words of trust ..."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    some_of,
)
from brixa_flows.registry.facts.damage import (
    NO_FOLDER,
    damaged_folder,
    damaged_record,
    kind_of,
    warn_once,
    why_unreadable,
)
from brixa_flows.registry.facts.numbered_records import KINDS
from brixa_flows.registry.facts.records import (
    new_id,
    now,
    parse_record,
    refuse_old_sum,
    summed,
    unsummed,
)
from brixa_flows.registry.journal.changes import number_of
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import FOLDER, Listings
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["NumberedRecords"]

_ATTEMPTS = 100
_GAP_AT_MOST = 100
_MISSING = "is missing, while a later one is there"
_ACCEPT = (
    "the others are told without it. Restore the file from a backup; if it is gone for "
    "good, brixa model accept-losses NAME --reason WHY says so"
)


class NumberedRecords:
    """Appends and reads them; for any thread and process.

    Args:
        storage: Where they are kept.
        layout: Under which keys.

    Attributes:
        place: Address of the storage.
        listings: Of the storage.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout
        self.place = storage.uri
        self.listings = Listings(storage)

    def add_record(
        self,
        name: str,
        kind: str,
        version: ModelVersion,
        payload: dict[str, Any],
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """Append to a version's numbered records of a kind.

        Args:
            name: The model.
            kind: One of ``KINDS``.
            version: Its version.
            payload: What the record says.
            at: When that was so, if not now.

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
        when, event_id = (at or now()).isoformat(), new_id()
        for _ in range(_ATTEMPTS):
            there = self.listings.objects(prefix)
            number = 1 + max((number_of(each.key) for each in there), default=0)
            record = {"number": number, "at": when, "event_id": event_id, **payload}
            data = summed(json.dumps(record, indent=2, allow_nan=False))
            try:
                self._storage.create(f"{prefix}/{number:08d}.json", data)
            except ObjectExistsError:
                continue
            return record
        raise StorageError(f"too many {kind} of {name} {version} at once; retry")

    def read_record(self, key: str) -> dict[str, Any]:
        """The numbered record at a key.

        Raises:
            DamagedArtifactError: If it is none of its kind; names what is wrong.
        """
        with self._readable(key):
            data = self._storage.read(key)[0]
        entry = parse_record(key, data, KINDS[kind_of(key)])
        if entry.number != number_of(key):
            reason = f"belongs to number {entry.number}"
            raise damaged_record(key, reason)
        record: dict[str, Any] = json.loads(unsummed(key, data))
        refuse_old_sum(key, record)
        return record

    def record_key(
        self, name: str, kind: str, version: ModelVersion, number: int
    ) -> str:
        """Where a version's numbered record is."""
        return f"{self._layout.records_prefix(name, kind, version)}/{number:08d}.json"

    def records(
        self, name: str, kind: str, version: ModelVersion
    ) -> list[dict[str, Any]]:
        """A version's numbered records of a kind, newest last.

        One that can't be read is passed over, with a warning in the log.
        """
        found = []
        for key in self._keys_of(self._layout.records_prefix(name, kind, version)):
            try:
                record = self.read_record(key)
            except DamagedArtifactError as err:
                warn_once(self.place, f"set aside: {err}")
                continue
            found.append(record)
        return found

    def _keys_of(self, prefix: str) -> list[str]:
        """Keys of records; none of a folder that can't be listed, with a warning."""
        try:
            return [stored.key for stored in self.listings.objects(prefix)]
        except DamagedArtifactError as err:
            warn_once(self.place, f"set aside: {err}")
            return []

    def _unreadable(
        self, name: str, accepted: Container[str] = ()
    ) -> list[DamagedArtifactError]:
        """What is wrong with the numbered records of a model.

        Args:
            name: The model.
            accepted: Keys of records that somebody said are gone for good.
        """
        found: list[DamagedArtifactError] = []
        for kind in KINDS:
            prefix = self._layout.entries_prefix(name, kind)
            try:
                stored = self.listings.objects(prefix, recursive=True)
            except DamagedArtifactError as err:
                found += self._shut_in(prefix) or [err]
                continue
            for each in stored:
                try:
                    self.read_record(each.key)
                except DamagedArtifactError as err:
                    found.append(err)
            lost = self._between([each.key for each in stored])
            found += [each for each in lost if each.facts["file"] not in accepted]
            found += [
                damaged_folder(f"{prefix}/{version}", NO_FOLDER.format(what))
                for version, what in self.listings.others(prefix).items()
                if what != FOLDER and not version.endswith(".json")
            ]
        return found

    def lost_records(self, name: str) -> list[str]:
        """Keys of numbered records of a model that are missing before others."""
        damaged = (each.facts for each in self._unreadable(name))
        return [str(x["file"]) for x in damaged if x["reason"] == _MISSING]

    def _between(self, keys: list[str]) -> Iterator[DamagedArtifactError]:
        """Records that are missing before others of the same version."""
        folders: dict[str, set[int]] = {}
        for key in keys:
            folders.setdefault(key.rpartition("/")[0], set()).add(number_of(key))
        for folder, there in folders.items():
            missing = (each for each in range(1, max(there)) if each not in there)
            names = [f"{each:08d}.json" for each in islice(missing, _GAP_AT_MOST)]
            others = self.listings.others(folder) if names else ()
            for name in names:
                if name not in others:  # that is told as what is in the way
                    yield damaged_record(f"{folder}/{name}", _MISSING, _ACCEPT)

    def _shut_in(self, prefix: str) -> list[DamagedArtifactError]:
        """Folders in a folder that can't be listed; none if it can't be itself."""
        found = []
        try:
            inner = self.listings.others(prefix)
        except DamagedArtifactError:
            return []
        for version in inner:
            try:
                self.listings.names(f"{prefix}/{version}")
            except DamagedArtifactError as err:
                found.append(err)
        return found

    @contextmanager
    def _readable(self, key: str) -> Iterator[None]:
        """While a record is read: what keeps it from that for good is told as damage."""
        try:
            yield
        except ObjectNotFoundError:
            raise
        except StorageError as err:
            reason = why_unreadable(err)
            if reason is None:
                raise
            self.listings.names(key.rpartition("/")[0])  # it may be the whole folder
            raise damaged_record(key, reason) from err
