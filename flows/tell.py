"""Tell people something, through the notification block that the settings name."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.tasks import notifying
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest


class TellRequest(FlowRequest):
    """What to say."""

    subject: str = Field(description="One line.")
    text: str = Field("", description="What happened, and what to do.")
    flow_run: str = Field(
        "",
        description="The run that it is about, by id or as events name it; empty is this.",
    )


@flow(
    name="tell",
    flow_run_name="tell: {request.subject}",
    description="Sends a message through the block that BRXA_NOTIFICATION_BLOCK names.",
)
@links_remedy
def tell(request: TellRequest) -> None:
    """Send it; a message that can't be sent is a warning in the log."""
    about = request.flow_run.rpartition(".")[2]
    notifying.tell(request.subject, request.text, about)
