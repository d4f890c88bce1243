"""Train again after an alarm, on all labelled months before it."""

from __future__ import annotations

from prefect import flow, get_run_logger
from pydantic import BaseModel, Field

from brixa_flows.demo.months import last_closed_month
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.retraining import claim_retraining
from flows.train import TrainRequest, train


class RetrainRequest(BaseModel):
    """The alarm."""

    name: str = Field(description="Model.")
    version: str = Field(description="The version that the alarm is about.")
    end: str = Field(description="End of the window that raised it, ISO 8601.")
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="retrain",
    flow_run_name="retrain {request.name} after {request.end}",
    description="Trains on all labelled months before an alarm, once for each version "
    "and month.",
)
def retrain(request: RetrainRequest) -> None:
    """Train again if there are new labels and nobody else does."""
    logger = get_run_logger()
    metadata = open_registry(request.registry).get_metadata(
        request.name, request.version
    )
    trained_on = metadata.hyperparameters
    last_month = last_closed_month(request.end)
    if last_month <= trained_on["last_month"]:
        logger.info("no labels newer than those %s was trained on", request.version)
        return
    if not claim_retraining(
        request.registry, request.name, request.version, last_month
    ):
        logger.info("%s is retrained for %s already", request.name, last_month)
        return
    train(
        TrainRequest(
            name=request.name,
            data=metadata.lineage.datasets[0].uri,
            first_month=trained_on["first_month"],
            last_month=last_month,
            registry=request.registry,
        )
    )
