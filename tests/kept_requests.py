"""A request log with rows in it, written as a replica does, with no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brixa_flows.deployment.batching import Answered, Batch
from brixa_flows.deployment.request_log import (
    RequestLog,
    RequestLogging,
    log_counters,
    requests_prefix,
)
from brixa_flows.deployment.served import ServedModel
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.base import Prediction


def keep_requests(
    registry: ModelRegistry, folder: Path, deployment: str, model: str, frame: Any
) -> None:
    """Keep a table as one request to 1.0.0 of a model."""
    served = ServedModel(
        deployment=deployment,
        name=model,
        version="1.0.0",
        platform="sklearn",
        input_schema=registry.get_metadata(model, "1.0.0").input_schema,
        predict=lambda inputs: Prediction(np.zeros(1)),
    )
    prefix = requests_prefix(registry.settings.model_registry_path, deployment)
    counters = log_counters(folder)
    log = RequestLog(registry.storage, prefix, RequestLogging(), counters, 0)
    inputs = {name: frame[name].to_numpy() for name in frame}
    prediction = Prediction(np.zeros(len(frame)))
    log.offer(
        served,
        inputs,
        Answered(prediction, Batch(inputs, prediction), 0),
        len(frame),
        latency_seconds=0.001,
        request_id=None,
    )
    log.close(20)
    assert counters.totals()["written"] == len(frame)
