"""Judging a version on labelled rows, alone and against production."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation import Comparison, EvaluationResult, ModelEvaluator
from brixa_flows.events import EvaluationDataset
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import open_registry

__all__ = [
    "compare_with_production",
    "evaluate_version",
    "evaluation_event_id",
    "version_in_production",
]


def version_in_production(registry: ModelRegistry, name: str) -> str | None:
    """The version that is in production, if one is."""
    found = registry.list_versions(name, stage="production")
    return str(found[0].version) if found else None


def evaluation_event_id(
    registry: str, name: str, version: str, result: EvaluationResult
) -> UUID:
    """The id that the journal's record of an evaluation gives its event.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        result: What was recorded.

    Raises:
        EvaluationError: If it was not recorded.
    """
    for record in reversed(open_registry(registry).evaluations(name, version)):
        if EvaluationResult.from_dict(record).evaluated_at == result.evaluated_at:
            return UUID(record["event_id"])
    raise EvaluationError(f"the evaluation of {name} {version} was not recorded")


@task(task_run_name="evaluate {version} on {dataset.name}", cache_policy=NO_CACHE)
def evaluate_version(
    registry: str,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    target: str,
    metrics: Sequence[str],
) -> EvaluationResult:
    """Judge a version on one dataset and record what was found.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        dataset: Labelled rows.
        target: Column of the label.
        metrics: What to measure, in scikit-learn's words.

    Returns:
        Metrics with intervals.

    Raises:
        BrixaError: If the version or the data can't be judged.
    """
    evaluator = ModelEvaluator(open_registry(registry))
    result = evaluator.evaluate(
        model_name=name,
        version=version,
        dataset=dataset.uri,
        metrics=list(metrics),
        target=target or None,
        dataset_name=dataset.name,
    )
    get_run_logger().info("%s on %s: %s", version, dataset.name, result.metrics)
    return result


@task(task_run_name="compare {version} with production", cache_policy=NO_CACHE)
def compare_with_production(
    registry: str,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    target: str,
    metrics: Sequence[str],
) -> Comparison | None:
    """Judge a version against the one in production on the same rows.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The candidate.
        dataset: Labelled rows.
        target: Column of the label.
        metrics: What to compare.

    Returns:
        The comparison, or ``None`` while nothing else is in production.

    Raises:
        BrixaError: If either version or the data can't be judged.
    """
    opened = open_registry(registry)
    baseline = version_in_production(opened, name)
    if baseline is None or baseline == version:
        get_run_logger().info("nothing in production to compare %s with", version)
        return None
    return ModelEvaluator(opened).compare(
        model_name=name,
        baseline=baseline,
        candidate=version,
        dataset=dataset.uri,
        metrics=list(metrics),
        target=target or None,
    )
