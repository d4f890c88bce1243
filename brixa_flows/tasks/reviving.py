"""Serving again what a crash ended."""

from __future__ import annotations

from prefect import get_run_logger

from brixa_flows.deployment import ModelDeployer, ServedAgain
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["serve_again"]


@remote_task("serve again what {registry} wants", timeout_seconds=None)
def serve_again(registry: str) -> list[ServedAgain]:
    """Serve what this machine served until its supervisor was killed, or a reboot.

    Args:
        registry: Name of the registry's block.
    """
    served = ModelDeployer(open_registry(registry)).serve_again()
    for each in served:
        log = get_run_logger().warning if each.served else get_run_logger().error
        log("nobody served %s: %s", each.name, each.message)
    return served
