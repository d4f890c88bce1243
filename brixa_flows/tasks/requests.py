"""What every flow of the loop takes: one model that refuses what it does not know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from brixa_flows.events import Moment, WindowKind
from brixa_flows.tasks.names import DeploymentName, ModelName

__all__ = [
    "FlowRequest",
    "FlowRunId",
    "OptionalFlowRunId",
    "QueuedRequest",
    "WindowRequest",
]

_RUN = r"(prefect\.flow-run\.)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# The id of a flow run, or the resource that Prefect's events name it by.
FlowRunId = Annotated[str, Field(pattern=f"^{_RUN}$")]
OptionalFlowRunId = Annotated[str, Field(pattern=f"^({_RUN})?$")]


class FlowRequest(BaseModel):
    """The parameters of a flow.

    An unknown one is refused by the form, by the server before a run is made, and by a
    call; without this a misspelt parameter would be left out in silence.
    """

    model_config = ConfigDict(extra="forbid")


class WindowRequest(FlowRequest):
    """The parameters of a flow that judges a window of traffic."""

    name: ModelName = Field(description="Model.")
    deployment: DeploymentName = Field(
        description="The deployment that served the rows."
    )
    start: Moment = Field(description="Begin of the window, ISO 8601.")
    end: Moment = Field(description="End of the window, not included, ISO 8601.")
    kind: WindowKind = "sample"
    data_uri: str = Field(
        "",
        description="Parquet of the rows; empty means the deployment's request log.",
    )
    policy: str = Field(
        "", description="Brixa Drift Policy block; without one every drift is an alarm."
    )
    registry: str = Field("brixa", description="Brixa Registry block.")

    @property
    def facts(self) -> dict[str, str]:
        """What the announcement of the window carried."""
        return self.model_dump(exclude={"registry", "policy"})


class QueuedRequest(FlowRequest, ABC):
    """The parameters of a flow whose runs about one thing take turns."""

    @property
    @abstractmethod
    def queue(self) -> tuple[str, ...]:
        """What it is about, the registry first; runs with the same take turns."""
