"""One run of a flow about one thing at a time, in the order in which they were made.

Promotions of a model take turns, and roll-outs of a deployment. A promotion may wait for
a person for days and its process ends meanwhile, so no lock of a process or with a lease
can be held for it. The server's own list of runs is the queue instead: a run goes on when
every run that was made before it, about the same thing in the same registry, is over,
however it ended or died. So nothing can be left behind locked.

The queue keeps the order. That nobody displaces a version that it was not compared with
is kept by the registry itself, whoever moves: ``transition(replacing=)``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger, runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import Pause
from prefect.states import Scheduled
from pydantic import ValidationError

from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.heartbeats import gives_signs_of_life
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.requests import QueuedRequest

__all__ = ["await_turn", "earlier_run"]

WAITING = "AwaitingConcurrencySlot"
_UNDER_WAY = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
]
# Twice what `reconcile` needs to find it and start it again, in its old place.
SILENT_FOR = timedelta(minutes=15)
_SHORTEST, _LONGEST = timedelta(seconds=5), timedelta(minutes=5)
_PAGE = 200


def await_turn(flow: str, request: QueuedRequest, runs_at_most: timedelta) -> None:
    """Go on only when no earlier run of a flow about the same thing is under way.

    Call it from the flow, before anything is asked. A run of a deployment leaves its
    process and comes back from time to time; another one waits in its own.

    Args:
        flow: Name of the flow.
        request: The parameters of this run.
        runs_at_most: A run that sends no heartbeats and says for longer that it runs
            died unnoticed.

    Raises:
        Pause: If it is not this run's turn and the run comes back later.
    """
    while runtime.flow_run.id:
        earlier = earlier_run(flow, request, runs_at_most)
        if not earlier:
            return
        get_run_logger().info("waits until %s is over", earlier)
        if runtime.deployment.id:
            about = request.queue[-1]
            _come_back_later(
                f"one run of {flow} for {about} at a time: {earlier} comes first"
            )
        time.sleep(_SHORTEST.total_seconds())


@remote_task("is there an earlier run of {flow}?")
def earlier_run(flow: str, request: QueuedRequest, runs_at_most: timedelta) -> str:
    """The run that comes before this one, as it is called.

    Args:
        flow: Name of the flow.
        request: The parameters of this run.
        runs_at_most: How long one without heartbeats is believed that it runs.

    Returns:
        Name of the first run in the queue; empty if that is this one.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    with asking_prefect() as client:
        mine = client.read_flow_run(UUID(str(runtime.flow_run.id)))
        place, now = _place(mine), datetime.now(UTC)
        earlier = [
            run
            for run in _under_way(client, flow)
            if _place(run) < place
            and _queue(run, type(request)) == request.queue
            and _counts(client, run, now, runs_at_most)
        ]
    return min(earlier, key=_place).name if earlier else ""


def _under_way(client: SyncPrefectClient, flow: str) -> Iterator[FlowRun]:
    """Runs of a flow that have begun, or are to, and are not over."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    offset, page = 0, [*range(_PAGE)]
    while len(page) == _PAGE:
        page = cast(
            "list[Any]",
            client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
                flow_run_filter=FlowRunFilter(state=state),
                sort=FlowRunSort.ID_DESC,
                limit=_PAGE,
                offset=offset,
            ),
        )
        yield from page
        offset += _PAGE


def _counts(
    client: SyncPrefectClient, run: FlowRun, now: datetime, runs_at_most: timedelta
) -> bool:
    """Whether it is waited for: as long as it lives, and no longer."""
    state = run.state
    if state is None:
        return False
    if state.is_scheduled():  # a person's plan for tomorrow holds nobody up
        due = run.expected_start_time
        return bool(run.run_count) or state.name == WAITING or not due or due <= now
    age = now - state.timestamp
    if state.is_paused() or age < min(SILENT_FOR, runs_at_most):
        return True
    alive = gives_signs_of_life(client, run, now - SILENT_FOR)
    return age < runs_at_most if alive is None else alive


def _queue(run: FlowRun, kind: type[QueuedRequest]) -> tuple[str, ...]:
    """What a run is about; nothing if its parameters are none, so that it will fail."""
    try:
        return kind.model_validate(run.parameters.get("request")).queue
    except ValidationError:
        return ()


def _place(run: FlowRun) -> tuple[datetime, str]:
    """Place in the queue: when the server made the run."""
    return run.created or datetime.max.replace(tzinfo=UTC), str(run.id)


def _come_back_later(why: str) -> None:
    """End this process; a worker starts the run again, the later the longer it waits."""
    run_id = UUID(str(runtime.flow_run.id))
    with asking_prefect() as client:
        created = client.read_flow_run(run_id).created
        now = datetime.now(UTC)
        pause = min(max((now - (created or now)) / 4, _SHORTEST), _LONGEST)
        state: State[Any] = Scheduled(
            name=WAITING, scheduled_time=now + pause, message=why
        )
        client.set_flow_run_state(run_id, state, force=True)
    raise Pause(state=state)
