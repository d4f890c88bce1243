"""Announce what was recorded but never announced, and finish what crashes interrupted."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.tasks.reconciling import reconcile_registry
from brixa_flows.tasks.reporting import publish_reconciliation
from brixa_flows.tasks.requests import FlowRequest


class ReconcileRequest(FlowRequest):
    """Which registry, and from which age on an event counts as lost."""

    registry: str = Field("brixa", description="Brixa Registry block.")
    older_than_seconds: int = Field(
        120, ge=0, description="Younger changes are left to the run that made them."
    )
    recover_every_hours: float = Field(
        24,
        gt=0,
        description="How often everything is checked though nothing asks for it.",
    )


@flow(
    name="reconcile",
    flow_run_name="reconcile {request.registry}",
    description="Delivers lost events and repairs what crashes left half done.",
)
def reconcile(request: ReconcileRequest) -> None:
    """Deliver, repair, and show it if there was anything to do."""
    done = reconcile_registry(
        request.registry, request.older_than_seconds, request.recover_every_hours
    )
    publish_reconciliation(request.registry, done)
