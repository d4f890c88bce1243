"""Judge a version on labelled rows, and against production on the last of them."""

from __future__ import annotations

from prefect import flow, get_run_logger
from pydantic import Field

from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.evaluation import (
    compare_with_production,
    conclude_evaluation,
    evaluate_version,
    look_policy_up,
)
from brixa_flows.tasks.names import ModelName, VersionSpec
from brixa_flows.tasks.performance import learn_estimator
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_evaluation
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.run_page import progress
from brixa_flows.tasks.versions import look_version_up


class EvaluateRequest(FlowRequest):
    """Which version to judge, on what."""

    name: ModelName = Field(description="Model.")
    version: VersionSpec = Field(
        description="Version, stage, alias, latest or constraint."
    )
    evaluations: list[EvaluationDataset] = Field(
        default_factory=list, description="Labelled rows; the last ones decide."
    )
    target: str = Field("", description="Column of the label; empty if it is plain.")
    metrics: list[str] = Field(
        ["roc_auc", "average_precision", "log_loss", "accuracy"],
        description="What to measure, in scikit-learn's words.",
    )
    policy: str = Field(
        DEFAULT_POLICY,
        description="Brixa Gate Policy block that decides about production.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="evaluate_model",
    flow_run_name="evaluate {request.name} {request.version}",
    description="Judges a version on labelled rows and against production.",
)
@links_remedy
def evaluate_model(request: EvaluateRequest) -> None:
    """Judge on each dataset, compare on the last, show, announce, learn for later.

    A version that came without labelled rows waits for a person. A policy that is not
    there could decide nothing, so nothing is judged for it.
    """
    look_policy_up(request.policy)
    version = look_version_up(request.registry, request.name, request.version)
    if not request.evaluations:
        get_run_logger().warning("no labelled rows were named, so nothing is judged")
        return
    who = (request.registry, request.name, version)
    *others, decisive = request.evaluations
    asked = (request.target, request.metrics)
    what = f"judging {request.name} {version}"
    results = []
    with progress("evaluating", request.name, what, len(others) + 2) as step:
        for dataset in others:
            results.append(evaluate_version(*who, dataset, *asked))
            step()
        comparison = compare_with_production(*who, decisive, *asked, request.policy)
        step()
        judged = conclude_evaluation(*who, decisive, *asked, comparison, request.policy)
        step()
    publish_evaluation([*results, judged.result], comparison)
    announce(request.registry, judged.owed)
    learn_estimator(*who, decisive, request.target)
