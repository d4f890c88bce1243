"""Bring the version before into production after an alarm whose policy asks for it."""

from __future__ import annotations

from prefect import flow, runtime
from pydantic import Field

from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.names import ExactVersion, ModelName
from brixa_flows.tasks.promotion import roll_back_production
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_rollback
from brixa_flows.tasks.requests import FlowRequest


class RollBackRequest(FlowRequest):
    """The alarm."""

    name: ModelName = Field(description="Model.")
    version: ExactVersion = Field(description="The version that the alarm is about.")
    reason: str = Field(description="What the alarm says.")
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="roll_back",
    flow_run_name="roll {request.name} {request.version} back",
    description="Brings the version before into production again, once for each version "
    "that raised an alarm.",
)
@links_remedy
def roll_back(request: RollBackRequest) -> None:
    """Roll back if the version is in production still; deploy_model does the rest."""
    actor = f"flow run {runtime.flow_run.name}"
    who = (request.registry, request.name, request.version)
    owed = roll_back_production(*who, actor, request.reason)
    publish_rollback(request.name, request.version, owed)
    if owed is not None:
        announce(request.registry, owed)
