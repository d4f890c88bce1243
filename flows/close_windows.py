"""Announce the windows of traffic that are over, from the deployments' request logs."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from pydantic import Field

from brixa_flows.tasks.announcing import announce_window_closed
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.windows import find_closed_windows


class CloseRequest(FlowRequest):
    """Which windows."""

    kinds: list[Literal["hour", "day", "week", "month", "quarter"]] = Field(
        ["day", "week", "month"],
        min_length=1,
        description="Kinds of windows that are watched.",
    )
    last: int = Field(
        2,
        ge=1,
        le=100,
        description="How many of each kind are looked for, if runs did not take place.",
    )
    settle_minutes: float = Field(
        15,
        ge=0,
        le=7 * 24 * 60,
        description="How long after its end a window is over: a replica keeps rows for "
        "some minutes before it writes them.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="close_windows",
    flow_run_name="close the windows of {request.registry}",
    description="Announces each window that every production deployment logged, once; "
    "monitor_drift does the rest.",
)
@links_remedy
def close_windows(request: CloseRequest) -> None:
    """Look at every production deployment; tell of each window once."""
    found = find_closed_windows(
        request.registry, request.kinds, request.last, request.settle_minutes
    )
    for window in found:
        announce_window_closed(window, request.registry)
