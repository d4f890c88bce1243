"""One replica: loads a version, warms it up and serves it on the inherited socket.

Started by the supervisor as ``python -m brixa_flows.deployment.engines.worker``. Its
orders are the first line of JSON on stdin, and each later line changes the versions that
it serves; stdin is a lifeline as well, and when it ends the supervisor is gone and the
replica drains and ends too. It answers each by a line of JSON on the report descriptor:
``{"event": "ready"}``, ``done``, ``stale`` (a fresh process is needed) or
``{"event": "failed", "error": ...}``.

It never imports MLflow, which would cost seconds: the digest that the trust policy asks
for was looked up in the tracking backend by the deployer and came down by stdin.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import uvicorn
from pydantic import BaseModel, ConfigDict

from brixa_flows.deployment.access import Access
from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.config import ServingProtocol
from brixa_flows.deployment.engines.draining import DrainingServer
from brixa_flows.deployment.engines.holding import Held, Holder, LoadedCode
from brixa_flows.deployment.engines.orders import (
    ChangeOrder,
    ServedVersions,
    VersionOrder,
)
from brixa_flows.deployment.engines.runtime import RuntimeFolder
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import CopiedMetrics
from brixa_flows.deployment.pages_alone import PagesAlone
from brixa_flows.deployment.request_log import (
    RequestLog,
    RequestLogging,
    log_counters,
    requests_prefix,
)
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.shadow import Mirror
from brixa_flows.deployment.signature import Inputs
from brixa_flows.deployment.switch import settle
from brixa_flows.deployment.tls import TlsFiles, server_context
from brixa_flows.errors import BrixaError
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction import ModelPredictor
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.base import Prediction
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.opening import open_storage
from brixa_flows.tracking.memory_store import MemoryTrackingStore

if TYPE_CHECKING:
    from brixa_flows.deployment.grpc_listening import GrpcServer

__all__ = ["WorkerOrders", "main"]

_KEEP_ALIVE_SECONDS = 65
_GRACE_SECONDS = 10
_LAST_RESORT_SECONDS = 30.0
_CALL_SECONDS = 30.0
_LOG_SECONDS = 5.0
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_Result = TypeVar("_Result")

logger = logging.getLogger("brixa_flows.deployment.worker")


class WorkerOrders(BaseModel):
    """What the supervisor tells a replica.

    Attributes:
        deployment: Name of the deployment.
        model_name: Registry name of the model.
        versions: What to serve.
        trial: Load and warm up only, then say so and end.
        storage_uri: Where its files are.
        registry_path: Folder of the registry there.
        trust_policy: What may be loaded.
        keys_path: Folder of the keys whose signatures are believed.
        slot: The replica's slot in the metrics file.
        listen_fd: The inherited listening socket.
        report_fd: Where to say that it is ready.
        folder: Runtime folder of the deployment on this machine.
        log_level: Used unless the environment says LOG_LEVEL.
        launched_at: When it was started, in seconds since the epoch.
        key_digests: SHA-256 of the keys of those who may ask; empty lets all in.
        tls: What to serve with over HTTPS.
        protocol: What predictions are asked by.
        host: Address to bind for gRPC.
        grpc_port: Port that the replicas share for gRPC.
        request_log: What to keep of requests.
        requests_uri: Storage to keep it in.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    deployment: str
    model_name: str
    versions: ServedVersions
    trial: bool
    storage_uri: str
    registry_path: str
    trust_policy: str
    keys_path: str
    slot: int
    listen_fd: int
    report_fd: int
    folder: str
    log_level: str
    launched_at: float
    key_digests: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    protocol: ServingProtocol
    host: str
    grpc_port: int
    request_log: RequestLogging | None = None
    requests_uri: str = ""


class _Serving(NamedTuple):
    """What orders act on, once requests are taken."""

    holder: Holder
    code: LoadedCode
    server: DrainingServer
    loop: asyncio.AbstractEventLoop

    def call(self, work: Callable[[], _Result]) -> _Result:
        """Do something on the event loop; from another thread."""

        async def step() -> _Result:
            return work()

        done = asyncio.run_coroutine_threadsafe(step(), self.loop)
        return done.result(_CALL_SECONDS)


