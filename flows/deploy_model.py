"""Serve a version at an endpoint, or roll a running deployment over to it."""

from __future__ import annotations

from prefect import flow, runtime
from pydantic import Field

from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.deployment import roll_out
from brixa_flows.tasks.reporting import publish_deployment
from brixa_flows.tasks.requests import FlowRequest


class DeployRequest(FlowRequest):
    """Which version to serve, and where."""

    name: str = Field(description="Model.")
    version: str = Field(description="Its version.")
    deployment: str = Field(
        "", description="Name of the deployment; empty is that of the model."
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
def deploy_model(request: DeployRequest) -> None:
    """Roll out, show, announce."""
    deployed = roll_out(
        request.registry,
        request.name,
        request.version,
        request.deployment or request.name,
        request.target,
    )
    publish_deployment(deployed)
    announce(request.registry, deployed, deployed.event_id(runtime.flow_run.id))
