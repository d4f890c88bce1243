"""What is asked of a model, apart from the data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.metric import CustomMetric, Metric
from brixa_flows.evaluation.metric_catalog import named_metric
from brixa_flows.evaluation.metrics import canonical_metric
from brixa_flows.evaluation.outcomes import Task

__all__ = ["EXACT_ROWS", "Question", "Wanted", "column_names"]

Wanted: TypeAlias = Sequence[str | Metric | CustomMetric]

EXACT_ROWS = 1_000_000
_RULES = 2  # raised when numbers change: kept answers of older rules answer no more


def column_names(given: str | Sequence[Any]) -> tuple[str, ...]:
    """Names of columns; one alone is no list of letters, and a number is a name."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (str(given),)
    return tuple(map(str, given))


@dataclass(frozen=True)
class Question:
    """What is asked of a model, apart from the data.

    Attributes:
        metrics: Names, metrics or functions; ``None`` for the usual ones.
        slices: Columns whose values are judged one by one.
        task: Said instead of inferred.
        positive: The positive label.
        threshold: Probability from which on a row is called positive.
        seed: Of the intervals.
        exact_rows: Up to how many rows are kept and judged as they are.
    """

    metrics: Wanted | None = None
    slices: Sequence[str] = ()
    task: Task | None = None
    positive: Any = None
    threshold: float | None = None
    seed: int = 0
    exact_rows: int = EXACT_ROWS

    def __post_init__(self) -> None:
        """Names as texts.

        Raises:
            EvaluationError: If the metrics are no list.
        """
        object.__setattr__(self, "slices", column_names(self.slices))
        if self.metrics is None:
            return
        if isinstance(self.metrics, str | bytes) or not isinstance(
            self.metrics, Iterable
        ):
            raise EvaluationError(
                "metrics= takes a list of names such as ['accuracy', 'f1'], or None for "
                f"the usual ones of the task, not {self.metrics!r}"
            )
        object.__setattr__(self, "metrics", tuple(self.metrics))

    @property
    def kind(self) -> str:
        """``regression`` or ``classification`` where the question itself says so.

        What is asked tells more than what the owner called the model.
        """
        if self.threshold is not None or self.positive is not None:
            return "classification"
        named = [
            named_metric(each) if isinstance(each, str) else each
            for each in self.metrics or ()
        ]
        tasks = [
            each.tasks
            for each in named
            if isinstance(each, Metric) and each.needs != "run"
        ]
        if tasks and all(each == ("regression",) for each in tasks):
            return "regression"
        classes = tasks and not any("regression" in each for each in tasks)
        return "classification" if classes else ""

    @property
    def asked(self) -> dict[str, Any] | None:
        """The question as JSON; ``None`` if it holds code, which may change."""
        names: list[str] | None = None
        if self.metrics is not None:
            if not all(isinstance(each, str) for each in self.metrics):
                return None
            names = [canonical_metric(str(each)) for each in self.metrics]
        facts = {
            "rules": _RULES,
            "metrics": names,
            "slices": list(self.slices),
            "task": self.task,
            "positive": self.positive,
            "threshold": self.threshold,
            "seed": self.seed,
            "exact_rows": self.exact_rows,
        }
        plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        return plain
