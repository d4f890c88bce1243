"""So that people are told of one trouble now and then, not each time it comes.

A flow that fails every five minutes would be told every five minutes. A run that sent
its message bears the tag ``told:TROUBLE``; the server's list of runs is all the memory
that this needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterTags,
)
from prefect.exceptions import ObjectNotFound

from brixa_flows.tasks.answering import FLOW, undecided_run
from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.run_page import add_tags

__all__ = ["Trouble", "find_trouble", "mark_told"]


@dataclass(frozen=True)
class Trouble:
    """What a message is about.

    Attributes:
        name: The same for the same trouble: a flow and its model, or the message.
        reason: Why nobody is told of it now; empty if somebody is.
    """

    name: str
    reason: str = ""


@remote_task("was {subject} told?")
def find_trouble(subject: str, flow_run_id: str, again_after_minutes: float) -> Trouble:
    """What a message is about, and whether people know.

    Args:
        subject: Its line.
        flow_run_id: The run that failed; empty if it is about none.
        again_after_minutes: How long one message about a trouble is enough.

    Raises:
        PrefectUnavailableError: If the server does not answer.
    """
    with asking_prefect() as client:
        name, is_promotion = _name(client, subject, flow_run_id)
        again_after = timedelta(minutes=again_after_minutes)
        told = _told_since(client, name, datetime.now(UTC) - again_after)
    if is_promotion and undecided_run(flow_run_id) is not None:
        return Trouble(name, "nobody decided, of which refuse_undecided tells")
    if told and again_after:
        return Trouble(name, f"{name} was told {told:%Y-%m-%d %H:%M} UTC")
    return Trouble(name)


def mark_told(trouble: Trouble) -> None:
    """Remember that this run told of it."""
    add_tags(_tag(trouble.name))


def _tag(name: str) -> str:
    return f"told:{name}"


def _name(
    client: SyncPrefectClient, subject: str, flow_run_id: str
) -> tuple[str, bool]:
    """Name of the trouble, and whether it is a promotion's."""
    if not flow_run_id:
        return subject, False
    try:
        run = client.read_flow_run(UUID(flow_run_id))
        flow = client.read_flow(run.flow_id).name
    except ObjectNotFound:
        return subject, False
    request = run.parameters.get("request")
    model = request.get("name", "") if isinstance(request, dict) else ""
    return f"{flow} {model}".strip(), flow == FLOW


def _told_since(
    client: SyncPrefectClient, name: str, since: datetime
) -> datetime | None:
    """When a run told of a trouble last, if it was since then."""
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=[_tag(name)]),
            start_time=FlowRunFilterStartTime(after_=since),
        )
    )
    others = [run for run in found if str(run.id) != str(runtime.flow_run.id)]
    return max((run.start_time for run in others if run.start_time), default=None)
