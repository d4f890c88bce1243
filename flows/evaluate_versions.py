"""Judge many versions of a model on the same rows, side by side."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.evaluation import EvaluationResult
from brixa_flows.events import EvaluationDataset
from brixa_flows.tasks.evaluation import evaluate_version
from brixa_flows.tasks.names import ModelName, VersionRange
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_ranking
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.task_runners import (
    RunnerName,
    reaching_cluster,
    task_runner,
)
from brixa_flows.tasks.versions import ready_versions


class EvaluateVersionsRequest(FlowRequest):
    """Which versions to judge, on what, and where."""

    name: ModelName = Field(description="Model.")
    versions: VersionRange = Field(
        "*", description="Which of its versions, as a constraint such as ^1.2."
    )
    evaluation: EvaluationDataset = Field(description="Labelled rows.")
    target: str = Field("", description="Column of the label; empty if it is plain.")
    metrics: list[str] = Field(
        ["roc_auc", "average_precision", "log_loss", "accuracy"],
        min_length=1,
        description="What to measure, in scikit-learn's words; the first one ranks.",
    )
    runner: RunnerName = Field(
        "threads", description="Where versions are judged: threads, dask or ray."
    )
    at_once: int = Field(2, ge=1, le=1000, description="How many are judged at a time.")
    cluster: str = Field(
        "", description="Address of a Dask or Ray cluster; empty makes a local one."
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(flow_run_name="judge versions of {request.name}")
@links_remedy
def judge_side_by_side(
    request: EvaluateVersionsRequest, versions: list[str]
) -> list[EvaluationResult]:
    """Judge each version in a task of its own."""
    judged = [
        evaluate_version.submit(
            request.registry,
            request.name,
            version,
            request.evaluation,
            request.target,
            request.metrics,
        )
        for version in versions
    ]
    return [future.result() for future in judged]


@flow(
    name="evaluate_versions",
    flow_run_name="rank {request.name} {request.versions}",
    description="Judges many versions on the same rows, side by side, and ranks them.",
)
@links_remedy
def evaluate_versions(request: EvaluateVersionsRequest) -> None:
    """Find the versions, judge them where the request says, show the ranking."""
    runner = task_runner(request.runner, request.at_once, request.cluster)
    versions = ready_versions(request.registry, request.name, request.versions)
    judge = judge_side_by_side.with_options(task_runner=runner)
    with reaching_cluster(request.runner, request.cluster):
        results = judge(request, versions)
    publish_ranking(results, request.metrics[0])
