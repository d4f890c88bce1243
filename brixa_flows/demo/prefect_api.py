"""What the demo asks of its Prefect server, over plain HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

__all__ = ["FlowRun", "PrefectApi", "SeenEvent"]

_TIMEOUT_SECONDS = 15.0
_PAGE = 200
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class FlowRun:
    """One flow run as the server has it.

    Attributes:
        id: Its id.
        name: Its name.
        state: ``SCHEDULED``, ``RUNNING``, ``COMPLETED``, ``FAILED`` ...
        message: What the state says.
        created_by: Kind and name of who created it (an automation, a person).
        created_at: When, aware.
        started_at: When it began, if it did.
        ended_at: When it ended, if it did.
        parameters: What it was started with.
    """

    id: str
    name: str
    state: str
    message: str
    created_by: tuple[str, str]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    parameters: dict[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether it ended, well or not."""
        return self.state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

    @property
    def went_wrong(self) -> bool:
        """Whether it ended, but not well."""
        return self.is_over and self.state != "COMPLETED"


@dataclass(frozen=True)
class SeenEvent:
    """One event of the feed.

    Attributes:
        id: Its id.
        name: ``brixa.model.promoted`` ...
        occurred_at: When, aware.
        payload: Its facts.
        flow_run_id: The run that emitted it, if one did.
        resource: What it is about.
    """

    id: str
    name: str
    occurred_at: datetime
    payload: dict[str, Any]
    flow_run_id: str
    resource: dict[str, str]


class PrefectApi:
    """A small synchronous client.

    Args:
        url: Address of the API (``http://127.0.0.1:4200/api``).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return self._http.get("/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def create_pool(
        self, name: str, job_template: dict[str, Any], concurrency_limit: int
    ) -> None:
        """Make a process work pool; one that is there stays."""
        pool = {
            "name": name,
            "type": "process",
            "base_job_template": job_template,
            "concurrency_limit": concurrency_limit,
        }
        answer = self._http.post("/work_pools/", json=pool)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()

    def online_workers(self, pool: str) -> int:
        """How many workers poll the pool."""
        workers = self._post(f"/work_pools/{pool}/workers/filter", {})
        return sum(worker["status"] == "ONLINE" for worker in workers)

    def run_deployment(self, name: str, parameters: dict[str, Any]) -> str:
        """Start ``flow/deployment`` as a person would.

        Returns:
            The flow run's id.
        """
        path = f"/deployments/{self._deployment_id(name)}/create_flow_run"
        once = {"parameters": parameters, "idempotency_key": str(uuid4())}
        return str(self._post(path, once)["id"])

    def pause_deployment(self, name: str) -> None:
        """Let the schedules of ``flow/deployment`` start nothing."""
        path = f"/deployments/{self._deployment_id(name)}/pause_deployment"
        self._http.post(path).raise_for_status()

    def _deployment_id(self, name: str) -> str:
        found = self._http.get(f"/deployments/name/{name}").raise_for_status()
        return str(found.json()["id"])

    def flow_runs(self) -> list[FlowRun]:
        """The newest runs of deployments, in the order of their creation.

        Those of schedules are left out: they are no part of the story.
        """
        query = {
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": _PAGE,
            "deployments": {"id": {"not_any_": []}},
        }
        found = self._post("/flow_runs/filter", query)
        runs = [_flow_run(run) for run in found if not run.get("auto_scheduled")]
        return sorted(runs, key=lambda run: run.created_at)

    def log_tail(self, flow_run_id: str, lines: int = 25) -> str:
        """The last lines that a run logged."""
        query = {
            "logs": {"flow_run_id": {"any_": [flow_run_id]}},
            "sort": "TIMESTAMP_DESC",
            "limit": lines,
        }
        logs = self._post("/logs/filter", query)
        return "\n".join(entry["message"] for entry in reversed(logs)) or "(no log)"

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        """Post; a server whose sqlite file is busy is asked again."""
        answer = self._http.post(path, json=content)
        for pause_seconds in _PAUSES_SECONDS:
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause_seconds)
            answer = self._http.post(path, json=content)
        return answer.raise_for_status().json()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _flow_run(run: dict[str, Any]) -> FlowRun:
    creator = run.get("created_by") or {}
    created_at = _time(run["created"])
    assert created_at is not None
    return FlowRun(
        id=run["id"],
        name=run["name"],
        state=run.get("state_type") or "",
        message=(run.get("state") or {}).get("message") or "",
        created_by=(creator.get("type") or "", creator.get("display_value") or ""),
        created_at=created_at,
        started_at=_time(run.get("start_time")),
        ended_at=_time(run.get("end_time")),
        parameters=run.get("parameters") or {},
    )
