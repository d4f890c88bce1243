"""Runs whose process died, as a server has them: started again, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import State
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Pending, Running

from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.tasks import turns
from brixa_flows.tasks.requests import QueuedRequest
from brixa_flows.tasks.restarting import DeadRun, restart_dead_runs
from brixa_flows.tasks.turns import earlier_run

HEARTBEATS = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}
NEVER = 3600.0
APART_SECONDS = 8.0

pytestmark = [
    pytest.mark.timeout(300),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@flow
def some_step() -> None:
    """Stands for a flow of the loop."""


@flow
def looking() -> None:
    """Stands for reconcile."""


@pytest.fixture(scope="module")
def client(stack: PrefectStack) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        with get_client(sync_client=True) as client:
            yield client


class Turn(QueuedRequest):
    """Runs about one thing take turns."""

    about: str

    @property
    def queue(self) -> tuple[str, ...]:
        return (self.about,)


def _run(
    client: SyncPrefectClient, state: State, tag: str = "brixa", pool: str | None = None
) -> UUID:
    """A run of a deployment, in a state, with the first place in a queue of its own."""
    deployment = client.create_deployment(
        client.create_flow(some_step),
        name=f"dies-{tag}-{pool}",
        work_pool_name=pool,
        tags=[tag],
        job_variables=HEARTBEATS,
    )
    name = uuid4().hex
    run = client.create_flow_run_from_deployment(
        deployment, name=name, parameters={"request": {"about": name}}
    )
    client.set_flow_run_state(run.id, state, force=True)
    return run.id


def _look(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, silent_for: float
) -> dict[str, DeadRun]:
    """Look as a run of reconcile does; what was found by the names of the runs."""
    me = client.create_flow_run(looking)
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(me.id))
    return {run.name: run for run in restart_dead_runs.fn(silent_for)}


def test_a_run_that_crashed_is_started_again_three_times_and_then_says_why_not(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, stack: PrefectStack
) -> None:
    run_id = _run(client, Crashed(message="exited with -9"))
    name = client.read_flow_run(run_id).name
    for number in (1, 2, 3):
        assert _look(client, monkeypatch, NEVER)[name].restarted
        state = client.read_flow_run(run_id).state
        assert state is not None and state.is_scheduled()
        assert f"(exited with -9), so it is started again, {number} of 3" in str(state)
        client.set_flow_run_state(run_id, Crashed(message="exited with -9"), force=True)
    assert not _look(client, monkeypatch, NEVER)[name].restarted
    state = client.read_flow_run(run_id).state
    assert state is not None and state.is_crashed()
    assert state.message == (
        "its process died again and again, 4 times (exited with -9); look for the cause "
        f"in its log, mend it and choose Retry: {stack.ui_url}/runs/flow-run/{run_id}"
    )
    assert name not in _look(client, monkeypatch, NEVER)


def test_a_run_of_a_dead_worker_is_started_again_says_what_if_none_is_left_and_others_not(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, stack: PrefectStack
) -> None:
    client.create_work_pool(WorkPoolCreate(name="lost", type="process"))
    dead, taken = (_run(client, state, pool="lost") for state in (Running(), Pending()))
    alive, foreign = (
        _run(client, Running(), tag) for tag in ("brixa", "somebody-elses")
    )
    names = {
        run_id: client.read_flow_run(run_id).name
        for run_id in (dead, taken, alive, foreign)
    }
    assert not names.values() & _look(client, monkeypatch, NEVER).keys()
    time.sleep(APART_SECONDS)
    last = _beat(client, alive)
    silent_for = (datetime.now(UTC) - last).total_seconds() + APART_SECONDS / 2
    monkeypatch.setattr(turns, "SILENT_FOR", timedelta(seconds=silent_for))
    assert _first(client, monkeypatch, names[alive], timedelta(0)) == names[alive]
    assert _first(client, monkeypatch, names[dead], timedelta(hours=1)) == ""
    found = _look(client, monkeypatch, silent_for)
    assert found[names[dead]].why.startswith("no sign of life for ")
    assert "a worker took it" in found[names[taken]].why
    assert not {names[alive], names[foreign]} & found.keys()
    for run_id in (dead, taken):
        assert client.read_flow_run(run_id).state_name == "AwaitingRestart"

    said = str(client.read_flow_run(dead).state)
    assert f"({found[names[dead]].why}), so it is started again, 1 of 3; if it" in said
    start = "it stays late, no worker asks its pool: `prefect worker start --pool lost`"
    assert f"{start}, {stack.ui_url}/work-pools/work-pool/lost" in said


def _first(
    client: SyncPrefectClient,
    monkeypatch: pytest.MonkeyPatch,
    queue: str,
    runs_at_most: timedelta,
) -> str:
    """Whom a new run waits for that stands in a queue."""
    me = client.create_flow_run(some_step)
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(me.id))
    return earlier_run.fn(some_step.name, Turn(about=queue), runs_at_most)


def _beat(client: SyncPrefectClient, run_id: UUID) -> datetime:
    """Send a heartbeat and wait until the server has written it; when it was."""
    now = datetime.now(UTC)
    event = {
        "id": str(uuid4()),
        "event": "prefect.flow-run.heartbeat",
        "occurred": now.isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
    }
    client.request("POST", "/events", json=[event])
    query = {"filter": {"id": {"id": [event["id"]]}}}

    def arrived() -> bool:
        answer = client.request("POST", "/events/filter", json=query)
        return bool(answer.json()["events"])

    wait_until(arrived, 30, "the heartbeat")
    return now
