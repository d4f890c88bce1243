"""Events that must not be lost, kept in storage until their delivery is certain.

::

    models/_meta/outbox/started.json               since when changes are announced
    models/_meta/outbox/pending/{event_id}.json    an event that is still looked after
    models/_meta/outbox/{event_id}.json            it was delivered, and when
    models/_meta/outbox/reconciled.json            how far was looked for lost ones

A state change of the registry is its own record, so only what has none (a training, a
refusal) is put under ``pending``, and what had to be sent late; a delivery is marked for
all of them. An orchestrator may lose what it took, or die before it acts on it, so what
is pending stays until both were seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from brixa_flows.errors import ObjectExistsError, ObjectNotFoundError, StaleWriteError
from brixa_flows.events import EVENTS, EventPayload
from brixa_flows.outbox.owed import Owed
from brixa_flows.outbox.untold import Untold, untold_file
from brixa_flows.registry import ModelRegistry

__all__ = ["Outbox", "Progress"]


@dataclass(frozen=True)
class Progress:
    """How far reconciliation got.

    Attributes:
        through: Records older than that are settled.
        recovered: When ``recover()`` ran last.
    """

    through: datetime | None = None
    recovered: datetime | None = None


class Outbox:
    """The outbox of one registry; safe to use from many processes.

    Args:
        registry: Whose storage keeps it.
    """

    def __init__(self, registry: ModelRegistry) -> None:
        self._storage = registry.storage
        self._prefix = f"{registry.layout.meta_prefix}/outbox"

    def begin(self) -> datetime:
        """From when on changes are announced; the first call decides it."""
        began = self.started_at()
        if began is None:
            self._create(self._started_key, {"at": datetime.now(UTC).isoformat()})
        return began or self.begin()

    def started_at(self) -> datetime | None:
        """From when on changes are announced; ``None`` before the first :meth:`begin`."""
        try:
            record = json.loads(self._storage.read(self._started_key)[0])
        except ObjectNotFoundError:
            return None
        return datetime.fromisoformat(record["at"])

    def put(self, event_id: UUID, payload: EventPayload) -> None:
        """Keep an event before it is emitted; putting it again changes nothing."""
        if not self.is_delivered(event_id):
            self.keep(event_id, payload)

    def keep(self, event_id: UUID, payload: EventPayload) -> None:
        """Keep an event until it is settled, whether it was delivered or not."""
        record = {
            "event_id": str(event_id),
            "event": payload.event,
            "payload": payload.model_dump(mode="json"),
            "at": datetime.now(UTC).isoformat(),
        }
        self._create(self._pending_key(event_id), record)

    def mark_delivered(self, event_id: UUID) -> None:
        """Record that the orchestrator took it."""
        record = {"event_id": str(event_id), "at": datetime.now(UTC).isoformat()}
        self._create(self._mark_key(event_id), record)

    def is_delivered(self, event_id: UUID) -> bool:
        """Whether its delivery was marked."""
        return self._storage.stat(self._mark_key(event_id)) is not None

    def delivered_at(self, event_id: UUID) -> datetime | None:
        """When its delivery was marked first; ``None`` if it was not."""
        try:
            record = json.loads(self._storage.read(self._mark_key(event_id))[0])
            return datetime.fromisoformat(record["at"])
        except ObjectNotFoundError:
            return None
        except (LookupError, TypeError, ValueError):
            return datetime.min.replace(tzinfo=UTC)  # a mark all the same

    def settle(self, event_id: UUID) -> None:
        """Forget what is pending: the orchestrator has it and acted on it."""
        self._storage.delete(self._pending_key(event_id))

    def pending(self) -> Iterator[Owed]:
        """Events that were put and never settled, by key; :meth:`untold` has the rest."""
        return (each for each in self.read_pending() if isinstance(each, Owed))

    def untold(self) -> Iterator[Untold]:
        """Those that can't be read, so that nobody can send them."""
        return (each for each in self.read_pending() if isinstance(each, Untold))

    def read_pending(self) -> Iterator[Owed | Untold]:
        """Both, by key."""
        for stored in self._storage.list(f"{self._prefix}/pending"):
            try:
                record = json.loads(self._storage.read(stored.key)[0])
                payload = EVENTS[record["event"]].model_validate(record["payload"])
                at = datetime.fromisoformat(record["at"])
                yield Owed(UUID(record["event_id"]), payload, at)
            except ObjectNotFoundError:  # settled meanwhile
                continue
            except (LookupError, TypeError, ValueError) as err:
                yield untold_file(stored.key, err)

    def progress(self) -> Progress:
        """How far reconciliation got; one that can't be read begins anew."""
        try:
            record = json.loads(self._storage.read(self._progress_key)[0])
            times = {key: _time(record.get(key)) for key in ("through", "recovered")}
        except (ObjectNotFoundError, AttributeError, TypeError, ValueError):
            return Progress()
        return Progress(**times)

    def keep_progress(self, progress: Progress) -> None:
        """Remember it; where two did at once, either will do."""
        record = {
            "through": progress.through and progress.through.isoformat(),
            "recovered": progress.recovered and progress.recovered.isoformat(),
        }
        found = self._storage.stat(self._progress_key)
        etag = None if found is None else found.etag
        try:
            data = json.dumps(record, indent=1).encode()
            self._storage.replace(self._progress_key, data, etag=etag, durable=False)
        except StaleWriteError:
            return

    @property
    def _started_key(self) -> str:
        return f"{self._prefix}/started.json"

    @property
    def _progress_key(self) -> str:
        return f"{self._prefix}/reconciled.json"

    def _mark_key(self, event_id: UUID) -> str:
        return f"{self._prefix}/{event_id}.json"

    def _pending_key(self, event_id: UUID) -> str:
        return f"{self._prefix}/pending/{event_id}.json"

    def _create(self, key: str, record: Mapping[str, object]) -> None:
        try:
            self._storage.create(key, json.dumps(record, indent=1).encode())
        except ObjectExistsError:
            return


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
