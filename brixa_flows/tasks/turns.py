"""One promotion of a model at a time, in the order in which their runs were made.

A promotion may wait for a person for days and its process ends meanwhile, so no lock of
a process or with a lease can be held for it. The server's own list of runs is the queue
instead: a run goes on when every run that was made before it, for the same model in the
same registry, is over, however it ended. So nothing can be left behind locked.

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

from brixa_flows.tasks.answering import FLOW
from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.remote import remote_task

__all__ = ["await_turn", "earlier_promotion"]

WAITING = "AwaitingConcurrencySlot"
_UNDER_WAY = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
]
# A promotion takes seconds while it runs; one that runs for longer died unnoticed.
_RUNS_AT_MOST = timedelta(minutes=15)
_SHORTEST, _LONGEST = timedelta(seconds=5), timedelta(minutes=5)
_PAGE = 200


def await_turn(registry: str, name: str) -> None:
    """Go on only when no earlier promotion of the model is under way.

    Call it from a flow, before anything is asked. A run of a deployment leaves its
    process and comes back from time to time; another one waits in its own.

    Args:
        registry: Name of the registry's block.
        name: The model.

    Raises:
        Pause: If it is not this run's turn and the run comes back later.
    """
    while runtime.flow_run.id:
        earlier = earlier_promotion(registry, name)
        if not earlier:
            return
        get_run_logger().info("waits until %s is over", earlier)
        if runtime.deployment.id:
            _come_back_later(
                f"one promotion of {name} at a time: {earlier} comes first"
            )
        time.sleep(_SHORTEST.total_seconds())


@remote_task("is there an earlier promotion of {name}?")
def earlier_promotion(registry: str, name: str) -> str:
    """The promotion that comes before this run's, as its run is called.

    Args:
        registry: Name of the registry's block.
        name: The model.

    Returns:
        Name of the first run in the queue; empty if that is this one.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    with asking_prefect() as client:
        mine = client.read_flow_run(UUID(str(runtime.flow_run.id)))
        place = _place(mine)
        earlier = [
            run
            for run in _under_way(client)
            if _is_about(run, registry, name) and _place(run) < place
        ]
    return min(earlier, key=_place).name if earlier else ""


def _under_way(client: SyncPrefectClient) -> Iterator[FlowRun]:
    """Promotions that have begun, or are due, and are not over."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    now = datetime.now(UTC)
    offset, page = 0, [*range(_PAGE)]
    while len(page) == _PAGE:
        page = cast(
            "list[Any]",
            client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
                flow_run_filter=FlowRunFilter(state=state),
                sort=FlowRunSort.ID_DESC,
                limit=_PAGE,
                offset=offset,
            ),
        )
        yield from (run for run in page if _counts(run, now))
        offset += _PAGE


def _counts(run: FlowRun, now: datetime) -> bool:
    state = run.state
    if state is None:
        return False
    if state.is_scheduled():  # a person's plan for tomorrow holds nobody up
        due = run.expected_start_time
        return bool(run.run_count) or state.name == WAITING or not due or due <= now
    return state.is_paused() or now - state.timestamp < _RUNS_AT_MOST


def _is_about(run: FlowRun, registry: str, name: str) -> bool:
    request = run.parameters.get("request")
    asked: dict[str, Any] = request if isinstance(request, dict) else {}
    return asked.get("name") == name and asked.get("registry", "brixa") == registry


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
