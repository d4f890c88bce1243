"""Judgements that owe the loop an event, and whether they were made before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from brixa_flows.drift import DriftReport, DriftVerdict, PerformanceReport
from brixa_flows.evaluation import Comparison, EvaluationResult
from brixa_flows.events import (
    DEFAULT_POLICY,
    DriftDetected,
    EventPayload,
    LabelsArrived,
    ModelEvaluated,
    PerformanceChecked,
    PerformanceDegraded,
    WindowChecked,
    WindowClosed,
)
from brixa_flows.registry import ModelRegistry

__all__ = [
    "concluded_alike",
    "evaluated",
    "find_record",
    "judged_alike",
    "judged_performance",
    "judged_window",
]


def judged_window(
    window: WindowClosed,
    version: str,
    report: DriftReport,
    verdict: DriftVerdict,
    response: str = "retrain",
    page: str = "",
) -> EventPayload:
    """The event of a window of traffic: an alarm, or that there is none.

    Args:
        window: The window.
        version: The version that served it.
        report: What was found.
        verdict: Whether it is an alarm.
        response: What an alarm leads to.
        page: MLflow's address of the whole report, if it is kept.
    """
    facts = {
        **window.model_dump(exclude={"data_uri"}),
        "version": version,
        "rows": report.rows,
    }
    if not verdict.alarm:
        return WindowChecked(**facts, status=report.status)
    told = {"sentence": report.sentence, "response": response, "report_uri": page}
    return DriftDetected(**facts, columns=report.drifted, **told)


def judged_performance(
    window: LabelsArrived,
    version: str,
    report: PerformanceReport,
    verdict: DriftVerdict,
    response: str = "retrain",
) -> EventPayload:
    """The event of how good a version was in a window: an alarm, or that there is none."""
    facts = {
        **window.model_dump(include={"name", "deployment", "start", "end", "kind"}),
        "version": version,
        "rows": report.rows,
        "realised": report.realised,
        "sentence": report.sentence,
    }
    if not verdict.alarm:
        return PerformanceChecked(**facts, status=report.status)
    worse = [name for name, each in report.metrics.items() if each.status == "degraded"]
    return PerformanceDegraded(**facts, metrics=worse, response=response)


def find_record(
    records: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The last record with all these facts, if there is one."""
    found = [record for record in records if facts.items() <= record.items()]
    return found[-1] if found else None


def judged_alike(
    registry: ModelRegistry, result: EvaluationResult
) -> list[dict[str, Any]]:
    """Records of the same metrics of the version on the same rows, oldest first.

    They have at least the slices and the drift that the result has.
    """
    sliced = {part.column for part in result.slices}
    drift = result.drift.get("status")

    def same(record: Mapping[str, Any]) -> bool:
        rows: Mapping[str, Any] = record.get("dataset") or {}
        metrics: Mapping[str, Any] = record.get("metrics") or {}
        same_metrics = metrics.keys() == result.metrics.keys()
        same_rows = rows.get("digest") == result.dataset_digest
        looked: Mapping[str, Any] = record.get("drift") or {}
        same_drift = drift in (None, looked.get("status"))
        parts = same_drift and sliced <= _columns(record)
        return same_rows and same_metrics and parts

    return list(filter(same, registry.evaluations(result.model_name, result.version)))


def concluded_alike(
    registry: ModelRegistry,
    result: EvaluationResult,
    baseline: str | None,
    policy: str = DEFAULT_POLICY,
    compared_by: Collection[str] = (),
) -> dict[str, Any] | None:
    """The last of these that owes an event.

    Args:
        registry: The registry.
        result: What was found now.
        baseline: The version that it was compared with; ``None`` is any.
        policy: The gate policy that its event asks for.
        compared_by: Columns by whose values the two must have been compared.
    """

    def concludes(record: Mapping[str, Any]) -> bool:
        announced: Mapping[str, Any] = record.get("announces") or {}
        payload = announced.get("payload") or {}
        asked = payload.get("policy", DEFAULT_POLICY) == policy
        if not payload or not asked or baseline not in (None, payload["baseline"]):
            return False
        return set(compared_by) <= _columns(payload.get("comparison") or {})

    return next(filter(concludes, reversed(judged_alike(registry, result))), None)


def _columns(judged: Mapping[str, Any]) -> set[str]:
    """Columns by which an evaluation or a comparison was sliced."""
    return {part["column"] for part in judged.get("slices") or ()}


def evaluated(
    result: EvaluationResult,
    comparison: Comparison | None,
    policy: str = DEFAULT_POLICY,
) -> ModelEvaluated:
    """The event of an evaluation that decides, by a gate policy."""
    return ModelEvaluated(
        name=result.model_name,
        version=str(result.version),
        dataset=result.dataset.name,
        dataset_digest=result.dataset_digest,
        rows=result.rows,
        metrics=dict(result.metrics),
        baseline=str(comparison.baseline) if comparison else "",
        comparison=comparison.to_dict() if comparison else {},
        policy=policy,
    )
