"""Names and payloads of every event we emit; no Prefect here.

An automation's template that names a missing key starts nothing, so every payload has
every key, always, and unknown ones are refused. What a person reads in the feed is the
key ``message``, made from the other keys by each class's own sentence.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brixa_flows.jsonable import refuse_untold

__all__ = [
    "DEFAULT_POLICY",
    "EVENTS",
    "ApprovalWaiting",
    "DriftDetected",
    "EvaluationDataset",
    "EventPayload",
    "GateRefused",
    "LabelsArrived",
    "ModelDeployed",
    "ModelEvaluated",
    "ModelPromoted",
    "ModelRegistered",
    "ModelSoaked",
    "Moment",
    "PerformanceChecked",
    "PerformanceDegraded",
    "TrainingCompleted",
    "WindowChecked",
    "WindowClosed",
    "WindowKind",
]

MESSAGE_KEY = "message"
DEFAULT_POLICY = "production"
_NAMESPACE = uuid.UUID("6f1c0b7e-6f0d-5f7b-9a55-6b72697861f1")


# From the training on, so that who trains says who decides; records of releases that did
# not know it are read with the default.
_Policy = Annotated[
    str, Field(description="Brixa Gate Policy block that decides about production.")
]
# As patterns, which forms and the server check before there is a run.
WindowKind = Annotated[
    str,
    Field(
        pattern=r"^(sample|hour|day|week|month|quarter|[1-9][0-9]{0,4}[hDW])$",
        description="hour, day, week, month, quarter, or a length such as 12h, 7D or 4W; "
        "sample has no length.",
    ),
]
Moment = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")]


class EvaluationDataset(BaseModel):
    """Labelled rows that a training did not see.

    Attributes:
        name: What a person calls them.
        uri: Where they are (Parquet, CSV ...).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What a person calls these rows.")
    uri: str = Field(description="Where they are: a Parquet or CSV file or folder.")


class EventPayload(BaseModel):
    """What an event carries.

    Attributes:
        event: Its name in the feed.
        says: The sentence for a person, filled from the fields.
        labels: Field by resource label, so that a trigger can match on it.
        name: The model it is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _check_that_json_can_tell_it(self) -> Self:
        """What can't be sent is refused before it is kept, and keeps nobody waiting."""
        for name, value in self:
            # A comparison's numbers that are none are told as null.
            refuse_untold(name, value, finite=name != "comparison")
        return self

    event: ClassVar[str]
    says: ClassVar[str]
    labels: ClassVar[dict[str, str]] = {"brixa.version": "version"}

    name: str = Field(description="Name of the model.")

    @classmethod
    def payload_keys(cls) -> frozenset[str]:
        """Every key that the payload always has."""
        return frozenset({*cls.model_fields, MESSAGE_KEY})

    @property
    def message(self) -> str:
        """The event as a sentence."""
        return self.says.format_map(dict(self))

    def to_payload(self) -> dict[str, Any]:
        """The payload as plain JSON, with the sentence."""
        return {**self.model_dump(mode="json"), MESSAGE_KEY: self.message}

    def resource(self) -> dict[str, str]:
        """What the event is about, with the labels that triggers can match on."""
        facts = {label: str(getattr(self, key)) for label, key in self.labels.items()}
        return {
            "prefect.resource.id": f"brixa.model.{self.name}",
            "prefect.resource.name": self.name,
            **facts,
        }

    def event_id(self, *occasion: object) -> uuid.UUID:
        """An id that is the same whenever the same thing is announced again.

        Args:
            *occasion: What makes this event one of its kind: a digest, a record's id.
        """
        parts = [self.event, self.name, *map(str, occasion)]
        return uuid.uuid5(_NAMESPACE, "\n".join(parts))


