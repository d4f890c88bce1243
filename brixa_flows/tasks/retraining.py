"""Whether an alarm may start a training: one for each version and period."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE

from brixa_flows.errors import ObjectExistsError
from brixa_flows.tasks.opening import open_registry

__all__ = ["claim_retraining"]


@task(task_run_name="claim the retraining up to {period}", cache_policy=NO_CACHE)
def claim_retraining(registry: str, name: str, version: str, period: str) -> bool:
    """Claim the one retraining that an alarm on a version may start in a period.

    A run that claimed it and was started again still has it.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The version that the alarm is about.
        period: The last period with labels before the alarm.

    Returns:
        Whether this flow run has it.
    """
    opened = open_registry(registry)
    key = f"{opened.layout.meta_prefix}/retrainings/{name}/{version}/{period}.json"
    claim = {
        "flow_run_id": runtime.flow_run.id,
        "at": datetime.now(UTC).isoformat(),
    }
    try:
        opened.storage.create(key, json.dumps(claim).encode())
        return True
    except ObjectExistsError:
        holder = json.loads(opened.storage.read(key)[0])["flow_run_id"]
        get_run_logger().info("the flow run %s has %s", holder, key)
        return bool(holder == runtime.flow_run.id)
