"""Announce that nobody answered: the end of a promotion that waited for a person.

Prefect itself fails a run that waited too long; no process of ours is there to say so.
"""

from __future__ import annotations

from prefect import flow, get_run_logger
from pydantic import Field

from brixa_flows.tasks.announcing import announce_whole
from brixa_flows.tasks.answering import undecided_run
from brixa_flows.tasks.notifying import tell_of_refusal
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest, FlowRunId
from flows.promote_model import PromoteRequest


class UndecidedRequest(FlowRequest):
    """The promotion that failed."""

    flow_run: FlowRunId = Field(
        description="Its flow run: the id, or as events name it."
    )


@flow(
    name="refuse_undecided",
    flow_run_name="close {request.flow_run}",
    description="Announces brixa.model.refused for a promotion that nobody decided.",
)
@links_remedy
def refuse_undecided(request: UndecidedRequest) -> None:
    """Look whether it waited for a person, and announce that nobody answered."""
    undecided = undecided_run(request.flow_run)
    if undecided is None:
        get_run_logger().info("%s failed otherwise; see its log", request.flow_run)
        return
    parameters, reason = undecided
    promotion = PromoteRequest.model_validate(parameters["request"])
    refused = promotion.refused([reason])
    event_id = refused.event_id(request.flow_run, reason)
    announce_whole(promotion.registry, refused, event_id)
    tell_of_refusal(refused)
