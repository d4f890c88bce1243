"""Events that must not be lost, kept in storage until their delivery is certain.

::

    models/_meta/outbox/pending/{event_id}.json    an event that no other record carries
    models/_meta/outbox/{event_id}.json            it was delivered

A state change of the registry is its own record, so only ``brixa.training.completed``
is put under ``pending``; a delivery is marked for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from brixa_flows.errors import ObjectExistsError
from brixa_flows.events import EVENTS, EventPayload
from brixa_flows.registry import ModelRegistry

__all__ = ["Outbox"]


class Outbox:
    """The outbox of one registry; safe to use from many processes.

    Args:
        registry: Whose storage keeps it.
    """

    def __init__(self, registry: ModelRegistry) -> None:
        self._storage = registry.storage
        self._prefix = f"{registry.layout.meta_prefix}/outbox"

    def put(self, event_id: UUID, payload: EventPayload) -> None:
        """Keep an event before it is emitted; putting it again changes nothing."""
        record = {
            "event_id": str(event_id),
            "event": payload.event,
            "payload": payload.model_dump(mode="json"),
            "at": datetime.now(UTC).isoformat(),
        }
        self._create(self._pending_key(event_id), record)

    def mark_delivered(self, event_id: UUID) -> None:
        """Record that the orchestrator has it; ``pending`` no longer needs it."""
        record = {"event_id": str(event_id), "at": datetime.now(UTC).isoformat()}
        self._create(f"{self._prefix}/{event_id}.json", record)
        self._storage.delete(self._pending_key(event_id))

    def is_delivered(self, event_id: UUID) -> bool:
        """Whether its delivery was marked."""
        return self._storage.stat(f"{self._prefix}/{event_id}.json") is not None

    def pending(self) -> Iterator[tuple[UUID, EventPayload]]:
        """Events that were put and never marked as delivered, by key."""
        for stored in self._storage.list(f"{self._prefix}/pending"):
            record = json.loads(self._storage.read(stored.key)[0])
            payload = EVENTS[record["event"]].model_validate(record["payload"])
            yield UUID(record["event_id"]), payload

    def _pending_key(self, event_id: UUID) -> str:
        return f"{self._prefix}/pending/{event_id}.json"

    def _create(self, key: str, record: Mapping[str, object]) -> None:
        try:
            self._storage.create(key, json.dumps(record, indent=1).encode())
        except ObjectExistsError:
            return
