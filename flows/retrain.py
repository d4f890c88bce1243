"""Train again after an alarm, on all labelled months before it."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.demo.months import last_closed_month
from brixa_flows.errors import OrchestrationError
from brixa_flows.events import Moment
from brixa_flows.tasks.names import ExactVersion, ModelName
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.registration import training_policy
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_retraining
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.retraining import claim_retraining, finish_retraining
from flows.train import TrainRequest, train


class RetrainRequest(FlowRequest):
    """The alarm."""

    name: ModelName = Field(description="Model.")
    version: ExactVersion = Field(description="The version that the alarm is about.")
    end: Moment = Field(description="End of the window that raised it, ISO 8601.")
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="retrain",
    flow_run_name="retrain {request.name} after {request.end}",
    description="Trains on all labelled months before an alarm, once for each version "
    "and month.",
)
@links_remedy
def retrain(request: RetrainRequest) -> None:
    """Train again if there are new labels and nobody else does."""
    registry, name, version = request.registry, request.name, request.version
    metadata = open_registry(registry).get_metadata(name, version)
    trained_on, datasets = metadata.hyperparameters, metadata.lineage.datasets
    if not {"first_month", "last_month"} <= trained_on.keys() or not datasets:
        raise OrchestrationError(
            f"{name} {version} does not say on which months of which data it was "
            "trained, as the flow train does; let the automation of retrain start your "
            "own training flow instead"
        )
    last_month = last_closed_month(request.end)
    if last_month <= trained_on["last_month"]:
        publish_retraining(name, f"no labels newer than those of {version}")
        return
    if not claim_retraining(registry, name, version, last_month):
        publish_retraining(name, f"{version} is retrained for {last_month} already")
        return
    publish_retraining(name, f"training {name} on all months to {last_month}")
    train(
        TrainRequest(
            name=name,
            data=datasets[0].uri,
            first_month=trained_on["first_month"],
            last_month=last_month,
            policy=training_policy(registry, name, version),
            registry=registry,
        )
    )
    finish_retraining(registry, name, version, last_month)
