"""What a comparison of two models found, as values that survive JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from brixa_flows.evaluation.conditions import Conditions
from brixa_flows.evaluation.intervals import Interval
from brixa_flows.evaluation.metrics import MetricValues
from brixa_flows.evaluation.outcomes import Task
from brixa_flows.evaluation.results import DatasetFacts
from brixa_flows.evaluation.tables import cell
from brixa_flows.versioning import ModelVersion

__all__ = ["Comparison", "MetricComparison", "SliceComparison", "Verdict"]

Verdict = Literal["better", "worse", "not_worse", "inconclusive"]


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two models on the same rows.

    Attributes:
        metric: Its name.
        higher_is_better: Its direction.
        baseline: Value of the baseline.
        candidate: Value of the candidate.
        difference: Candidate minus baseline, in the metric's own direction.
        interval: 95 % interval of the difference.
        p_value: Of no difference.
        adjusted_p_value: The same, adjusted over the metrics compared.
        test: How both were made.
        verdict: On the candidate.
    """

    metric: str
    higher_is_better: bool
    baseline: float
    candidate: float
    difference: float
    interval: Interval
    p_value: float
    adjusted_p_value: float
    test: str
    verdict: Verdict

    @property
    def gain(self) -> Interval:
        """The interval of the difference, turned so that more is better."""
        low, high = self.interval
        return self.interval if self.higher_is_better else Interval(-high, -low)


@dataclass(frozen=True)
class SliceComparison:
    """Two models on the rows where a column has one value.

    Attributes:
        column: The column.
        value: Its value, as text; empty where it is missing.
        rows: Support.
        metrics: As of the whole; p-values are adjusted over the values too.
        notes: Why a metric is absent.
    """

    column: str
    value: str
    rows: int
    metrics: dict[str, MetricComparison]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return vars(self) | {
            "metrics": _metrics_to_dict(self.metrics),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> SliceComparison:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            column=payload["column"],
            value=payload["value"],
            rows=payload["rows"],
            metrics=_metrics_from_dict(payload["metrics"]),
            notes=tuple(payload["notes"]),
        )


@dataclass(frozen=True)
class Comparison:
    """A candidate against a baseline.

    Attributes:
        model_name: The model.
        baseline: Version of the baseline.
        candidate: Version of the candidate.
        metrics: Comparison by metric; answers to other names of a metric too.
        dataset: The rows both were judged on.
        margin: How much worse still counts as not worse.
        warnings: What a reader must know.
        slices: The same for parts of the rows.
        task: As which both were judged; ``None`` in old records.
        positive: The positive class of a binary task.
        threshold: Probability from which on a row was called positive by both;
            ``None`` for the models' own labels.
        classes_differ: The two know different classes, so a binary task is judged as
            one of all classes.
    """

    model_name: str
    baseline: ModelVersion
    candidate: ModelVersion
    metrics: dict[str, MetricComparison]
    dataset: DatasetFacts
    margin: float = 0.0
    warnings: tuple[str, ...] = ()
    slices: tuple[SliceComparison, ...] = ()
    task: Task | None = None
    positive: Any = None
    threshold: float | None = None
    classes_differ: bool = False

    @property
    def conditions(self) -> Conditions:
        """What its numbers are of."""
        rows = self.dataset.digest, self.dataset.target
        return Conditions(*rows, self.task, self.positive, self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model_name": self.model_name,
            "baseline": str(self.baseline),
            "candidate": str(self.candidate),
            "metrics": _metrics_to_dict(self.metrics),
            "dataset": self.dataset.to_dict(),
            "margin": self.margin,
            "warnings": list(self.warnings),
            "slices": [part.to_dict() for part in self.slices],
            "task": self.task,
            "positive": self.positive,
            "threshold": self.threshold,
            "classes_differ": self.classes_differ,
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Comparison:
        """Read what :meth:`to_dict` wrote."""
        parts = payload.get("slices", ())  # came in 0.2
        return cls(
            model_name=payload["model_name"],
            baseline=ModelVersion.parse(payload["baseline"]),
            candidate=ModelVersion.parse(payload["candidate"]),
            metrics=_metrics_from_dict(payload["metrics"]),
            dataset=DatasetFacts.from_dict(payload["dataset"]),
            margin=payload["margin"],
            warnings=tuple(payload["warnings"]),
            slices=tuple(map(SliceComparison.from_dict, parts)),
            task=payload.get("task"),
            positive=payload.get("positive"),
            threshold=payload.get("threshold"),
            classes_differ=payload.get("classes_differ", False),
        )

    def to_markdown(self) -> str:
        """A table of the metrics with verdicts, and one of the slices."""
        lines = [
            f"## {self.model_name} {self.candidate} against {self.baseline}",
            "",
            f"{self.dataset.rows} rows of {self.dataset.name} "
            f"(digest {self.dataset.digest}), {self.conditions}, margin "
            f"{self.margin:g}.",
            "",
            f"| metric | {self.baseline} | {self.candidate} | difference "
            "| 95 % interval | adjusted p | verdict |",
            "|---|---:|---:|---:|---|---:|---|",
        ]
        lines += [
            f"| {found.metric} | {found.baseline:.4f} | {found.candidate:.4f} "
            f"| {found.difference:+.4f} | {found.interval} "
            f"| {found.adjusted_p_value:.3g} | {found.verdict.replace('_', ' ')} |"
            for found in self.metrics.values()
        ]
        lines += self._slice_lines() if self.slices else []
        lines += [f"\n> {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"

    def _slice_lines(self) -> list[str]:
        lines = [
            "",
            f"| slice | rows | metric | {self.baseline} | {self.candidate} "
            "| difference | 95 % interval | adjusted p | verdict |",
            "|---|---:|---|---:|---:|---:|---|---:|---|",
        ]
        for part in self.slices:
            where = f"| {cell(part.column)} = {cell(part.value) or '(empty)'} "
            where += f"| {part.rows} "
            lines += [
                f"{where}| {found.metric} | {found.baseline:.4f} "
                f"| {found.candidate:.4f} | {found.difference:+.4f} | {found.interval} "
                f"| {found.adjusted_p_value:.3g} | {found.verdict.replace('_', ' ')} |"
                for found in part.metrics.values()
            ]
            lines += [f"{where}| {cell(note)} | | | | | | |" for note in part.notes]
        return lines


def _metrics_to_dict(metrics: Mapping[str, MetricComparison]) -> dict[str, Any]:
    return {
        name: vars(found) | {"interval": list(found.interval)}
        for name, found in metrics.items()
    }


def _metrics_from_dict(payload: Mapping[str, Any]) -> MetricValues:
    return MetricValues(
        {
            name: MetricComparison(**{**each, "interval": Interval(*each["interval"])})
            for name, each in payload.items()
        }
    )
