"""Events that a real server has and did not act on, as one that died in between."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_origin
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.events import EVENTS, EventPayload, WindowClosed
from brixa_flows.outbox import (
    Outbox,
    Reconciled,
    Reconciler,
    announces,
    owed_by_record,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tasks.announcing import announce_window_closed, deliver, deliver_kept
from brixa_flows.tasks.event_feed import look_up
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = [
    pytest.mark.timeout(300),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@flow
def judge_somehow(end: str) -> None:
    """Stands for a flow that an event starts."""


@pytest.fixture(scope="module")
def client(stack: PrefectStack) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        with get_client(sync_client=True) as client:
            yield client


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(LocalStorageNode(tmp_path), tracking=MemoryTrackingStore())


@pytest.fixture
def deployment(client: SyncPrefectClient) -> UUID:
    return client.create_deployment(client.create_flow(judge_somehow), name="here")


def _react(client: SyncPrefectClient, deployment: UUID) -> UUID:
    """Make an automation on closed windows of the model ``stormy``."""
    ends = {"end": "{{ event.payload.end }}"}
    trigger = EventTrigger(
        expect={WindowClosed.event},
        match={"prefect.resource.id": "brixa.model.stormy"},
    )
    action = RunDeployment(deployment_id=deployment, parameters=ends)
    automation = AutomationCore(name="Judge it", trigger=trigger, actions=[action])
    return client.create_automation(automation)


def _close_window(registry: ModelRegistry, end: str) -> UUID:
    window = WindowClosed(
        name="stormy", deployment="d", kind="day", start="2026-01-01", end=end
    )
    announce_window_closed(window, registry)
    event_id = window.event_id("d", "day", window.start, end, "")
    wait_until(lambda: event_id in look_up([event_id]), 30, "the event")
    return event_id


def _reconcile(registry: ModelRegistry, after_seconds: float = 0.0) -> Reconciled:
    return Reconciler(
        registry, deliver, look_up, unheeded_after=timedelta(seconds=after_seconds)
    ).run()


def _waiting(*event_ids: UUID) -> dict[UUID, set[str]]:
    return {each: {*there.waits_for} for each, there in look_up(event_ids).items()}


def _ends(client: SyncPrefectClient) -> list[str]:
    """Which windows have a run of the flow."""
    named = FlowFilter(name=FlowFilterName(any_=[judge_somehow.name]))
    runs = client.read_flow_runs(flow_filter=named)
    return sorted(run.parameters["end"] for run in runs)


def test_an_event_that_is_stored_and_started_nothing_is_sent_again_and_starts_it(
    client: SyncPrefectClient, registry: ModelRegistry, deployment: UUID
) -> None:
    outbox, answered, ignored = Outbox(registry), "2026-01-02", "2026-01-03"
    automation = _react(client, deployment)
    heeded = _close_window(registry, answered)
    client.delete_automation(automation)
    unheeded = _close_window(registry, ignored)
    assert _waiting(heeded, unheeded) == {heeded: set(), unheeded: set()}
    automation = _react(client, deployment)  # as each `prefect deploy` does
    wait_until(lambda: not _waiting(heeded)[heeded], 30, "what it did to be stored")
    assert _waiting(unheeded) == {unheeded: {"Judge it"}}
    client.pause_automation(automation)
    assert _waiting(unheeded) == {unheeded: set()}
    client.resume_automation(automation)

    assert _reconcile(registry, 3600).delivered == ()  # it may still come
    assert [each.event_id for each in outbox.pending()] == [unheeded]
    [again] = _reconcile(registry).delivered
    assert isinstance(again, WindowClosed) and again.end == ignored

    def settled() -> bool:
        assert _reconcile(registry, 3600).delivered == ()
        return list(outbox.pending()) == []

    wait_until(settled, 30, "what it did to be stored")
    assert _reconcile(registry).delivered == ()
    assert _ends(client) == [answered, ignored]
    client.delete_automation(automation)


def _least(kind: type[EventPayload]) -> EventPayload:
    """The event with nothing but what it must have."""
    known: dict[str, Any] = {"start": "2026-01-01", "end": "2026-01-02", "kind": "day"}
    known |= {"name": "scanty"}
    by_type: dict[Any, Any] = {str: "x", int: 1, float: 0.5, bool: True}
    return kind(
        **{
            name: known.get(name, by_type.get(field.annotation))
            or get_origin(field.annotation)()
            for name, field in kind.model_fields.items()
            if field.is_required()
        }
    )


def _payloads(client: SyncPrefectClient, ids: Collection[UUID]) -> dict[str, Any]:
    """What the server has under some ids, once it has all of them."""
    query = {"filter": {"id": {"id": [*map(str, ids)]}}, "limit": 50}
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        answer = client.request("POST", "/events/filter", json=query)
        found[:] = answer.json()["events"]
        return len(found) == len(ids)

    wait_until(arrived, 30, "the events")
    return {each["id"]: each for each in found}


def test_each_event_has_every_key_at_once_late_and_out_of_its_record(
    client: SyncPrefectClient, registry: ModelRegistry
) -> None:
    outbox = Outbox(registry)
    outbox.begin()
    sent: dict[UUID, EventPayload] = {}
    for kind in EVENTS.values():
        payload = _least(kind)
        at_once, late, recorded = uuid4(), uuid4(), uuid4()
        deliver_kept(outbox, payload, at_once)
        outbox.put(late, payload)
        kept = {**announces(payload), "event_id": str(recorded), "at": "2026-01-01"}
        owed = owed_by_record(json.loads(json.dumps(kept)))
        deliver(owed.payload, owed.event_id)
        sent |= dict.fromkeys((at_once, late, recorded), payload)
    Reconciler(registry, deliver, look_up, older_than=timedelta(0)).run()
    found = _payloads(client, sent)
    for event_id, payload in sent.items():
        event = found[str(event_id)]
        assert event["event"] == payload.event
        assert event["payload"] == payload.to_payload()
        assert event["payload"].keys() == type(payload).payload_keys()
        assert {*payload.labels} <= event["resource"].keys()
