"""Names and payloads of every event we emit; no Prefect here.

An automation's template that names a missing key starts nothing, so every payload has
every key, always, and unknown ones are refused.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "DriftDetected",
    "EventPayload",
    "GateRefused",
    "ModelDeployed",
    "ModelEvaluated",
    "ModelPromoted",
    "ModelRegistered",
    "TrainingCompleted",
    "WindowChecked",
    "WindowClosed",
]


class EventPayload(BaseModel):
    """What an event carries; ``event`` is its name in the feed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: ClassVar[str]


class TrainingCompleted(EventPayload):
    """A training ended and its model is in the tracking backend."""

    event = "brixa.training.completed"

    name: str
    model_uri: str
    framework: str
    model_type: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    datasets: list[dict[str, Any]] = Field(default_factory=list)
    reference_uri: str = ""
    evaluation_uri: str = Field(
        "", description="Labelled rows that the training has not seen."
    )
    target: str = ""
    run_id: str = ""
    flow_run_id: str = ""
    git_commit: str = ""


class ModelRegistered(EventPayload):
    """A version is sealed in the registry."""

    event = "brixa.model.registered"

    name: str
    version: str
    framework: str
    digest: str
    evaluation_uri: str = ""
    target: str = ""


class ModelEvaluated(EventPayload):
    """A version was judged on data, and against production if there was one."""

    event = "brixa.model.evaluated"

    name: str
    version: str
    dataset: str
    dataset_digest: str
    rows: int
    metrics: dict[str, float]
    baseline: str = Field("", description="Version in production, if any.")
    comparison: dict[str, Any] = Field(default_factory=dict)


class ModelPromoted(EventPayload):
    """A version went into a stage."""

    event = "brixa.model.promoted"

    name: str
    version: str
    stage: str
    replaced: str = ""
    actor: str
    reason: str


class GateRefused(EventPayload):
    """A policy kept a version out of a stage."""

    event = "brixa.model.refused"

    name: str
    version: str
    stage: str
    reasons: list[str]


class ModelDeployed(EventPayload):
    """A version answers at an endpoint."""

    event = "brixa.model.deployed"

    name: str
    version: str
    deployment: str
    endpoint: str
    replaced: str = ""


class WindowClosed(EventPayload):
    """A stretch of traffic is over; whoever sent it says where its rows are."""

    event = "brixa.window.closed"

    name: str
    deployment: str
    start: str
    end: str
    kind: str = Field(description="week, month, day ... of the same reference spread.")
    data_uri: str = Field(description="Parquet of the inputs (and predictions).")


class WindowChecked(EventPayload):
    """A window was compared with the reference and is quiet."""

    event = "brixa.window.checked"

    name: str
    version: str
    deployment: str
    start: str
    end: str
    kind: str
    status: str
    rows: int


class DriftDetected(EventPayload):
    """A window differs from the reference more than the reference from itself."""

    event = "brixa.drift.detected"

    name: str
    version: str
    deployment: str
    start: str
    end: str
    kind: str
    rows: int
    columns: list[str]
    sentence: str
    report_uri: str = ""
