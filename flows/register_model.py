"""Adopt a finished training as the next version of its model."""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic import Field

from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset, TrainingCompleted
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.names import ModelName
from brixa_flows.tasks.registration import (
    adopt_training,
    registered_event,
    sign_version,
)
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_registration
from brixa_flows.tasks.requests import FlowRequest


class RegisterRequest(FlowRequest):
    """What a training announced; every field as in brixa.training.completed."""

    name: ModelName = Field(description="Model that gets a new version.")
    model_uri: str = Field(description="Logged model, such as runs:/RUN_ID/model.")
    framework: str = Field("", description="sklearn, pytorch, tensorflow ...")
    model_type: str = Field(description="What the model does, in your words.")
    description: str = Field("", description="Free text for the version.")
    hyperparameters: dict[str, Any] = Field(
        default_factory=dict, description="How it was trained."
    )
    metrics: dict[str, float] = Field(
        default_factory=dict, description="What the training measured."
    )
    datasets: list[dict[str, Any]] = Field(
        default_factory=list, description="What it was trained on."
    )
    reference_uri: str = Field(
        "", description="Parquet of the training rows; becomes the drift profile."
    )
    evaluations: list[EvaluationDataset] = Field(
        default_factory=list, description="Labelled rows to judge it on next."
    )
    target: str = Field("", description="Column of the label.")
    run_id: str = Field("", description="MLflow run that trained it.")
    flow_run_id: str = Field("", description="Prefect flow run that trained it.")
    git_commit: str = Field("", description="Commit of the training code.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Packages that it was trained with."
    )
    policy: str = Field(
        DEFAULT_POLICY,
        description="Brixa Gate Policy block that decides about production.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")
    signing_keys: str = Field(
        "", description="Brixa Signing Keys block; empty leaves the version unsigned."
    )

    def training(self) -> TrainingCompleted:
        """The announcement that this came from."""
        ours = {"registry", "signing_keys"}
        return TrainingCompleted.model_validate(self.model_dump(exclude=ours))


@flow(
    name="register_model",
    flow_run_name="register {request.name}",
    description="Registers, saves and seals what a training announced.",
)
@links_remedy
def register_model(request: RegisterRequest) -> None:
    """Adopt, sign if a key is named, show, announce."""
    metadata = adopt_training(request.registry, request.training())
    who = (metadata.name, str(metadata.version))
    if request.signing_keys:
        sign_version(request.registry, request.signing_keys, *who)
    publish_registration(request.registry, metadata)
    announce(request.registry, registered_event(request.registry, *who))
