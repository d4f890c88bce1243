"""Serve a version at an endpoint, or roll a running deployment over to it."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from pydantic import Field

from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.deployment import is_in_stage, roll_out
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_deployment
from brixa_flows.tasks.requests import FlowRequest


class DeployRequest(FlowRequest):
    """Which version to serve, and where."""

    name: str = Field(description="Model.")
    version: str = Field(description="Its version.")
    deployment: str = Field(
        "", description="Name of the deployment; empty is that of the model."
    )
    stage: Literal["any", "staging", "production"] = Field(
        "any", description="Serve it only while it is in this stage."
    )
    target: str = Field(
        "", description="Brixa Serving Target block; empty takes the settings'."
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="deploy_model",
    flow_run_name="deploy {request.name} {request.version}",
    description="Serves a version over REST; returns when it answers.",
)
@links_remedy
def deploy_model(request: DeployRequest) -> None:
    """Roll out, show, announce."""
    who = (request.registry, request.name, request.version)
    if request.stage != "any" and not is_in_stage(*who, request.stage):
        return
    deployed = roll_out(*who, request.deployment or request.name, request.target)
    publish_deployment(deployed.payload)
    announce(request.registry, deployed)
