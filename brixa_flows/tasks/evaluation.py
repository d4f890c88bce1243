"""Judging a version on labelled rows, alone and against production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from prefect import get_run_logger

from brixa_flows.drift import drift_facts
from brixa_flows.errors import OrchestrationError, PrefectUnavailableError
from brixa_flows.evaluation import (
    Comparison,
    EvaluationResult,
    GatePolicy,
    ModelEvaluator,
)
from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset
from brixa_flows.outbox import (
    Owed,
    announces,
    concluded_alike,
    evaluated,
    judged_alike,
    owed_by_record,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import load_policy, open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = [
    "Conclusion",
    "compare_with_production",
    "conclude_evaluation",
    "evaluate_version",
    "look_policy_up",
]


class Conclusion(NamedTuple):
    """What was found on the rows that decide, and the event that it owes."""

    result: EvaluationResult
    owed: Owed


@remote_task("look the policy {policy} up")
def look_policy_up(policy: str) -> None:
    """Return if there is such a gate policy: what it is to decide would be in vain.

    Args:
        policy: Name of its block.

    Raises:
        OrchestrationError: If there is none.
    """
    load_policy(policy)


@remote_task("evaluate {version} on {dataset.name}", timeout_seconds=None)
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
    result = _judge(evaluator, name, version, dataset, target, metrics)
    if not judged_alike(open_registry(registry), result):
        evaluator.keep(result)
    get_run_logger().info("%s on %s: %s", version, dataset.name, result.metrics)
    return result


@remote_task("conclude on {version} by {dataset.name}", timeout_seconds=None)
def conclude_evaluation(
    registry: str,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    target: str,
    metrics: Sequence[str],
    comparison: Comparison | None,
    policy: str = DEFAULT_POLICY,
) -> Conclusion:
    """Judge a version on the rows that decide; the record owes the loop its event.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        dataset: Labelled rows.
        target: Column of the label.
        metrics: What to measure.
        comparison: With the version in production, if there was one.
        policy: The gate policy that is to decide about it; its slices, and the drift
            of the rows if it asks, are measured too.

    Returns:
        What was found, and the event; those of an earlier run that found the same.

    Raises:
        BrixaError: If the version or the data can't be judged.
    """
    opened, gates = open_registry(registry), _gates(policy)
    evaluator = ModelEvaluator(opened)
    result = _judge(
        evaluator,
        name,
        version,
        dataset,
        target,
        metrics,
        slices=gates.slices if gates else (),
        drift=_drift(opened, name, version, dataset, gates),
    )
    payload = evaluated(result, comparison, policy)
    itself = str(opened.production_version(name)) == version
    baseline = None if itself else payload.baseline
    sliced = comparison.slices if comparison and not itself else ()
    compared = {part.column for part in sliced}
    record = concluded_alike(opened, result, baseline, policy, compared)
    record = record or evaluator.keep(result, announces(payload))
    get_run_logger().info("%s on %s: %s", version, dataset.name, result.metrics)
    return Conclusion(EvaluationResult.from_dict(record), owed_by_record(record))


def _judge(
    evaluator: ModelEvaluator,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    target: str,
    metrics: Sequence[str],
    slices: Sequence[str] = (),
    drift: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    return evaluator.evaluate(
        model_name=name,
        version=version,
        dataset=dataset.uri,
        metrics=list(metrics),
        target=target or None,
        dataset_name=dataset.name,
        slices=slices,
        drift=drift,
        record=False,
    )


def _gates(policy: str) -> GatePolicy | None:
    """The policy, or ``None`` if there is none: to measure needs no gates."""
    try:
        return load_policy(policy)
    except PrefectUnavailableError:
        raise
    except OrchestrationError as err:
        get_run_logger().warning("only what was asked for is measured: %s", err)
        return None


def _drift(
    registry: ModelRegistry,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    gates: GatePolicy | None,
) -> dict[str, Any] | None:
    if gates is None or not gates.needs_drift:
        return None
    profile = registry.reference_profile_path(name, version)
    return drift_facts(f"{name} {version}", profile, dataset.uri)


@remote_task("compare {version} with production", timeout_seconds=None)
def compare_with_production(
    registry: str,
    name: str,
    version: str,
    dataset: EvaluationDataset,
    target: str,
    metrics: Sequence[str],
    policy: str = DEFAULT_POLICY,
) -> Comparison | None:
    """Judge a version against the one in production on the same rows.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The candidate.
        dataset: Labelled rows.
        target: Column of the label.
        metrics: What to compare.
        policy: The gate policy that is to decide; it is compared by its slices too.

    Returns:
        The comparison, or ``None`` while nothing else is in production.

    Raises:
        BrixaError: If either version or the data can't be judged.
    """
    opened = open_registry(registry)
    baseline = opened.production_version(name)
    if baseline is None or str(baseline) == version:
        get_run_logger().info("nothing in production to compare %s with", version)
        return None
    gates = _gates(policy)
    return ModelEvaluator(opened).compare(
        model_name=name,
        baseline=baseline,
        candidate=version,
        dataset=dataset.uri,
        metrics=list(metrics),
        target=target or None,
        slices=gates.compared_slices if gates else (),
        record=True,
    )
