"""Starting runs again whose process died.

Nothing in Prefect does that. A worker sees that a process of its own died and calls the
run crashed; if the worker or its machine died too, the run stays *Running* for ever.
Such a run is known by its heartbeats, which ``prefect.yaml`` asks for and which stop.
Every flow of the loop may be started again, so starting one again by mistake, because
its machine was cut off or stood still, repeats no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from prefect import get_run_logger, runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed, Scheduled
from prefect.utilities.urls import url_for

from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.heartbeats import gives_signs_of_life
from brixa_flows.tasks.remote import remote_task

__all__ = ["DeadRun", "restart_dead_runs"]

TAG = "brixa"
RESTARTED = "AwaitingRestart"
_GIVEN_UP = "its process died again and again"
_RESTARTS_AT_MOST = 3
_CRASHED_WITHIN = timedelta(days=1)
_PAGE = 200


class DeadRun(NamedTuple):
    """A run whose process died.

    Attributes:
        name: Name of the run.
        why: How it is known.
        restarted: Whether it was started again; if not, it was too often.
    """

    name: str
    why: str
    restarted: bool


@remote_task("runs whose process died")
def restart_dead_runs(silent_for_seconds: float) -> list[DeadRun]:
    """Start runs of the loop again whose process died, three times each at most.

    They are those of deployments with the tag ``brixa`` that crashed within a day, that
    are running but gave no sign of life, or that were handed to a worker and never ran.

    Args:
        silent_for_seconds: Time without a heartbeat from which a process counts as dead.

    Returns:
        What was found and done.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    silent_for = timedelta(seconds=silent_for_seconds)
    with asking_prefect() as client:
        found = [_restart(client, *dead) for dead in _dead(client, silent_for)]
    for run in found:
        done = "is started again" if run.restarted else "is left as it is"
        get_run_logger().warning("%s %s: %s", run.name, done, run.why)
    return found


def _dead(
    client: SyncPrefectClient, silent_for: timedelta
) -> Iterator[tuple[FlowRun, str]]:
    """Runs whose process died, and how that is known."""
    now = datetime.now(UTC)
    me = client.read_flow_run(UUID(str(runtime.flow_run.id))).flow_id
    for run in _runs_of_the_loop(client):
        state = run.state
        if state is None or run.flow_id == me:  # the next one is on a schedule
            continue
        age, said = now - state.timestamp, state.message or ""
        if state.is_crashed():
            if age < _CRASHED_WITHIN and not said.startswith(_GIVEN_UP):
                yield run, said or "it crashed"
        elif age < silent_for:
            continue
        elif state.is_pending():
            yield run, f"a worker took it at {state.timestamp:%H:%M} UTC and never ran it"
        elif gives_signs_of_life(client, run, now - silent_for) is False:
            yield run, f"no sign of life for {silent_for.total_seconds():.0f} s"


def _runs_of_the_loop(client: SyncPrefectClient) -> Iterator[FlowRun]:
    kinds = [StateType.CRASHED, StateType.RUNNING, StateType.PENDING]
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=kinds))
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found = client.read_flow_runs(
        deployment_filter=tagged,
        flow_run_filter=FlowRunFilter(state=state),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_PAGE,
    )
    return iter(cast("list[Any]", found))


def _restart(client: SyncPrefectClient, run: FlowRun, why: str) -> DeadRun:
    states = client.read_flow_run_states(run.id)
    before = sum(state.name == RESTARTED for state in states)
    restarted = before < _RESTARTS_AT_MOST
    after: State[Any]
    if restarted:
        message = (
            f"its process died ({why}), so it is started again, {before + 1} of "
            f"{_RESTARTS_AT_MOST}{_if_it_is_late(run)}"
        )
        after = Scheduled(name=RESTARTED, message=message)
    else:
        page = url_for("flow-run", run.id) or "its page"
        after = Crashed(
            message=f"{_GIVEN_UP}, {_RESTARTS_AT_MOST + 1} times ({why}); look for the "
            f"cause in its log, mend it and choose Retry: {page}"
        )
    client.set_flow_run_state(run.id, after, force=True)
    return DeadRun(run.name, why, restarted)


def _if_it_is_late(run: FlowRun) -> str:
    """What to do if no worker takes it: the one that it had may have died too."""
    pool = run.work_pool_name
    if not pool:
        return ""
    page = url_for("work-pool", pool) or "its page"
    return (
        f"; if it stays late, no worker asks its pool: `prefect worker start --pool "
        f"{pool}`, {page}"
    )
