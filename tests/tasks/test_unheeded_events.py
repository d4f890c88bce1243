"""Events that a real server has and did not act on, as one that died in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.events import WindowClosed
from brixa_flows.outbox import Outbox, Reconciled, Reconciler
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tasks.announcing import announce_window_closed, deliver
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
