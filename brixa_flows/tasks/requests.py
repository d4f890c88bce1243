"""What every flow of the loop takes: one model that refuses what it does not know."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict

__all__ = ["FlowRequest", "QueuedRequest"]


class FlowRequest(BaseModel):
    """The parameters of a flow.

    An unknown one is refused by the form, by the server before a run is made, and by a
    call; without this a misspelt parameter would be left out in silence.
    """

    model_config = ConfigDict(extra="forbid")


class QueuedRequest(FlowRequest, ABC):
    """The parameters of a flow whose runs about one thing take turns."""

    @property
    @abstractmethod
    def queue(self) -> tuple[str, ...]:
        """What it is about, the registry first; runs with the same take turns."""
