"""Metrics with intervals, paired comparison, gates and reports."""

from brixa_flows.evaluation.compare import Comparison, MetricComparison
from brixa_flows.evaluation.evaluator import ModelEvaluator
from brixa_flows.evaluation.gates import (
    ApprovalRule,
    Gate,
    GateDecision,
    GateOutcome,
    GatePolicy,
)
from brixa_flows.evaluation.intervals import Interval
from brixa_flows.evaluation.metrics import METRICS, Metric, canonical_metric
from brixa_flows.evaluation.results import (
    DatasetFacts,
    EvaluationResult,
    SliceResult,
)

__all__ = [
    "METRICS",
    "ApprovalRule",
    "Comparison",
    "DatasetFacts",
    "EvaluationResult",
    "Gate",
    "GateDecision",
    "GateOutcome",
    "GatePolicy",
    "Interval",
    "Metric",
    "MetricComparison",
    "ModelEvaluator",
    "SliceResult",
    "canonical_metric",
]
