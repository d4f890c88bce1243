"""Say how good the serving version is: estimated at once, measured when labels come."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.events import LabelsArrived, PerformanceDegraded
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.drift import served_version
from brixa_flows.tasks.notifying import tell_of_degradation
from brixa_flows.tasks.performance import judge_window_performance
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_performance
from brixa_flows.tasks.requests import FlowRequest


class PerformanceRequest(FlowRequest):
    """Which rows to look at, and their labels if they are known."""

    name: str = Field(description="Model.")
    deployment: str = Field(description="The deployment that served the rows.")
    start: str = Field(description="Begin of the window, ISO 8601.")
    end: str = Field(description="End of the window, not included, ISO 8601.")
    kind: str = Field(
        "sample", description="hour, day, week, month or quarter; sample has no length."
    )
    data_uri: str = Field(
        "", description="Parquet of the rows; empty is the deployment's request log."
    )
    labels_uri: str = Field(
        "",
        description="Parquet of row ids and labels; empty if the rows have their labels, "
        "or nobody knows them yet.",
    )
    row_id: str = Field("", description="Column of the row ids, in both.")
    version: str = Field(
        "", description="The version that served them; empty is the one served now."
    )
    policy: str = Field(
        "",
        description="Brixa Drift Policy block; without one each degraded window is an "
        "alarm.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")

    def window(self) -> LabelsArrived:
        """The announcement that this came from."""
        ours = {"registry", "policy"}
        return LabelsArrived.model_validate(self.model_dump(exclude=ours))


@flow(
    name="monitor_performance",
    flow_run_name="judge {request.deployment}: {request.kind} from {request.start}",
    description="Estimates how good the serving version was in a window, or measures it "
    "with the labels.",
)
@links_remedy
def monitor_performance(request: PerformanceRequest) -> None:
    """Judge, show, announce an alarm or that there is none."""
    window = request.window()
    version = request.version or served_version(request.registry, request.deployment)
    found = judge_window_performance(request.registry, version, window, request.policy)
    if found is None:
        return
    publish_performance(window, version, found.report, found.verdict)
    announce(request.registry, found.owed)
    if isinstance(found.owed.payload, PerformanceDegraded):
        tell_of_degradation(found.owed.payload)