class TrainingCompleted(EventPayload):
    """A training ended and its model is in the tracking backend."""

    event = "brixa.training.completed"
    says = "a model for {name} was trained: {model_uri}"
    labels = {"brixa.model_type": "model_type"}

    model_uri: str
    framework: str
    model_type: str
    description: str = ""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    datasets: list[dict[str, Any]] = Field(
        default_factory=list, description="What it was trained on, as DatasetRef."
    )
    reference_uri: str = Field(
        "", description="Rows whose distribution becomes the drift profile."
    )
    evaluations: list[EvaluationDataset] = Field(
        default_factory=list,
        description="Labelled rows it has not seen; the last one decides.",
    )
    target: str = Field("", description="Column of the label.")
    run_id: str = ""
    flow_run_id: str = ""
    git_commit: str = ""
    environment: dict[str, str] = Field(
        default_factory=dict, description="Installed version by package."
    )
    policy: _Policy = DEFAULT_POLICY


class ModelRegistered(EventPayload):
    """A version is sealed in the registry."""

    event = "brixa.model.registered"
    says = "{name} {version} is registered and sealed"

    version: str
    framework: str
    digest: str
    model_uri: str = Field("", description="The logged model that it came from.")
    evaluations: list[EvaluationDataset] = Field(default_factory=list)
    target: str = ""
    policy: _Policy = DEFAULT_POLICY


class ModelEvaluated(EventPayload):
    """A version was judged on data, and against production if there was one."""

    event = "brixa.model.evaluated"
    says = "{name} {version} was judged on {rows} rows of {dataset}"

    version: str
    dataset: str = Field(description="The rows that decide.")
    dataset_digest: str
    rows: int
    metrics: dict[str, float]
    baseline: str = Field("", description="Version in production, if any.")
    comparison: dict[str, Any] = Field(default_factory=dict)
    policy: _Policy = DEFAULT_POLICY


class ApprovalWaiting(EventPayload):
    """A run waits for a person to say whether a version may go into a stage."""

    event = "brixa.approval.waiting"
    says = "{name} {version} may go into {stage} if a person says so until {deadline}"
    labels = {"brixa.version": "version", "brixa.stage": "stage"}

    version: str
    stage: str
    policy: str
    replaces: str = Field("", description="The version that is there now, if any.")
    tell: str = Field("", description="Whom the policy wants to be asked.")
    deadline: str = Field(description="After it nothing is promoted; ISO 8601.")
    flow_run_id: str = Field(description="The run that waits.")
    url: str = Field("", description="Where the Prefect UI shows it.")


class ModelPromoted(EventPayload):
    """A version went into a stage."""

    event = "brixa.model.promoted"
    says = "{name} {version} is in {stage}"
    labels = {"brixa.version": "version", "brixa.stage": "stage"}

    version: str
    stage: str
    replaced: str = ""
    actor: str
    reason: str


class GateRefused(EventPayload):
    """A gate, a person or a person's silence kept a version out of a stage."""

    event = "brixa.model.refused"
    says = "{name} {version} stays out of {stage} by the policy {policy}"
    labels = {"brixa.version": "version", "brixa.stage": "stage"}

    version: str
    stage: str
    policy: str
    reasons: list[str]


class ModelDeployed(EventPayload):
    """A version answers at an endpoint."""

    event = "brixa.model.deployed"
    says = "{name} {version} answers at {endpoint}"
    labels = {"brixa.version": "version", "brixa.deployment": "deployment"}

    version: str
    deployment: str
    endpoint: str
    replaced: str = ""

    def resource(self) -> dict[str, str]:
        """What it is about; ``NAME-staging`` says the stage that it serves too."""
        suffix = self.deployment.removeprefix(f"{self.name}-")
        stage = suffix if suffix in ("staging", "production") else ""
        return {**super().resource(), "brixa.stage": stage}


