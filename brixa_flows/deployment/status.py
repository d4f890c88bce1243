"""What is observed of a deployment, as values."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from brixa_flows.deployment.config import ServingProtocol
from brixa_flows.deployment.values import Value

__all__ = [
    "CanaryStatus",
    "DeploymentState",
    "DeploymentStatus",
    "ReplicaStatus",
    "RequestLogStatus",
]

DeploymentState = Literal["starting", "ready", "degraded", "failed", "stopped"]


class ReplicaStatus(Value):
    """One replica as it was seen."""

    slot: int
    pid: int | None = None
    state: Literal["starting", "ready", "stopping", "crashed"]
    version: str
    restarts: int = 0
    since: datetime


class CanaryStatus(Value):
    """A canary as it was seen.

    Attributes:
        version: Its exact version.
        share: Share of the requests that it is to answer, 0 to 1.
        shadow: It answers nobody.
        since: Begin of the trial, UTC.
        requests: Requests that it answered.
        errors: Those of them that failed by our fault (5xx).
        p50_ms: Median time to answer, in milliseconds.
        p99_ms: 99th percentile of it.
        main_p99_ms: That of all requests to the deployment in the last minute.
        compared_rows: Rows that both predicted (shadow).
        agreement: Share of those with the same label or number (shadow).
        failed_rows: Rows that it failed on and the other did not (shadow).
        dropped_rows: Rows that it could not keep up with (shadow).
        time_ratio: Its time to predict them by that of the other (shadow).
    """

    version: str
    share: float
    shadow: bool
    since: datetime
    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    main_p99_ms: float | None = None
    compared_rows: int = 0
    agreement: float | None = None
    failed_rows: int = 0
    dropped_rows: int = 0
    time_ratio: float | None = None


class RequestLogStatus(Value):
    """What was kept of requests, by all replicas since the deployment began.

    Attributes:
        share: Share of the requests that is to be kept, 0 to 1.
        folder: Directory key of the files.
        uri: Storage that has them.
        files: Files that were written.
        written_rows: Rows in them.
        waiting_rows: Rows in files that are still open.
        dropped_rows: Rows that could not be kept up with.
        lost_rows: Rows of replicas that were killed, or of files that could not be
            written; the log of the replica says why.
    """

    share: float
    folder: str
    uri: str
    files: int = 0
    written_rows: int = 0
    waiting_rows: int = 0
    dropped_rows: int = 0
    lost_rows: int = 0


class DeploymentStatus(Value):
    """The observed state of a deployment: ``status.json``.

    Attributes:
        name: Name of the deployment.
        state: ``ready`` (all replicas answer), ``degraded`` (some do), ``starting``,
            ``failed`` (none does) or ``stopped`` (nothing runs).
        model_name: Registry name of the model.
        version: The version that is served.
        endpoint: Base URL of what it answers over HTTP.
        protocol: What predictions are asked by.
        grpc_endpoint: ``host:port`` for gRPC; empty if that is not served.
        desired_replicas: How many there should be.
        ready_replicas: How many answer.
        replicas: Each of them.
        restarts: Crashed replicas that were started again.
        requests_total: Requests to predict, answered since the deployment began.
        errors_total: Those of them that failed by our fault (5xx).
        request_rate: Requests per second over the last minute.
        error_rate: Share of those that failed by our fault, 0 to 1.
        p50_ms: Median time to answer in milliseconds over the last minute.
        p99_ms: 99th percentile of it.
        last_error: The last thing that went wrong, in one sentence.
        since: When it came into this state, UTC.
        observed_at: When this was seen, UTC.
        pid: Process id of the supervisor.
        machine: Name of the machine that it lives or lived on.
        log_path: Folder of the logs.
        canary: What is tried beside it.
        api_keys: Names of the keys that it takes; without any it answers everybody.
        shut: It has no key any more, and answers nobody.
        tls_expires_at: When its certificate ends, UTC; ``None`` over plain HTTP.
        request_log: What is kept of requests.
    """

    name: str
    state: DeploymentState
    model_name: str
    version: str
    endpoint: str
    protocol: ServingProtocol = "rest"
    grpc_endpoint: str = ""
    desired_replicas: int
    ready_replicas: int
    replicas: tuple[ReplicaStatus, ...] = ()
    restarts: int = 0
    requests_total: int = 0
    errors_total: int = 0
    request_rate: float = 0.0
    error_rate: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    last_error: str = ""
    since: datetime
    observed_at: datetime
    pid: int | None = None
    machine: str = ""
    log_path: str = ""
    canary: CanaryStatus | None = None
    api_keys: tuple[str, ...] = ()
    shut: bool = False
    tls_expires_at: datetime | None = None
    request_log: RequestLogStatus | None = None

    @property
    def predict_endpoint(self) -> str:
        """What an ``EndpointClient`` is given."""
        if self.protocol != "grpc":
            return self.endpoint
        return f"grpc{'s' * (self.tls_expires_at is not None)}://{self.grpc_endpoint}"

    @property
    def healthy(self) -> bool:
        """Does every replica that should be there answer?"""
        return self.state == "ready"
