"""Delivers the events that a crash or an absent server kept from being delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import BrixaError
from brixa_flows.events import EventPayload
from brixa_flows.outbox.heeding import Heeding, Taken, ids_of
from brixa_flows.outbox.outbox import Outbox, Progress
from brixa_flows.outbox.owed import Owed, deployed, owed_by
from brixa_flows.outbox.untold import Untold, untold_entry
from brixa_flows.registry import ModelRegistry, RecoveryAction

__all__ = ["Reconciled", "Reconciler", "Refused", "Unheeded"]

_LOG = logging.getLogger(__name__)
# Clocks of storage and of this machine differ, and a record may show a while late.
_OVERLAP = timedelta(minutes=15)
OLDER_THAN = timedelta(minutes=2)
# Prefect writes what it took within 5 s by default.
WRITTEN_WITHIN = timedelta(seconds=30)
UNHEEDED_AFTER = timedelta(minutes=5)
RECOVER_EVERY = timedelta(days=1)


@dataclass(frozen=True)
class Unheeded:
    """An event that was sent again and again, and on which nobody acted.

    Attributes:
        payload: What happened.
        waits_for: What should have started a run.
    """

    payload: EventPayload
    waits_for: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """An event that the orchestrator does not take, as it is what it is.

    Attributes:
        payload: What happened.
        why: Why it does not.
    """

    payload: EventPayload
    why: str


@dataclass(frozen=True)
class Reconciled:
    """What was made good.

    Attributes:
        delivered: Events that the orchestrator did not have, or did not act on, oldest
            first.
        repaired: What ``recover()`` did.
        unheeded: Events that will not be sent again, as that did not help.
        refused: Events that were refused for the first time; each run tries again.
        untold: Events that nobody can send, found for the first time.
    """

    delivered: tuple[EventPayload, ...]
    repaired: tuple[RecoveryAction, ...]
    unheeded: tuple[Unheeded, ...] = ()
    refused: tuple[Refused, ...] = ()
    untold: tuple[Untold, ...] = ()


class Reconciler:
    """Compares what was recorded with what was delivered.

    What was recorded before a registry first met the loop is history and is never
    announced. What is younger than a run may take is left to the run itself.

    An orchestrator that answers may still lose what it took: Prefect's keeps events in
    memory for seconds before it writes them. So recent ones are looked for there, and
    sent again under their id if they are not; or under another one, if they are there and
    nobody acted on them (see :mod:`~brixa_flows.outbox.heeding`).

    Args:
        registry: The registry.
        deliver: Sends an event, and returns when the orchestrator took it.
        look_up: Those of some events that the orchestrator has; without it what was
            delivered is believed to be there, and heeded.
        older_than: Age from which an event counts as lost; after a delivery, if that is
            longer than the orchestrator may take to write it.
        unheeded_after: How long after it was sent an event may still be acted on.
        recover_every: How often ``recover()`` runs though nothing asks for it.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        deliver: Callable[[EventPayload, UUID], object],
        look_up: Callable[[Collection[UUID]], Mapping[UUID, Taken]] | None = None,
        *,
        older_than: timedelta = OLDER_THAN,
        unheeded_after: timedelta = UNHEEDED_AFTER,
        recover_every: timedelta = RECOVER_EVERY,
    ) -> None:
        self._registry = registry
        self._deliver = deliver
        self._look_up = look_up or _believed
        self._older_than = older_than
        self._unheeded_after = unheeded_after
        self._recover_every = recover_every
        self._outbox = Outbox(registry)

    def run(self) -> Reconciled:
        """Deliver what is owed, then repair; a second run finds nothing to do.

        An event that is refused holds nothing else back.

        Raises:
            BrixaError: If the orchestrator is away, or the tracking backend is needed
                and away; the next run goes on from there.
        """
        begun = datetime.now(UTC)
        started, progress = self._outbox.begin(), self._outbox.progress()
        since = (progress.through or started) - _OVERLAP
        announced = [*self._announced(started, since)]
        found = {each.event_id: each for each in announced if isinstance(each, Owed)}
        untold = [each for each in announced if isinstance(each, Untold)]
        marks = {each: self._outbox.delivered_at(each) for each in found}
        taken = self._taken([each for each, at in marks.items() if at is not None])
        late = {each: each for each in self._missing(found, marks, taken, begun)}
        again, unheeded = self._heed(found, taken, begun)
        late |= again
        sent, refused = self._send_all(found, late)
        self._outbox.keep_progress(Progress(begun, progress.recovered))
        repaired: list[RecoveryAction] = []
        if self._needs_repair(begun, progress):
            repaired = self._registry.recover()
            self._outbox.keep_progress(Progress(begun, begun))
        return Reconciled(
            tuple(sent),
            tuple(repaired),
            tuple(unheeded),
            tuple(refused),
            tuple(each for each in untold if self._is_news(each.event_id, "untold")),
        )

    def _send_all(
        self, found: Mapping[UUID, Owed], late: Mapping[UUID, UUID]
    ) -> tuple[list[EventPayload], list[Refused]]:
        """Send what is late, oldest first; what was sent, and what is refused and new."""
        sent, refused = [], []
        for event_id in sorted(late, key=lambda each: found[each].at):
            payload = found[event_id].payload
            try:
                self._send(found[event_id], late[event_id])
            except ConnectionError:
                raise
            except BrixaError as err:
                _LOG.error("not taken: %s: %s", payload.message, err)
                if self._is_news(event_id, "refused"):
                    refused.append(Refused(payload, str(err)))
            else:
                sent.append(payload)
        return sent, refused

    def _taken(self, sent: Collection[UUID]) -> dict[UUID, Taken]:
        """What the orchestrator has of some events, under all the ids that matter."""
        taken = dict(self._look_up(sent)) if sent else {}
        waiting = [each for each, there in taken.items() if there.waits_for]
        again = [other for each in waiting for other in ids_of(each)[1:]]
        return {**taken, **self._look_up(again)} if again else taken

    def _missing(
        self,
        found: Mapping[UUID, Owed],
        marks: Mapping[UUID, datetime | None],
        taken: Collection[UUID],
        now: datetime,
    ) -> Iterator[UUID]:
        """What was not delivered, or was and did not arrive, each in its time."""
        for event_id in found.keys() - taken:
            delivered_at = marks[event_id]
            if delivered_at is None:
                is_late = now - found[event_id].at >= self._older_than
            else:
                patience = max(self._older_than, WRITTEN_WITHIN)
                is_late = now - delivered_at >= patience
            if is_late:
                yield event_id

    def _heed(
        self, found: Mapping[UUID, Owed], taken: Mapping[UUID, Taken], now: datetime
    ) -> tuple[dict[UUID, UUID], list[Unheeded]]:
        """What is to be sent again, under which id, and what has been often enough."""
        again: dict[UUID, UUID] = {}
        given_up = []
        for event_id in found.keys() & taken.keys():
            heeding = Heeding.of(event_id, taken)
            if not heeding.waits_for:
                self._outbox.settle(event_id)
            elif now - heeding.last_sent < self._unheeded_after:
                continue
            elif heeding.next_id is not None:
                again[event_id] = heeding.next_id
            elif self._give_up(event_id):
                waits_for = tuple(sorted(heeding.waits_for))
                given_up.append(Unheeded(found[event_id].payload, waits_for))
        return again, given_up

    def _give_up(self, event_id: UUID) -> bool:
        """Whether that is news."""
        self._outbox.settle(event_id)
        return self._is_news(event_id, "given up")

    def _is_news(self, event_id: UUID, what: str) -> bool:
        mark = uuid5(event_id, what)
        if self._outbox.is_delivered(mark):
            return False
        self._outbox.mark_delivered(mark)
        return True

    def _send(self, owed: Owed, event_id: UUID) -> None:
        # Its record is old, and only recent ones are looked at: this one stays in sight.
        self._outbox.keep(owed.event_id, owed.payload)
        self._deliver(owed.payload, event_id)
        self._outbox.mark_delivered(owed.event_id)

    def untold(self) -> list[Untold]:
        """Every event that nobody can send, whenever it was found; changes nothing."""
        started = self._outbox.started_at()
        if started is None:
            return []
        announced = self._announced(started, started)
        return [each for each in announced if isinstance(each, Untold)]

    def _announced(self, started: datetime, since: datetime) -> Iterator[Owed | Untold]:
        """What owes an event and is pending, recent, or not marked."""
        yield from self._outbox.read_pending()
        for recorded in self._registry.feed.since(since):
            if recorded.at < started:
                continue
            try:
                owed = owed_by(recorded)
            except (LookupError, TypeError, ValueError) as err:
                if not self._outbox.is_delivered(UUID(recorded.event_id)):
                    yield untold_entry(recorded, err)
                continue
            if owed is not None:
                yield owed
        yield from self._deployments(started, since)

    def _deployments(self, started: datetime, since: datetime) -> Iterator[Owed]:
        deployer = ModelDeployer(self._registry)
        for name in deployer.list():
            try:
                owed = deployed(deployer, name)
            except BrixaError as err:
                _LOG.warning("no event for the deployment %s: %s", name, err)
                continue
            if owed.at < started:
                continue
            if owed.at >= since or not self._outbox.is_delivered(owed.event_id):
                yield owed

    def _needs_repair(self, begun: datetime, progress: Progress) -> bool:
        due = progress.recovered is None
        due = due or begun - (progress.recovered or begun) >= self._recover_every
        return due or self._registry.feed.is_interrupted()


def _believed(event_ids: Collection[UUID]) -> dict[UUID, Taken]:
    """As of an orchestrator that has all of them and acted on them."""
    now = datetime.now(UTC)
    return {event_id: Taken(now) for event_id in event_ids}
