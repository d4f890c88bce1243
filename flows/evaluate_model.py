"""Judge a version on labelled rows, and against production on the last of them."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.events import EvaluationDataset, ModelEvaluated
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.evaluation import (
    compare_with_production,
    evaluate_version,
    evaluation_event_id,
)
from brixa_flows.tasks.reporting import publish_evaluation
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.run_page import progress


class EvaluateRequest(FlowRequest):
    """Which version to judge, on what."""

    name: str = Field(description="Model.")
    version: str = Field(description="Its version.")
    evaluations: list[EvaluationDataset] = Field(
        min_length=1, description="Labelled rows; the last ones decide."
    )
    target: str = Field("", description="Column of the label; empty if it is plain.")
    metrics: list[str] = Field(
        ["roc_auc", "average_precision", "log_loss", "accuracy"],
        description="What to measure, in scikit-learn's words.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="evaluate_model",
    flow_run_name="evaluate {request.name} {request.version}",
    description="Judges a version on labelled rows and against production.",
)
def evaluate_model(request: EvaluateRequest) -> None:
    """Judge on each dataset, compare on the last, show, announce."""
    who = (request.registry, request.name, request.version)
    steps = len(request.evaluations) + 1
    what = f"judging {request.name} {request.version}"
    results = []
    with progress("evaluating", request.name, what, steps) as step:
        for dataset in request.evaluations:
            results.append(
                evaluate_version(*who, dataset, request.target, request.metrics)
            )
            step()
        comparison = compare_with_production(
            *who, request.evaluations[-1], request.target, request.metrics
        )
        step()
    decisive = results[-1]
    publish_evaluation(results, comparison)
    evaluated = ModelEvaluated(
        name=request.name,
        version=request.version,
        dataset=decisive.dataset.name,
        dataset_digest=decisive.dataset_digest,
        rows=decisive.rows,
        metrics=dict(decisive.metrics),
        baseline=str(comparison.baseline) if comparison else "",
        comparison=comparison.to_dict() if comparison else {},
    )
    announce(request.registry, evaluated, evaluation_event_id(*who, decisive))
