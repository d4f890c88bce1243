"""Pictures of evaluations and comparisons; opens matplotlib when one is asked for."""

from __future__ import annotations

from typing import Any

from brixa_flows.evaluation.comparison import Comparison
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.results import EvaluationResult
from brixa_flows.plugins import import_adapter

__all__ = ["board_pictures", "gains_pictures", "pictures_of"]


def _plots() -> Any:
    return import_adapter("brixa_flows.evaluation._plots")


def pictures_of(result: EvaluationResult) -> list[tuple[str, str]]:
    """Caption and PNG data URI of each picture that fits the task."""
    return list(_plots().pictures(result))


def gains_pictures(comparison: Comparison) -> list[tuple[str, str]]:
    """The gains over the baseline, whole and by slice: captions and PNG data URIs."""
    return list(_plots().comparison_pictures(comparison))


def board_pictures(board: Leaderboard) -> list[tuple[str, str]]:
    """The versions of a leaderboard, and their tests: captions and PNG data URIs."""
    return list(_plots().leaderboard_pictures(board))
