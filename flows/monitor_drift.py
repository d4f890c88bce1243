"""Compare a window of traffic with what the serving version was trained on."""

from __future__ import annotations

from prefect import flow

from brixa_flows.events import WindowClosed
from brixa_flows.tasks.drift import served_version
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import WindowRequest
from brixa_flows.tasks.watching import watch_window


class MonitorRequest(WindowRequest):
    """Which rows to look at."""

    def window(self) -> WindowClosed:
        """The announcement that this came from."""
        return WindowClosed(**self.facts)


@flow(
    name="monitor_drift",
    flow_run_name="watch {request.deployment}: {request.kind} from {request.start}",
    description="Estimates how good the version was in a window of traffic, and judges "
    "the window against the version's reference profile.",
)
@links_remedy
def monitor_drift(request: MonitorRequest) -> None:
    """Estimate and judge; show, announce an alarm or that there is none."""
    version = served_version(request.registry, request.deployment)
    watch_window(request.registry, version, request.window(), request.policy)
