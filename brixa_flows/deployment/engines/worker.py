"""One replica: loads a version, warms it up and serves it on the inherited socket.

Started by the supervisor as ``python -m brixa_flows.deployment.engines.worker``. Its
orders are one line of JSON on stdin; stdin stays open as a lifeline, and when it ends
the supervisor is gone and the replica drains and ends too. It answers one line of JSON
on the report descriptor: ``{"event": "ready"}`` or ``{"event": "failed", "error": ...}``.

It never imports MLflow, which would cost seconds: the digest that the trust policy asks
for was looked up in the tracking backend by the deployer and came down by stdin.
"""

from __future__ import annotations

import importlib
import json
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import BaseModel, ConfigDict

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.engines.draining import DrainingServer
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.errors import BrixaError
from brixa_flows.prediction import ModelPredictor
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.base import Prediction
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.opening import open_storage
from brixa_flows.tracking.memory_store import MemoryTrackingStore

__all__ = ["WorkerOrders", "main"]

_LOG_BYTES = 5 * 1024 * 1024
_KEEP_ALIVE_SECONDS = 65
_GRACE_SECONDS = 10
_LAST_RESORT_SECONDS = 30.0
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

logger = logging.getLogger("brixa_flows.deployment.worker")


class WorkerOrders(BaseModel):
    """What the supervisor tells a replica.

    Attributes:
        deployment: Name of the deployment.
        model_name: Registry name of the model.
        version: Its exact version.
        digest: What the tracking backend recorded for it.
        storage_uri: Where its files are.
        registry_path: Folder of the registry there.
        trust_policy: What may be loaded.
        keys_path: Folder of the keys whose signatures are believed.
        slot: The replica's slot in the metrics file.
        listen_fd: The inherited listening socket.
        report_fd: Where to say that it is ready.
        folder: Runtime folder of the deployment on this machine.
        log_level: Used unless the environment says LOG_LEVEL.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    deployment: str
    model_name: str
    version: str
    digest: str | None
    storage_uri: str
    registry_path: str
    trust_policy: str
    keys_path: str
    slot: int
    listen_fd: int
    report_fd: int
    folder: str
    log_level: str


def main() -> int:
    """Serve until told to stop.

    Returns:
        Exit code.
    """
    orders = WorkerOrders.model_validate_json(sys.stdin.buffer.readline())
    _start_logging(orders)
    threading.Thread(target=_follow_lifeline, name="lifeline", daemon=True).start()
    try:
        served = load_model(orders)
        limits = Limits.from_environment(os.environ)
    except Exception as err:  # noqa: B902 - told to the supervisor, then we end
        logger.exception("%s %s did not load", orders.model_name, orders.version)
        _report(orders, "failed", _sentence(err))
        return 1
    _serve(orders, served, limits)
    return 0


def load_model(orders: WorkerOrders) -> ServedModel:
    """Load, verify and warm up the version."""
    started = time.perf_counter()
    settings = BrixaSettings(
        model_registry_path=orders.registry_path,
        trust_policy=orders.trust_policy,
        keys_path=orders.keys_path,
    )
    storage = open_storage(orders.storage_uri, settings)
    registry = ModelRegistry(storage, tracking=_pinned(orders), settings=settings)
    predictor = ModelPredictor.from_registry(
        registry, orders.model_name, orders.version
    )
    metadata = predictor.metadata
    served = ServedModel(
        deployment=orders.deployment,
        name=metadata.name,
        version=str(metadata.version),
        platform=metadata.framework or "",
        input_schema=metadata.input_schema,
        predict=_predict_as_trained(predictor),
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
    return served


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


def _pinned(orders: WorkerOrders) -> MemoryTrackingStore:
    """A tracking backend that knows one fact: the digest this version must have."""
    tracking = MemoryTrackingStore()
    if orders.digest is not None:
        tracking.open_run(
            orders.model_name,
            orders.version,
            digest=orders.digest,
            params={},
            metrics={},
        )
    return tracking


def _serve(orders: WorkerOrders, served: ServedModel, limits: Limits) -> None:
    metrics = MetricsFile(Path(orders.folder) / "metrics.bin")
    application = PredictorApplication(served, limits, metrics, orders.slot)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listening = socket.socket(fileno=orders.listen_fd)
    server = DrainingServer(config, application, lambda: _report(orders, "ready"))
    server.run(sockets=[listening])


def _report(orders: WorkerOrders, event: str, error: str = "") -> None:
    line: dict[str, Any] = {"event": event, "error": error}
    os.write(orders.report_fd, json.dumps(line).encode() + b"\n")
    os.close(orders.report_fd)


def _sentence(err: Exception) -> str:
    if isinstance(err, BrixaError):
        return err.message
    return f"{type(err).__name__}: {err}".splitlines()[0][:500]


def _follow_lifeline() -> None:
    while sys.stdin.buffer.read(1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_RESORT_SECONDS)
    os._exit(1)


def _start_logging(orders: WorkerOrders) -> None:
    level = os.environ.get("LOG_LEVEL", "").upper()
    handler = logging.handlers.RotatingFileHandler(
        Path(orders.folder) / "logs" / f"replica-{orders.slot}.log",
        maxBytes=_LOG_BYTES,
        backupCount=1,
        encoding="utf-8",
        errors="backslashreplace",
    )
    logging.basicConfig(
        level=level if level in _LEVELS else orders.log_level,
        format="%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s",
        handlers=[handler],
    )
    logging.captureWarnings(True)


if __name__ == "__main__":
    sys.exit(main())
