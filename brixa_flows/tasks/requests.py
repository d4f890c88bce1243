"""What every flow of the loop takes: one model that refuses what it does not know."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FlowRequest", "QueuedRequest", "WindowRequest"]


class FlowRequest(BaseModel):
    """The parameters of a flow.

    An unknown one is refused by the form, by the server before a run is made, and by a
    call; without this a misspelt parameter would be left out in silence.
    """

    model_config = ConfigDict(extra="forbid")


class WindowRequest(FlowRequest):
    """The parameters of a flow that judges a window of traffic."""

    name: str = Field(description="Model.")
    deployment: str = Field(description="The deployment that served the rows.")
    start: str = Field(description="Begin of the window, ISO 8601.")
    end: str = Field(description="End of the window, not included, ISO 8601.")
    kind: str = Field(
        "sample", description="hour, day, week, month or quarter; sample has no length."
    )
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
