"""Metrics with intervals, paired comparison, gates and reports."""

from brixa_flows.evaluation.comparison import (
    Comparison,
    MetricComparison,
    SliceComparison,
)
from brixa_flows.evaluation.evaluator import ModelEvaluator
from brixa_flows.evaluation.functions import evaluate_function
from brixa_flows.evaluation.gates import (
    ApprovalRule,
    Gate,
    GateDecision,
    GateOutcome,
    GatePolicy,
)
from brixa_flows.evaluation.intervals import Interval
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.metrics import METRICS, Metric, canonical_metric
from brixa_flows.evaluation.report_engines import show_rows
from brixa_flows.evaluation.report_html import (
    render_comparison_html,
    render_leaderboard_html,
)
from brixa_flows.evaluation.results import (
    DatasetFacts,
    EvaluationResult,
    LabelResult,
    SliceResult,
)
from brixa_flows.evaluation.thresholds import ThresholdChoice

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
    "LabelResult",
    "Leaderboard",
    "Metric",
    "MetricComparison",
    "ModelEvaluator",
    "SliceComparison",
    "SliceResult",
    "ThresholdChoice",
    "canonical_metric",
    "evaluate_function",
    "render_comparison_html",
    "render_leaderboard_html",
    "show_rows",
]
