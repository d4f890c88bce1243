"""A version's numbered records: evaluations, drift reports, words of trust ..."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    ObjectExistsError,
    StorageError,
    some_of,
)
from brixa_flows.registry.facts.damage import damaged_record, kind_of, warn_once
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
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["NumberedRecords"]

_ATTEMPTS = 100


class NumberedRecords:
    """Appends and reads them; for any thread and process.

    Args:
        storage: Where they are kept.
        layout: Under which keys.

    Attributes:
        place: Address of the storage.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout
        self.place = storage.uri

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
            there = self._storage.list(prefix, recursive=False)
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
        prefix = self._layout.records_prefix(name, kind, version)
        found = []
        for stored in self._storage.list(prefix, recursive=False):
            try:
                record = self.read_record(stored.key)
            except DamagedArtifactError as err:
                warn_once(self.place, f"set aside: {err}")
                continue
            found.append(record)
        return found

    def damaged_records(self, name: str) -> list[DamagedArtifactError]:
        """What is wrong with the numbered records of a model."""
        found = []
        for kind in KINDS:
            prefix = self._layout.entries_prefix(name, kind)
            for stored in self._storage.list(prefix):
                try:
                    self.read_record(stored.key)
                except DamagedArtifactError as err:
                    found.append(err)
        return found
