"""Serve a version at an endpoint, or roll a running deployment over to it.

One roll-out of a deployment at a time, in the order of the promotions that asked for
them. Whether the version still holds its stage is asked when it is the run's turn. If it
loses the stage while it is rolled out, the run of the version that took it comes later
in turn, so what holds the stage is what is served in the end.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.deployment import is_in_stage, roll_out
from brixa_flows.tasks.names import ModelName, OptionalDeploymentName, VersionSpec
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_deployment
from brixa_flows.tasks.requests import QueuedRequest
from brixa_flows.tasks.turns import await_turn
from brixa_flows.tasks.versions import meant_version

_FLOW = "deploy_model"
# Where no heartbeats tell: large models load for minutes, in each replica again.
_RUNS_AT_MOST = timedelta(hours=1)


class DeployRequest(QueuedRequest):
    """Which version to serve, and where."""

    name: ModelName = Field(description="Model.")
    version: VersionSpec = Field(
        description="Version, stage, alias, latest or constraint."
    )
    deployment: OptionalDeploymentName = Field(
        "", description="Name of the deployment; empty is that of the model."
    )
    stage: Literal["any", "staging", "production"] = Field(
        "any", description="Serve it only while it is in this stage."
    )
    target: str = Field(
        "", description="Brixa Serving Target block; empty takes the settings'."
    )
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of HTTP for a new deployment; 0 takes the target's, else a "
        "free one.",
    )
    grpc_port: int = Field(0, ge=0, le=65535, description="The same for gRPC.")
    registry: str = Field("brixa", description="Brixa Registry block.")

    @property
    def place(self) -> str:
        """Name of the deployment."""
        return self.deployment or self.name

    @property
    def queue(self) -> tuple[str, ...]:
        """Roll-outs of one deployment take turns."""
        return self.registry, self.place


@flow(
    name=_FLOW,
    flow_run_name="deploy {request.name} {request.version}",
    description="Serves a version over REST, one roll-out of a deployment at a time; "
    "returns when it answers.",
)
@links_remedy
def deploy_model(request: DeployRequest) -> State[None] | None:
    """Wait for its turn; unless it was overtaken, roll out, show, announce."""
    await_turn(_FLOW, request, _RUNS_AT_MOST)
    version = meant_version(request.registry, request.name, request.version)
    who = (request.registry, request.name, version)
    if request.stage != "any" and not is_in_stage(*who, request.stage):
        return Completed(
            message=f"{request.name} {version} is no longer in {request.stage}, "
            f"so {request.place} is left as it is"
        )
    deployed = roll_out(
        *who, request.place, request.target, request.port, request.grpc_port
    )
    publish_deployment(deployed.payload)
    announce(request.registry, deployed)
    return None
