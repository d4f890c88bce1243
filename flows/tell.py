"""Tell people something, through the notification block that the settings name."""

from __future__ import annotations

from prefect import flow, get_run_logger
from pydantic import Field

from brixa_flows.tasks import notifying
from brixa_flows.tasks.damping import find_trouble, mark_told
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest, OptionalFlowRunId


class TellRequest(FlowRequest):
    """What to say."""

    subject: str = Field(min_length=1, description="One line.")
    text: str = Field("", description="What happened, and what to do.")
    flow_run: OptionalFlowRunId = Field(
        "",
        description="The run that it is about, by id or as events name it; empty is this.",
    )
    again_after_minutes: float = Field(
        60,
        ge=0,
        le=366 * 24 * 60,
        description="For how long one message is enough about failures of the same flow "
        "on the same model, or with the same subject; 0 tells of each.",
    )


@flow(
    name="tell",
    flow_run_name="tell: {request.subject}",
    description="Sends a message through the block that BRXA_NOTIFICATION_BLOCK names.",
)
@links_remedy
def tell(request: TellRequest) -> None:
    """Send it unless people know; one that can't be sent is a warning in the log."""
    if not notifying.somebody_listens():
        return
    about = request.flow_run.rpartition(".")[2]
    trouble = find_trouble(request.subject, about, request.again_after_minutes)
    if trouble.reason:
        get_run_logger().info("nobody is told: %s", trouble.reason)
    elif notifying.tell(request.subject, request.text, about):
        mark_told(trouble)
