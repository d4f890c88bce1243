"""Delivering what was never delivered, or was lost or forgotten after it was."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger

from brixa_flows.outbox import Reconciled, Reconciler
from brixa_flows.tasks.announcing import deliver
from brixa_flows.tasks.event_feed import look_up
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["reconcile_registry"]


@remote_task("reconcile {registry}", timeout_seconds=None)
def reconcile_registry(
    registry: str,
    older_than_seconds: float,
    recover_every_hours: float,
    unheeded_after_seconds: float = 300.0,
) -> Reconciled:
    """Announce what was recorded and Prefect does not have or did not act on; repair.

    Args:
        registry: Name of the registry's block.
        older_than_seconds: Age from which an event counts as lost.
        recover_every_hours: How often ``recover()`` runs though nothing asks for it.
        unheeded_after_seconds: How long Prefect may take to act on an event.

    Raises:
        BrixaError: If the server or the tracking backend is away.
    """
    reconciler = Reconciler(
        open_registry(registry),
        deliver,
        look_up,
        older_than=timedelta(seconds=older_than_seconds),
        unheeded_after=timedelta(seconds=unheeded_after_seconds),
        recover_every=timedelta(hours=recover_every_hours),
    )
    done = reconciler.run()
    events, repairs = len(done.delivered), len(done.repaired)
    get_run_logger().info("%d lost events delivered, %d repairs", events, repairs)
    for each in done.unheeded:
        get_run_logger().error("nothing acted on %r", each.payload.message)
    for refused in done.refused:
        get_run_logger().error(
            "not taken: %r: %s", refused.payload.message, refused.why
        )
    for untold in done.untold:
        get_run_logger().error("%s", untold)
    return done
