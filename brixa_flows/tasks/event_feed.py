"""What Prefect has of the events that we sent, and which automations acted on them.

A server that dies may have stored an event and not have acted on it: triggers and the
event's storage are two readers of one queue in its memory. What an automation did is an
event too, ``prefect.automation.action.executed`` or ``failed``, which names the one that
it answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import RunDeployment
from prefect.events.filters import (
    EventFilter,
    EventIDFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventRelatedFilter,
)
from prefect.events.schemas.automations import Automation, EventTrigger, Posture
from prefect.events.schemas.events import Event, ResourceSpecification, matches

from brixa_flows.outbox import Taken
from brixa_flows.tasks.asking import asking_prefect

__all__ = ["look_up"]

_PAGE = 50  # of the server's answer, at most
_ACTED = ["prefect.automation.action.executed", "prefect.automation.action.failed"]
_ANSWERED = "triggering-event"
_EVENT = "prefect.event."


def look_up(event_ids: Collection[UUID]) -> dict[UUID, Taken]:
    """Those of some events that Prefect has, each with who is still to act on it.

    Args:
        event_ids: Their ids.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    wanted = [*event_ids]
    with asking_prefect() as client:
        found = list(_events(client, wanted))
        if not found:
            return {}
        automations = [each for each in client.read_automations() if _starts_runs(each)]
        acted = _acted(client, [event.id for event in found])
    return {
        event.id: Taken(
            event.occurred,
            frozenset(
                automation.name
                for automation in automations
                if automation.name not in acted[event.id]
                and _covers(cast(EventTrigger, automation.trigger), event)
            ),
        )
        for event in found
    }


def _events(client: SyncPrefectClient, ids: Sequence[UUID]) -> Iterator[Event]:
    for batch in _batches(ids):
        yield from _pages(client, EventFilter(id=EventIDFilter(id=batch)))


def _acted(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[UUID, set[str]]:
    """Names of the automations that acted, or tried to, by the event that they answer.

    Names and not ids, since each ``prefect deploy`` makes its automations anew.
    """
    found: dict[UUID, set[str]] = defaultdict(set)
    for batch in _batches(ids):
        roles = [(f"{_EVENT}{event_id}", _ANSWERED) for event_id in batch]
        query = EventFilter(
            event=EventNameFilter(name=_ACTED),
            related=EventRelatedFilter(resources_in_roles=roles),
        )
        for action in _pages(client, query):
            answered = action.resource_in_role[_ANSWERED].id.removeprefix(_EVENT)
            found[UUID(answered)].add(action.resource.name or "")
    return found


def _pages(client: SyncPrefectClient, query: EventFilter) -> Iterator[Event]:
    # By default it hides what a clock that runs ahead dated.
    query.occurred = EventOccurredFilter(until=datetime.now(UTC) + timedelta(days=1))
    page = client.read_events(query, limit=_PAGE)
    yield from page.events
    while page.next_page:
        page = client.read_events_page(str(page.next_page))
        yield from page.events


def _batches(whole: Sequence[UUID]) -> Iterator[list[UUID]]:
    for begin in range(0, len(whole), _PAGE):
        yield [*whole[begin : begin + _PAGE]]


def _starts_runs(automation: Automation) -> bool:
    """Whether it is on, and each event that its trigger covers starts a run at once."""
    trigger = automation.trigger
    return (
        automation.enabled
        and isinstance(trigger, EventTrigger)
        and trigger.posture == Posture.Reactive
        and (trigger.threshold, trigger.within) == (1, timedelta(0))
        and not trigger.after
        and any(isinstance(action, RunDeployment) for action in automation.actions)
    )


def _covers(trigger: EventTrigger, event: Event) -> bool:
    """As Prefect's server decides it."""
    expected = not trigger.expect or any(
        matches(each, event.event) for each in trigger.expect
    )
    related = trigger.match_related
    specifications = related if isinstance(related, list) else [related]
    return (
        expected
        and _specified(trigger.match).includes([event.resource])
        and all(_specified(each).includes(event.related) for each in specifications)
    )


def _specified(match: object) -> ResourceSpecification:
    return ResourceSpecification.model_validate(match)
