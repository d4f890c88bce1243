"""Asking a policy, and moving a version to a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect import get_run_logger

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation import (
    Comparison,
    EvaluationResult,
    GateDecision,
    GatePolicy,
)
from brixa_flows.outbox import Owed, promoted
from brixa_flows.registry import ModelRegistry, StageRecord
from brixa_flows.registry.facts.metadata import Stage
from brixa_flows.tasks.approving import Answer, Question, ask_person
from brixa_flows.tasks.opening import load_policy, open_registry
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.reports import approval_report

__all__ = [
    "ask_policy",
    "ask_somebody",
    "decide_now",
    "move_to_stage",
    "recorded_evaluation",
    "roll_back_production",
]


def recorded_evaluation(
    registry: ModelRegistry, name: str, version: str, dataset_digest: str
) -> EvaluationResult:
    """The newest recorded evaluation of a version (on certain rows).

    Args:
        registry: The registry.
        name: The model.
        version: Its version.
        dataset_digest: Digest of the rows; empty takes the newest of all.

    Raises:
        EvaluationError: If there is none.
    """
    kept = EvaluationResult.among(registry.evaluations(name, version))
    for result in reversed(kept):
        if dataset_digest in ("", result.dataset_digest):
            return result
    rows = f" on rows with the digest {dataset_digest}" if dataset_digest else ""
    raise EvaluationError(
        f"{name} {version} was never evaluated{rows}; run evaluate_model for it first"
    )


def decide_now(
    registry: ModelRegistry,
    policy: GatePolicy,
    name: str,
    version: str,
    dataset_digest: str,
    comparison: Mapping[str, Any],
) -> GateDecision:
    """Decide against the version that is in production at this moment.

    Another one may have got there since the evaluation; then the comparison is with
    the wrong one, and a gate that needs it stays shut.

    Raises:
        EvaluationError: If there is no such evaluation.
    """
    result = recorded_evaluation(registry, name, version, dataset_digest)
    holder = registry.production_version(name)
    present = str(holder) if holder else None
    if present != version:  # a repeated run finds its own promotion done
        result = replace(result, production=present, doubt="")
    compared = _read(comparison)
    return policy.decide(result, compared)


@remote_task("ask the policy {policy}")
def ask_policy(
    registry: str,
    policy: str,
    name: str,
    version: str,
    dataset_digest: str,
    comparison: Mapping[str, Any],
) -> GateDecision:
    """Decide by a policy whether a version may go on.

    Args:
        registry: Name of the registry's block.
        policy: Name of the policy's block.
        name: The model.
        version: The candidate.
        dataset_digest: The rows whose evaluation decides; empty takes the newest.
        comparison: Comparison with production, as the event carried it; may be empty.

    Raises:
        BrixaError: If there is no such policy or no evaluation.
    """
    decision = decide_now(
        open_registry(registry),
        load_policy(policy),
        name,
        version,
        dataset_digest,
        comparison,
    )
    get_run_logger().info("%s %s: %s by %s", name, version, decision.verdict, policy)
    return decision


def ask_somebody(
    registry: str,
    decision: GateDecision,
    stage: Stage,
    dataset_digest: str,
    comparison: Mapping[str, Any],
) -> Answer | None:
    """Wait for a person's answer if the policy asks one and it is not done already.

    Call it from a flow; see :func:`brixa_flows.tasks.approving.ask_person`.

    Args:
        registry: Name of the registry's block.
        decision: What the policy said.
        stage: Where the version is to go.
        dataset_digest: The rows whose evaluation decided.
        comparison: Comparison with production; may be empty.

    Returns:
        The answer, or ``None`` if nobody has to be asked.
    """
    if decision.verdict != "waiting":
        return None
    opened = open_registry(registry)
    name, version = decision.model_name, decision.version
    if opened.get_metadata(name, version).stage == stage:
        return None  # a run that goes on after a crash has had its answer
    there = opened.list_versions(name, stage=stage)
    holder = str(there[0].version) if there else ""

    question = Question(decision, stage, holder)

    def report() -> str:
        result = recorded_evaluation(opened, name, version, dataset_digest)
        compared = _read(comparison)
        return approval_report(question.title, decision, result, compared, holder)

    return ask_person(registry, question, report)


@remote_task("{name} {version} to {stage}")
def move_to_stage(
    registry: str,
    name: str,
    version: str,
    stage: str,
    actor: str,
    reason: str,
    replacing: str | None = None,
) -> StageRecord:
    """Put a version into a stage; a version that is there already stays.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        stage: Where it goes.
        actor: Who decided.
        reason: Why.
        replacing: Whom it may displace: a version, or ``none`` for nobody. Without it,
            whoever is there.

    Returns:
        The record of the change, this one or the earlier one that did it.

    Raises:
        BrixaError: If the transition is not allowed, or another version is there.
    """
    opened = open_registry(registry)
    if opened.get_metadata(name, version).stage != stage:
        opened.transition(
            name, version, stage, actor=actor, reason=reason, replacing=replacing
        )
    record = next(
        change
        for change in reversed(opened.stage_history(name))
        if change.target == stage and str(change.version) == version
    )
    get_run_logger().info("%s %s is in %s", name, version, stage)
    return record


@remote_task("roll {name} {version} back")
def roll_back_production(
    registry: str, name: str, version: str, actor: str, reason: str
) -> Owed | None:
    """Bring back what was in production before a version.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The version that has to go.
        actor: Who decided.
        reason: Why.

    Returns:
        The event of the change, this one or that of an earlier try; ``None`` if the
        version was not in production, so that nothing is done.

    Raises:
        StageTransitionError: If nothing was in production before it.
    """
    opened = open_registry(registry)
    if str(opened.production_version(name)) == version:
        record = opened.rollback(name, actor=actor, reason=reason)
        get_run_logger().info("%s is back in production", record.version)
        return promoted(record)
    last = next(
        (x for x in reversed(opened.stage_history(name)) if x.target == "production"),
        None,
    )
    if last is not None and last.actor == actor and str(last.replaced) == version:
        return promoted(last)  # a run that was started again
    get_run_logger().info("%s is not in production, so nothing is done", version)
    return None


def _read(comparison: Mapping[str, Any]) -> Comparison | None:
    """The comparison that an event carried.

    Raises:
        EvaluationError: If it is none.
    """
    try:
        return Comparison.from_dict(comparison) if comparison else None
    except (LookupError, TypeError, ValueError) as err:
        raise EvaluationError(
            f"comparison is none that evaluate_model made ({type(err).__name__}: {err}); "
            "leave it empty, or take it whole from brixa.model.evaluated"
        ) from err
