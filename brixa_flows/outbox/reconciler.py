"""Delivers the events that a crash or an absent server kept from being delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import BrixaError
from brixa_flows.events import EventPayload
from brixa_flows.outbox.outbox import Outbox, Progress
from brixa_flows.outbox.owed import Owed, deployed, owed_by
from brixa_flows.registry import ModelRegistry, RecoveryAction

__all__ = ["Reconciled", "Reconciler"]

_LOG = logging.getLogger(__name__)
# Clocks of storage and of this machine differ, and a record may show a while late.
_OVERLAP = timedelta(minutes=15)
OLDER_THAN = timedelta(minutes=2)
# Prefect writes what it took within 5 s by default.
WRITTEN_WITHIN = timedelta(seconds=30)
RECOVER_EVERY = timedelta(days=1)


@dataclass(frozen=True)
class Reconciled:
    """What was made good.

    Attributes:
        delivered: Events that the orchestrator did not have, oldest first.
        repaired: What ``recover()`` did.
    """

    delivered: tuple[EventPayload, ...]
    repaired: tuple[RecoveryAction, ...]


class Reconciler:
    """Compares what was recorded with what was delivered.

    What was recorded before a registry first met the loop is history and is never
    announced. What is younger than a run may take is left to the run itself.

    An orchestrator that answers may still lose what it took: Prefect's keeps events in
    memory for seconds before it writes them. So recent ones are looked for there, and
    sent again under their id if they are not.

    Args:
        registry: The registry.
        deliver: Sends an event, and returns when the orchestrator took it.
        arrived: Which of some events the orchestrator has; without it what was
            delivered is believed to be there.
        older_than: Age from which an event counts as lost; after a delivery, if that is
            longer than the orchestrator may take to write it.
        recover_every: How often ``recover()`` runs though nothing asks for it.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        deliver: Callable[[EventPayload, UUID], object],
        arrived: Callable[[Collection[UUID]], Collection[UUID]] | None = None,
        *,
        older_than: timedelta = OLDER_THAN,
        recover_every: timedelta = RECOVER_EVERY,
    ) -> None:
        self._registry = registry
        self._deliver = deliver
        self._arrived = arrived or (lambda event_ids: event_ids)
        self._older_than = older_than
        self._recover_every = recover_every
        self._outbox = Outbox(registry)

    def run(self) -> Reconciled:
        """Deliver what is owed, then repair; a second run finds nothing to do.

        Raises:
            BrixaError: If an event can't be delivered, or the tracking backend is
                needed and away; the next run goes on from there.
        """
        begun = datetime.now(UTC)
        started, progress = self._outbox.begin(), self._outbox.progress()
        since = (progress.through or started) - _OVERLAP
        found = {owed.event_id: owed for owed in self._announced(started, since)}
        late = sorted(self._missing(found, begun), key=lambda each: each.at)
        for each in late:
            self._deliver(each.payload, each.event_id)
            self._outbox.mark_delivered(each.event_id)
        self._outbox.keep_progress(Progress(begun, progress.recovered))
        repaired: list[RecoveryAction] = []
        if self._needs_repair(begun, progress):
            repaired = self._registry.recover()
            self._outbox.keep_progress(Progress(begun, begun))
        return Reconciled(tuple(each.payload for each in late), tuple(repaired))

    def _missing(self, found: Mapping[UUID, Owed], now: datetime) -> list[Owed]:
        """What was not delivered, or was and did not arrive, each in its time."""
        marks = {each: self._outbox.delivered_at(each) for each in found}
        sent = [each for each, at in marks.items() if at is not None]
        there = set(self._arrived(sent)) if sent else set()
        for event_id in there:
            self._outbox.settle(event_id)
        missing = []
        for event_id in found.keys() - there:
            owed, delivered_at = found[event_id], marks[event_id]
            if delivered_at is None:
                is_late = now - owed.at >= self._older_than
            else:
                patience = max(self._older_than, WRITTEN_WITHIN)
                is_late = now - delivered_at >= patience
            missing += [owed] * is_late
        return missing

    def _announced(self, started: datetime, since: datetime) -> Iterator[Owed]:
        """What owes an event and is pending, recent, or not marked."""
        yield from self._outbox.pending()
        for recorded in self._registry.feed.since(since):
            if recorded.at < started:
                continue
            try:
                owed = owed_by(recorded)
            except (LookupError, ValueError) as err:
                if not self._outbox.is_delivered(UUID(recorded.event_id)):
                    _LOG.warning(
                        "no event for %s %s: %s", recorded.name, recorded.kind, err
                    )
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