class ModelSoaked(EventPayload):
    """A version held out under traffic in staging."""

    event = "brixa.model.soaked"
    says = "{name} {version} answered {requests} requests at {deployment} as it must"

    version: str
    deployment: str
    requests: int
    p99_ms: float
    dataset_digest: str = Field(description="The rows whose evaluation decides.")
    comparison: dict[str, Any] = Field(
        default_factory=dict, description="With production as it is now, if any."
    )
    policy: _Policy = DEFAULT_POLICY


class _OfWindow(EventPayload):
    """What an event about a stretch of traffic carries."""

    deployment: str = Field(description="Who served it.")
    start: Moment = Field(description="Its begin, ISO 8601.")
    end: Moment = Field(description="Its end, not included, ISO 8601.")
    kind: WindowKind


class WindowClosed(_OfWindow):
    """A stretch of traffic is over; whoever sent it says where its rows are."""

    event = "brixa.window.closed"
    says = "the {kind} from {start} to {end} of {deployment} is over"
    labels = {"brixa.deployment": "deployment", "brixa.window": "kind"}

    data_uri: str = Field(
        "",
        description="Parquet of the inputs (and predictions); empty means the request "
        "log of the deployment.",
    )


class WindowChecked(_OfWindow):
    """A window was compared with the reference and raises no alarm."""

    event = "brixa.window.checked"
    says = "the {kind} from {start} to {end} of {deployment}: {status}"
    labels = {
        "brixa.version": "version",
        "brixa.deployment": "deployment",
        "brixa.window": "kind",
    }

    version: str
    status: str
    rows: int


class DriftDetected(_OfWindow):
    """A window differs from the reference more than the reference from itself."""

    event = "brixa.drift.detected"
    says = "the {kind} from {start} to {end} of {deployment}: {sentence}"
    labels = {**WindowChecked.labels, "brixa.response": "response"}

    version: str
    rows: int
    columns: list[str]
    sentence: str
    report_uri: str = Field("", description="MLflow's address of the whole report.")
    response: str = Field("retrain", description="What the drift policy asks for.")


class LabelsArrived(_OfWindow):
    """The labels of a stretch of traffic are known."""

    event = "brixa.labels.arrived"
    says = "the labels of the {kind} from {start} to {end} of {deployment} are here"
    labels = WindowClosed.labels

    data_uri: str = Field(
        "", description="Parquet of the inputs; empty is the deployment's request log."
    )
    labels_uri: str = Field(
        "", description="Parquet of row ids and labels; empty if the inputs have them."
    )
    row_id: str = Field("", description="Column of the row ids, in both.")
    version: str = Field(
        "", description="The version that served them; empty is the one served now."
    )


class PerformanceChecked(_OfWindow):
    """A version was as good in a window as it was, or nobody can tell."""

    event = "brixa.performance.checked"
    says = "the {kind} from {start} to {end} of {deployment}: {sentence}"
    labels = {**WindowChecked.labels, "brixa.realised": "realised"}

    version: str
    status: str
    realised: bool = Field(description="Measured with labels; else estimated.")
    rows: int
    sentence: str


class PerformanceDegraded(_OfWindow):
    """A version was worse in a window than its reference's own windows are."""

    event = "brixa.performance.degraded"
    says = "the {kind} from {start} to {end} of {deployment}: {sentence}"
    labels = {**PerformanceChecked.labels, "brixa.response": "response"}

    version: str
    realised: bool = Field(description="Measured with labels; else estimated.")
    rows: int
    metrics: list[str] = Field(description="Those that are worse than usual.")
    sentence: str
    response: str = Field("retrain", description="What the drift policy asks for.")


EVENTS: dict[str, type[EventPayload]] = {
    payload.event: payload
    for payload in (
        TrainingCompleted,
        ModelRegistered,
        ModelEvaluated,
        ApprovalWaiting,
        ModelPromoted,
        GateRefused,
        ModelDeployed,
        ModelSoaked,
        WindowClosed,
        WindowChecked,
        DriftDetected,
        LabelsArrived,
        PerformanceChecked,
        PerformanceDegraded,
    )
}
