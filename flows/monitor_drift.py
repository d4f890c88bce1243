"""Compare a window of traffic with what the serving version was trained on."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.events import DriftDetected, WindowClosed
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.drift import judge_window, served_version
from brixa_flows.tasks.notifying import tell_of_alarm
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_drift
from brixa_flows.tasks.requests import FlowRequest


class MonitorRequest(FlowRequest):
    """Which rows to look at."""

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

    def window(self) -> WindowClosed:
        """The announcement that this came from."""
        ours = {"registry", "policy"}
        return WindowClosed.model_validate(self.model_dump(exclude=ours))


@flow(
    name="monitor_drift",
    flow_run_name="watch {request.deployment}: {request.kind} from {request.start}",
    description="Judges a window of traffic against the version's reference profile.",
)
@links_remedy
def monitor_drift(request: MonitorRequest) -> None:
    """Judge, show, announce an alarm or that there is none."""
    window = request.window()
    version = served_version(request.registry, request.deployment)
    found = judge_window(request.registry, version, window, request.policy)
    publish_drift(window, version, found.report, found.verdict, found.page)
    announce(request.registry, found.owed)
    if isinstance(found.owed.payload, DriftDetected):
        tell_of_alarm(found.owed.payload)
