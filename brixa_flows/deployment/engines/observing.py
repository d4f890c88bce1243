"""What a supervisor sees of its deployment."""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.config import Canary, DeploymentConfig
from brixa_flows.deployment.engines.fleet import Fleet
from brixa_flows.deployment.metrics import (
    MetricsFile,
    errors_of,
    quantile_seconds,
    requests_of,
    since,
)
from brixa_flows.deployment.request_log import log_counters, requests_prefix
from brixa_flows.deployment.shadow import canary_files, comparison_file
from brixa_flows.deployment.status import (
    CanaryStatus,
    DeploymentState,
    DeploymentStatus,
    RequestLogStatus,
)

__all__ = ["Observer", "base_url", "grpc_address", "reach_facts"]

_SAMPLE_SECONDS = 5.0
_WINDOW_SECONDS = 60.0


class Observer:
    """Makes the status of a deployment.

    Args:
        name: Name of the deployment.
        fleet: Its replicas.
        metrics_path: Their counters.

    Attributes:
        fault: What last went wrong in the supervisor itself, as a sentence.
    """

    def __init__(self, name: str, fleet: Fleet, metrics_path: Path) -> None:
        self.fault = ""
        self._name = name
        self._fleet = fleet
        self._metrics = MetricsFile(metrics_path)
        self._log_path = metrics_path.parent / "logs"
        self._samples: deque[tuple[float, NDArray[np.float64]]] = deque()
        self._state: DeploymentState = "starting"
        self._since = datetime.now(UTC)
        self.sample()

    def sample(self) -> None:
        """Remember the counters now and then, for rates over the last minute."""
        now = time.monotonic()
        if self._samples and now - self._samples[-1][0] < _SAMPLE_SECONDS:
            return
        self._samples.append((now, self._metrics.totals()))
        while now - self._samples[0][0] > _WINDOW_SECONDS:
            self._samples.popleft()

    def _current_state(self) -> DeploymentState:
        fleet = self._fleet
        states = {replica.state for replica in fleet.replicas}
        if states == {"ready"}:
            return "ready"
        if "crashed" not in states and not fleet.last_error:
            return "starting"
        return "degraded" if "ready" in states else "failed"

    def status(self) -> DeploymentStatus:
        """The observed state, now."""
        state = self._current_state()
        if state != self._state:
            self._state, self._since = state, datetime.now(UTC)
        fleet = self._fleet
        then, before = self._samples[0]
        totals = self._metrics.totals()
        recent = since(before, totals)
        answered, failed = requests_of(recent), errors_of(recent)
        config = fleet.plan.config if fleet.plan else None
        return DeploymentStatus(
            name=self._name,
            state=state,
            model_name=config.model_name if config else "",
            version=config.version if config else "",
            endpoint=base_url(config) if config else "",
            desired_replicas=fleet.desired,
            ready_replicas=len(fleet.ready),
            replicas=tuple(replica.status() for replica in fleet.replicas),
            restarts=fleet.restarts,
            requests_total=requests_of(totals),
            errors_total=errors_of(totals),
            request_rate=answered / max(time.monotonic() - then, 1.0),
            error_rate=failed / answered if answered else 0.0,
            p50_ms=_milliseconds(quantile_seconds(recent, 0.5)),
            p99_ms=_milliseconds(quantile_seconds(recent, 0.99)),
            last_error="; ".join(filter(None, (fleet.last_error, self.fault))),
            since=self._since,
            observed_at=datetime.now(UTC),
            pid=os.getpid(),
            machine=platform.node(),
            log_path=str(self._log_path),
            canary=self._canary(config.canary if config else None, recent),
            request_log=self._request_log(),
            **reach_facts(config),
        )

    def _request_log(self) -> RequestLogStatus | None:
        plan = self._fleet.plan
        rules = plan.config.request_log if plan else None
        if plan is None or rules is None:
            return None
        counted = log_counters(self._log_path.parent).totals()
        rows = {name: int(value) for name, value in counted.items()}
        return RequestLogStatus(
            share=rules.share,
            folder=requests_prefix(plan.registry_path, self._name),
            uri=plan.deployments_uri,
            files=rows["files"],
            written_rows=rows["written"],
            waiting_rows=max(rows["accepted"] - rows["written"] - rows["lost"], 0),
            dropped_rows=rows["dropped"],
            lost_rows=rows["lost"],
        )

    def _canary(
        self, canary: Canary | None, recent: NDArray[np.float64]
    ) -> CanaryStatus | None:
        if canary is None:
            return None
        counted, compared = canary_files(self._log_path.parent, canary.id)
        totals = MetricsFile(counted).totals()
        facts = comparison_file(compared).totals() if canary.shadow else {}
        rows, main_seconds = facts.get("rows", 0.0), facts.get("main_seconds", 0.0)
        return CanaryStatus(
            version=canary.version,
            share=canary.share,
            shadow=canary.shadow,
            since=canary.since,
            requests=requests_of(totals),
            errors=errors_of(totals),
            p50_ms=_milliseconds(quantile_seconds(totals, 0.5)),
            p99_ms=_milliseconds(quantile_seconds(totals, 0.99)),
            main_p99_ms=_milliseconds(quantile_seconds(recent, 0.99)),
            compared_rows=int(rows),
            agreement=facts["equal"] / rows if rows else None,
            failed_rows=int(facts.get("failed", 0)),
            dropped_rows=int(facts.get("dropped", 0)),
            time_ratio=facts["shadow_seconds"] / main_seconds if main_seconds else None,
        )

    def tidy(self) -> None:
        """Remove the counters of canaries that are over."""
        plan = self._fleet.plan
        canary = plan.config.canary if plan else None
        kept = canary_files(self._log_path.parent, canary.id) if canary else ()
        for path in self._log_path.parent.glob("canary-*"):
            if path not in kept:
                path.unlink(missing_ok=True)


def base_url(config: DeploymentConfig) -> str:
    """Address that clients use."""
    shown = f"[{config.host}]" if ":" in config.host else config.host
    return f"http{'s' * (config.tls is not None)}://{shown}:{config.port}"


def reach_facts(config: DeploymentConfig | None) -> dict[str, Any]:
    """What a status says of how it is asked, by whom, and until when."""
    if config is None:
        return {}
    return {
        "protocol": config.protocol,
        "grpc_endpoint": grpc_address(config),
        "api_keys": tuple(key.name for key in config.api_keys),
        "shut": bool(config.key_digests) and not config.api_keys,
        "tls_expires_at": config.tls.expires_at if config.tls else None,
    }


def grpc_address(config: DeploymentConfig) -> str:
    """What clients of gRPC dial; empty if that is not served."""
    shown = f"[{config.host}]" if ":" in config.host else config.host
    return "" if config.protocol == "rest" else f"{shown}:{config.grpc_port}"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
