"""Announce the model of a training that does not know us; brixa.toml names such flows."""

from __future__ import annotations

from prefect import flow
from pydantic import Field, field_validator

from brixa_flows.events import (
    DEFAULT_POLICY,
    EvaluationDataset,
    TrainingCompleted,
)
from brixa_flows.tasks.adopting import find_trained_model
from brixa_flows.tasks.announcing import announce_whole
from brixa_flows.tasks.names import ModelName
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest, FlowRunId


class AdoptRequest(FlowRequest):
    """A flow run that completed, and what brixa.toml says of its flow."""

    flow_run: FlowRunId = Field(
        description="The flow run: its id, or as events name it."
    )
    experiment: str = Field(description="MLflow experiment that it logged a model to.")
    model: ModelName = Field(description="Model that gets a new version.")
    model_type: str = Field("", description="What the model does, in your words.")
    target: str = Field("", description="Column of the label.")
    evaluations: list[EvaluationDataset] = Field(
        default_factory=list, description="Labelled rows; the last ones decide."
    )
    reference_uri: str = Field(
        "", description="Parquet of the training rows; becomes the drift profile."
    )
    policy: str = Field(
        DEFAULT_POLICY,
        description="Brixa Gate Policy block that decides about production.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")

    @field_validator("flow_run")
    @classmethod
    def _id_of_the_run(cls, given: str) -> str:
        return given.removeprefix("prefect.flow-run.")


@flow(
    name="adopt_training",
    flow_run_name="adopt {request.model} of {request.flow_run}",
    description="Finds the model that a flow run logged, and announces it.",
)
@links_remedy
def adopt_training(request: AdoptRequest) -> None:
    """Find the one model, announce; once for a run, however often it is told of."""
    logged = find_trained_model(request.registry, request.flow_run, request.experiment)
    event = TrainingCompleted(
        name=request.model,
        model_uri=logged.uri,
        framework="",
        model_type=request.model_type,
        target=request.target,
        evaluations=request.evaluations,
        reference_uri=request.reference_uri,
        run_id=logged.run_id,
        flow_run_id=request.flow_run,
        policy=request.policy,
    )
    event_id = event.event_id(request.flow_run, request.experiment)
    announce_whole(request.registry, event, event_id)
