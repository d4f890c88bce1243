"""Whether the process of a run lives: the heartbeats that it sends to the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import FlowRun

__all__ = ["gives_signs_of_life"]

_HEARTBEAT = "prefect.flow-run.heartbeat"
_HEARTBEATS = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
_KEPT_FOR = timedelta(days=1)


def gives_signs_of_life(
    client: SyncPrefectClient, run: FlowRun, since: datetime
) -> bool | None:
    """Whether a heartbeat of a run came since then; ``None`` if it is to send none.

    Args:
        client: Of the server.
        run: The run; one that just began has had no time for any.
        since: Earlier ones don't count.
    """
    if _heartbeats(client, run, since):
        return True
    if _asks_for_heartbeats(client, run) or _heartbeats(client, run, None):
        return False
    return None


def _heartbeats(
    client: SyncPrefectClient, run: FlowRun, since: datetime | None
) -> bool:
    about = {"event": {"name": [_HEARTBEAT]}}
    about["resource"] = {"id": [f"prefect.flow-run.{run.id}"]}
    begin = since or run.created or datetime.now(UTC) - _KEPT_FOR
    query = {**about, "occurred": {"since": begin.isoformat()}}
    answer = client.request(
        "POST", "/events/filter", json={"filter": query, "limit": 1}
    )
    return bool(answer.json()["events"])


def _asks_for_heartbeats(client: SyncPrefectClient, run: FlowRun) -> bool:
    if run.deployment_id is None:
        return False
    deployment = client.read_deployment(run.deployment_id)
    environment = (deployment.job_variables or {}).get("env") or {}
    return bool(environment.get(_HEARTBEATS))
