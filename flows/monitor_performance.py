"""Measure how good the serving version was in a window, when its labels come."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.events import LabelsArrived
from brixa_flows.tasks.drift import served_version
from brixa_flows.tasks.names import OptionalVersion
from brixa_flows.tasks.performance import judge_window_performance
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import WindowRequest
from brixa_flows.tasks.watching import conclude_performance


class PerformanceRequest(WindowRequest):
    """Which rows to look at, and their labels if they are known."""

    labels_uri: str = Field(
        "",
        description="Parquet of row ids and labels; empty if the rows have their labels, "
        "or nobody knows them yet.",
    )
    row_id: str = Field("", description="Column of the row ids, in both.")
    version: OptionalVersion = Field(
        "", description="The version that served them; empty is the one served now."
    )

    def window(self) -> LabelsArrived:
        """The announcement that this came from."""
        return LabelsArrived(**self.facts)


@flow(
    name="monitor_performance",
    flow_run_name="judge {request.deployment}: {request.kind} from {request.start}",
    description="Measures how good the serving version was in a window, with its labels; "
    "without any it estimates, as monitor_drift does.",
)
@links_remedy
def monitor_performance(request: PerformanceRequest) -> None:
    """Judge, show, announce an alarm or that there is none."""
    window = request.window()
    version = request.version or served_version(request.registry, request.deployment)
    found = judge_window_performance(request.registry, version, window, request.policy)
    if found is not None:
        conclude_performance(request.registry, version, window, found)
