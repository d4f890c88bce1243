"""Make good what crashes left: dead runs go on, lost events are told, saves finished.

First the runs, as they may have what is needed to announce their own events. Last what
this machine served until its supervisor was killed, as that may take a model's load time.
"""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.tasks.notifying import (
    tell_of_dead_runs,
    tell_of_served_again,
    tell_of_unheeded,
    tell_of_untold,
)
from brixa_flows.tasks.reconciling import reconcile_registry
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_reconciliation
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.restarting import restart_dead_runs
from brixa_flows.tasks.reviving import serve_again

_A_MONTH = 30 * 24 * 60 * 60  # in seconds


class ReconcileRequest(FlowRequest):
    """Which registry, and from which age on an event counts as lost."""

    registry: str = Field("brixa", description="Brixa Registry block.")
    older_than_seconds: int = Field(
        120,
        ge=0,
        le=_A_MONTH,
        description="Younger changes are left to the run that made them.",
    )
    unheeded_after_seconds: int = Field(
        300,
        ge=60,
        le=_A_MONTH,
        description="An event whose automation started no run for so long is sent "
        "again, three times.",
    )
    recover_every_hours: float = Field(
        24,
        gt=0,
        le=366 * 24,
        description="How often everything is checked though nothing asks for it.",
    )
    silent_for_seconds: int = Field(
        300,
        ge=90,
        le=_A_MONTH,
        description="A run without a heartbeat for so long has died and is started "
        "again; heartbeats come every 30 seconds.",
    )


@flow(
    name="reconcile",
    flow_run_name="reconcile {request.registry}",
    description="Starts runs again whose process died, delivers lost events, repairs "
    "what crashes left half done and serves what nobody serves any more.",
)
@links_remedy
def reconcile(request: ReconcileRequest) -> None:
    """Restart, deliver, repair, serve, and show it if there was anything to do."""
    restarted = restart_dead_runs(request.silent_for_seconds)
    tell_of_dead_runs(restarted)
    done = reconcile_registry(
        request.registry,
        request.older_than_seconds,
        request.recover_every_hours,
        request.unheeded_after_seconds,
    )
    tell_of_unheeded(done.unheeded)
    tell_of_untold(done.untold)
    served = serve_again(request.registry)
    tell_of_served_again(served)
    publish_reconciliation(request.registry, done, restarted, served)