def main() -> int:
    """Serve until told to stop.

    Returns:
        Exit code.
    """
    orders = WorkerOrders.model_validate_json(sys.stdin.buffer.readline())
    _start_logging(orders)
    serving: Future[_Serving] = Future()
    threading.Thread(
        target=_follow_orders, args=(orders, serving), name="orders", daemon=True
    ).start()
    try:
        limits = Limits.from_environment(os.environ)
        log = _open_log(orders)
        holder = Holder(
            lambda version: _hold(orders, version, limits, log),
            orders.versions,
            Path(orders.folder),
            orders.slot,
        )
        holder.switch.access = Access(orders.key_digests)
        if orders.tls is not None:
            server_context(orders.tls.certificate, orders.tls.key)
    except Exception as err:  # noqa: B902 - told to the supervisor, then we end
        told = ", ".join(each.version for each in orders.versions.all)
        logger.exception("%s %s did not load", orders.model_name, told)
        _report(orders, {"event": "failed", "error": _sentence(err)})
        return 1
    if orders.trial:
        _report(orders, {"event": "ready"})
    else:
        _serve(orders, holder, serving, limits, log)
    return 0


def _open_log(orders: WorkerOrders) -> RequestLog | None:
    if orders.request_log is None or orders.trial:
        return None
    return RequestLog(
        open_storage(orders.requests_uri),
        requests_prefix(orders.registry_path, orders.deployment),
        orders.request_log,
        log_counters(Path(orders.folder)),
        orders.slot,
    )


def _hold(
    orders: WorkerOrders, version: VersionOrder, limits: Limits, log: RequestLog | None
) -> Held:
    served, mirror = load_model(orders, version)
    metrics = CopiedMetrics(Path(orders.folder) / "metrics.bin")
    application = PredictorApplication(served, limits, metrics, orders.slot, log)
    return Held(application, served, mirror, metrics)


def load_model(
    orders: WorkerOrders, version: VersionOrder
) -> tuple[ServedModel, Mirror]:
    """Load, verify and warm up a version."""
    started = time.perf_counter()
    settings = BrixaSettings(
        model_registry_path=orders.registry_path,
        trust_policy=orders.trust_policy,
        keys_path=orders.keys_path,
    )
    storage = open_storage(orders.storage_uri, settings)
    registry = ModelRegistry(
        storage, tracking=_pinned(orders, version), settings=settings
    )
    predictor = ModelPredictor.from_registry(
        registry, orders.model_name, version.version
    )
    mirror = Mirror(_predict_as_trained(predictor))
    metadata = predictor.metadata
    served = ServedModel(
        deployment=orders.deployment,
        name=metadata.name,
        version=str(metadata.version),
        platform=metadata.framework or "",
        input_schema=metadata.input_schema,
        predict=mirror,
    )
    loaded = time.perf_counter()
    served.warm_up()
    logger.info(
        "%s %s loaded in %.2f s, warm in %.2f s",
        served.name,
        served.version,
        loaded - started,
        time.perf_counter() - loaded,
    )
    return served, mirror


def _predict_as_trained(
    predictor: ModelPredictor,
) -> Callable[[Inputs], Prediction]:
    """Predict columns in the form of training, where arrays alone would not do."""
    form = InputForm.of(predictor.metadata)
    if "category" not in form.dtypes.values():
        return predictor.predict
    tables = importlib.import_module("brixa_flows.prediction._tables")

    def predict(inputs: Inputs) -> Prediction:
        frame = form.from_table(tables.as_table(inputs), ())
        return predictor.predict(frame)

    return predict


