"""Delivering what was never delivered, or was lost after it was."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger

from brixa_flows.outbox import Reconciled, Reconciler
from brixa_flows.tasks.announcing import arrived, deliver
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["reconcile_registry"]


@remote_task("reconcile {registry}", timeout_seconds=None)
def reconcile_registry(
    registry: str, older_than_seconds: float, recover_every_hours: float
) -> Reconciled:
    """Announce what was recorded and Prefect does not have, and repair.

    Args:
        registry: Name of the registry's block.
        older_than_seconds: Age from which an event counts as lost.
        recover_every_hours: How often ``recover()`` runs though nothing asks for it.

    Raises:
        BrixaError: If the server or the tracking backend is away.
    """
    reconciler = Reconciler(
        open_registry(registry),
        deliver,
        arrived,
        older_than=timedelta(seconds=older_than_seconds),
        recover_every=timedelta(hours=recover_every_hours),
    )
    done = reconciler.run()
    events, repairs = len(done.delivered), len(done.repaired)
    get_run_logger().info("%d lost events delivered, %d repairs", events, repairs)
    return done
