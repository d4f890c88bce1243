"""The person's side of an approval: what waits, how to answer it, what nobody answered.

All of it is Prefect's own API, so that the form in the UI, ``brixa approve`` and a
plain ``POST /flow_runs/ID/resume`` are three ways to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from brixa_flows.errors import OrchestrationError, some_of
from brixa_flows.events import DEFAULT_POLICY
from brixa_flows.tasks.asking import asking_prefect

__all__ = [
    "WaitingApproval",
    "answer_approval",
    "undecided_run",
    "waiting_approvals",
]

FLOW = "promote_model"


@dataclass(frozen=True)
class WaitingApproval:
    """A flow run that waits for a person.

    Attributes:
        flow_run_id: Its id.
        flow_run: Its name.
        name: The model.
        version: The candidate.
        stage: Where it is to go.
        policy: The policy that asks.
        since: When it began to wait.
        deadline: When it fails, if nobody answers.
        url: Where the Prefect UI shows it; empty if it has none.
    """

    flow_run_id: str
    flow_run: str
    name: str
    version: str
    stage: str
    policy: str
    since: datetime
    deadline: datetime | None
    url: str


def waiting_approvals() -> list[WaitingApproval]:
    """Every run that waits for a person, the one with the first deadline first.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    paused = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    with asking_prefect() as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            flow_run_filter=FlowRunFilter(state=paused),
        )
    waiting = [_waiting(run) for run in runs]
    return sorted(waiting, key=lambda each: (each.deadline or each.since, each.name))


def _waiting(run: FlowRun) -> WaitingApproval:
    assert run.state is not None  # it was found by its state
    request = run.parameters.get("request", {})
    return WaitingApproval(
        flow_run_id=str(run.id),
        flow_run=run.name,
        name=request.get("name", ""),
        version=request.get("version", ""),
        stage=request.get("stage", "production"),
        policy=request.get("policy", DEFAULT_POLICY),
        since=run.state.timestamp,
        deadline=run.state.state_details.pause_timeout,
        url=url_for("flow-run", run.id) or "",
    )


def answer_approval(run: str, approve: bool, name: str, reason: str) -> WaitingApproval:
    """Answer a waiting run.

    Args:
        run: Its id, the begin of its id that no other one has, or its name.
        approve: Whether the version may go on.
        name: Who says so.
        reason: Why.

    Returns:
        The question that was answered.

    Raises:
        OrchestrationError: If no such run waits, or Prefect does not take the answer.
        PrefectUnavailableError: If the server does not answer.
    """
    question = _find(run)
    answer = {
        "decision": "approve" if approve else "reject",
        "name": name,
        "reason": reason,
    }
    with asking_prefect() as client:
        result = client.resume_flow_run(UUID(question.flow_run_id), run_input=answer)
    if result.status != SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", None) or result.status.value
        raise OrchestrationError(
            f"Prefect does not take the answer to {question.flow_run!r}: {reason}",
            flow_run_id=question.flow_run_id,
        )
    return question


def _find(run: str) -> WaitingApproval:
    waiting = waiting_approvals()
    found = [
        each
        for each in waiting
        if run and (each.flow_run_id.startswith(run.lower()) or each.flow_run == run)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = some_of([each.flow_run_id for each in found])
        raise OrchestrationError(f"{run!r} is one of several runs that wait: {ids}")
    known = some_of([each.flow_run_id for each in waiting])
    others = f"these wait: {known}" if waiting else "no run waits for a person"
    raise OrchestrationError(
        f"the run {run!r} does not wait for a person ({_state_of(run)}); {others}"
    )


def _state_of(run: str) -> str:
    try:
        with asking_prefect() as client:
            found = client.read_flow_run(UUID(run))
    except (ValueError, ObjectNotFound):
        return "there is none of that id"
    return f"it is {found.state_name}"


def undecided_run(flow_run: str) -> tuple[dict[str, Any], str] | None:
    """What a run asked that failed because nobody answered.

    Args:
        flow_run: Its id, or the resource that Prefect's events name.

    Returns:
        The run's parameters and why it failed, or ``None`` if it failed otherwise.

    Raises:
        OrchestrationError: If there is no such run.
        PrefectUnavailableError: If the server does not answer.
    """
    flow_run_id = UUID(flow_run.removeprefix("prefect.flow-run."))
    try:
        with asking_prefect() as client:
            run = client.read_flow_run(flow_run_id)
            states = client.read_flow_run_states(flow_run_id)
    except ObjectNotFound as err:
        raise OrchestrationError(
            f"Prefect knows no flow run {flow_run_id}; give the id of a run of "
            "promote_model that failed",
            flow_run_id=str(flow_run_id),
        ) from err
    before = [state for state in states if state.type != StateType.FAILED]
    if run.state_type != StateType.FAILED or not before or not before[-1].is_paused():
        return None
    deadline = before[-1].state_details.pause_timeout
    failed_at = run.state.timestamp if run.state else None
    if not deadline or not failed_at or failed_at < deadline:
        return run.parameters, "the question was ended before anybody answered"
    return run.parameters, f"nobody decided until {deadline:%Y-%m-%d %H:%M} UTC"
