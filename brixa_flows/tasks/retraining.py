"""Whether an alarm may start a training: one for each version and period."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

from prefect import get_run_logger, runtime

from brixa_flows.errors import ObjectExistsError
from brixa_flows.storage import StorageNode
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["claim_retraining", "finish_retraining"]


@remote_task("claim the retraining up to {period}")
def claim_retraining(registry: str, name: str, version: str, period: str) -> bool:
    """Claim the one retraining that an alarm on a version may start in a period.

    A run that claimed it and was started again still has it, until it is finished.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The version that the alarm is about.
        period: The last period with labels before the alarm.

    Returns:
        Whether this flow run has it to do.
    """
    storage, key = _place(registry, name, version, period)
    claim = {
        "flow_run_id": runtime.flow_run.id,
        "at": datetime.now(UTC).isoformat(),
    }
    try:
        storage.create(f"{key}.json", json.dumps(claim).encode())
        return True
    except ObjectExistsError:
        holder = json.loads(storage.read(f"{key}.json")[0])["flow_run_id"]
        get_run_logger().info("the flow run %s has %s", holder, key)
        done = storage.stat(f"{key}-done.json") is not None
        return bool(holder == runtime.flow_run.id) and not done


@remote_task("finish the retraining up to {period}")
def finish_retraining(registry: str, name: str, version: str, period: str) -> None:
    """Remember that a claimed retraining was announced; see :func:`claim_retraining`.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The version that the alarm is about.
        period: The last period with labels before the alarm.
    """
    storage, key = _place(registry, name, version, period)
    with suppress(ObjectExistsError):
        storage.create(f"{key}-done.json", b"{}")


def _place(
    registry: str, name: str, version: str, period: str
) -> tuple[StorageNode, str]:
    opened = open_registry(registry)
    folder = f"{opened.layout.meta_prefix}/retrainings/{name}/{version}"
    return opened.storage, f"{folder}/{period}"