def _pinned(orders: WorkerOrders, version: VersionOrder) -> MemoryTrackingStore:
    """A tracking backend that knows one fact: the digest this version must have."""
    tracking = MemoryTrackingStore()
    if version.digest is not None:
        tracking.open_run(
            orders.model_name, version.version, digest=version.digest, params={}
        )
    return tracking


def _serve(
    orders: WorkerOrders,
    holder: Holder,
    serving: Future[_Serving],
    limits: Limits,
    log: RequestLog | None,
) -> None:
    config = uvicorn.Config(
        PagesAlone(holder.switch) if orders.protocol == "grpc" else holder.switch,
        # A fifth to two fifths less CPU for a request than asyncio and h11 need
        # (benchmarks/serving_costs.py), and nothing that happens to be installed decides.
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=orders.tls.certificate if orders.tls else None,
        ssl_keyfile=orders.tls.key if orders.tls else None,
    )
    listening = socket.socket(fileno=orders.listen_fd)
    code = LoadedCode(orders.launched_at)

    def begin() -> None:
        holder.begin()
        settle()
        serving.set_result(_Serving(holder, code, server, asyncio.get_running_loop()))
        _report(orders, {"event": "ready"})

    server = DrainingServer(
        config,
        holder.switch,
        begin,
        _grpc_server(orders, holder, limits),
        on_end=partial(log.close, _LOG_SECONDS) if log else None,
        head_seconds=limits.max_body_seconds,
    )
    server.run(sockets=[listening])


def _grpc_server(
    orders: WorkerOrders, holder: Holder, limits: Limits
) -> GrpcServer | None:
    if orders.protocol == "rest":
        return None
    adapter = import_adapter("brixa_flows.deployment.grpc_listening")
    server: GrpcServer = adapter.GrpcServer(
        holder.switch, orders.host, orders.grpc_port, limits, orders.tls
    )
    return server


def _report(orders: WorkerOrders, facts: dict[str, Any]) -> None:
    line = json.dumps({"order": 0, **facts})
    os.write(orders.report_fd, line.encode() + b"\n")


def _sentence(err: Exception) -> str:
    if isinstance(err, BrixaError):
        return err.message
    return f"{type(err).__name__}: {err}".splitlines()[0][:500]


def _follow_orders(orders: WorkerOrders, serving: Future[_Serving]) -> None:
    """Obey until stdin ends, then leave."""
    while line := sys.stdin.buffer.readline():
        order = ChangeOrder.model_validate_json(line)
        try:
            _report(orders, _obey(order, serving.result()))
        except Exception as err:  # noqa: B902 - told to the supervisor; we serve on
            logger.exception("an order could not be obeyed")
            failed = {"event": "failed", "error": _sentence(err)}
            _report(orders, failed | {"order": order.id})
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_RESORT_SECONDS)
    os._exit(1)


def _obey(order: ChangeOrder, serving: _Serving) -> dict[str, Any]:
    """Make a change; returns what to report."""
    holder, versions = serving.holder, order.versions
    done: dict[str, Any] = {"event": "done", "order": order.id}
    if order.op == "discard":
        holder.discard()
    elif order.op == "admit":
        holder.switch.access = Access(order.key_digests)
        logger.info("%d keys are known from now on", len(order.key_digests))
    elif order.op == "commit":
        holder.switch.access = Access(order.key_digests)
        serving.call(lambda: holder.commit(versions))
        logger.info("serving %s", " and ".join(each.version for each in versions.all))
    elif order.op == "spread":
        count = serving.call(lambda: serving.server.spread(order.share))
        return done | {"connections": count}
    elif changed := serving.code.changed():
        logger.info("a fresh process is needed: %s changed on disk", ", ".join(changed))
        return done | {"event": "stale"}
    else:
        holder.prepare(versions)
    return done


def _start_logging(orders: WorkerOrders) -> None:
    level = os.environ.get("LOG_LEVEL", "").upper()
    RuntimeFolder(Path(orders.folder)).start_logging(
        f"replica-{orders.slot}", level if level in _LEVELS else orders.log_level
    )


if __name__ == "__main__":
    sys.exit(main())
