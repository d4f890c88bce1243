"""Pictures of evaluations and comparisons; opens matplotlib when one is asked for."""

from __future__ import annotations

from typing import Any

from brixa_flows.evaluation.compare import Comparison
from brixa_flows.evaluation.results import EvaluationResult
from brixa_flows.plugins import import_adapter

__all__ = ["gains_picture", "pictures_of"]


def _plots() -> Any:
    return import_adapter("brixa_flows.evaluation._plots")


def pictures_of(result: EvaluationResult) -> list[tuple[str, str]]:
    """Caption and PNG data URI of each picture that fits the task."""
    return list(_plots().pictures(result))


def gains_picture(comparison: Comparison) -> tuple[str, str]:
    """The gains over the baseline with their intervals: caption and PNG data URI."""
    caption = f"gain of {comparison.candidate} over {comparison.baseline}"
    return caption, str(_plots().comparison_picture(comparison))
