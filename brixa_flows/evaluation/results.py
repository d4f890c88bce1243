"""What an evaluation found, as values that survive JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.conditions import Conditions
from brixa_flows.evaluation.intervals import Interval
from brixa_flows.evaluation.metrics import MetricValues
from brixa_flows.evaluation.outcomes import Task
from brixa_flows.prediction import LabelledBatches
from brixa_flows.registry.facts.metadata import DatasetRef
from brixa_flows.versioning import ModelVersion

__all__ = [
    "PROTOCOL",
    "DatasetFacts",
    "EvaluationResult",
    "LabelResult",
    "SliceResult",
    "told_target",
]

PROTOCOL = 1


def told_target(names: str | Sequence[str]) -> str:
    """One label column or several, for people."""
    several = isinstance(names, Iterable) and not isinstance(names, str)
    return ", ".join(map(str, names)) if several else str(names)


@dataclass(frozen=True)
class DatasetFacts:
    """The data that a version was judged on.

    Attributes:
        name: What people call it.
        digest: Of its content, 32 hexadecimal digits; equal data, equal digest.
        rows: Number of rows.
        columns: Type name by column name.
        target: Name of the label column; of several, with commas.
        uri: Where it was read from, if it has a place.
        targets: The same, one by one.
    """

    name: str
    digest: str
    rows: int
    columns: dict[str, str] = field(default_factory=dict)
    target: str = ""
    uri: str = ""
    targets: tuple[str, ...] = ()

    @classmethod
    def of(cls, batches: LabelledBatches) -> DatasetFacts:
        """Those of data that were read, or that this reads."""
        return cls(
            name=batches.name,
            digest=batches.digest,
            rows=batches.rows,
            columns=batches.columns,
            target=batches.target or "",
            uri=batches.uri,
            targets=batches.targets,
        )

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> DatasetFacts:
        """Read what :meth:`to_dict` wrote."""
        return cls(**{**payload, "targets": tuple(payload.get("targets", ()))})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return vars(self) | {
            "columns": dict(self.columns),
            "targets": list(self.targets),
        }

    @property
    def asked_target(self) -> str | list[str] | None:
        """The label column, or several, as one asks for them; ``None`` if unnamed."""
        if len(self.targets) > 1:
            return list(self.targets)
        return (self.targets[0] if self.targets else self.target) or None

    def reference(self) -> DatasetRef:
        """The same as lineage knows it."""
        return DatasetRef(
            name=self.name,
            uri=self.uri,
            digest=self.digest,
            rows=self.rows,
            columns=self.columns,
            role="evaluation",
        )


@dataclass(frozen=True)
class SliceResult:
    """The metrics of the rows where a column has one value.

    Attributes:
        column: The column.
        value: Its value, as text; empty where it is missing.
        rows: Support.
        metrics: Value by metric.
        intervals: 95 % interval by metric.
        notes: Why a metric is absent.
        bounds: As of the whole.
    """

    column: str
    value: str
    rows: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    notes: tuple[str, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelResult:
    """One of several labels a row, judged alone.

    Attributes:
        label: Its name, or the number of its column.
        rows: Rows that have it.
        metrics: Value by metric.
        intervals: 95 % interval by metric.
        notes: Why a metric is absent.
        bounds: As of the whole.
    """

    label: Any
    rows: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    notes: tuple[str, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationResult:
    """A version judged on a dataset.

    ``metrics`` and ``intervals`` are in the order asked for, under scikit-learn's
    names, and answer to other names of a metric too (``metrics["auc"]``).

    Attributes:
        model_name: The model.
        version: Its version.
        task: ``binary``, ``multiclass``, ``multilabel`` or ``regression``.
        metrics: Value by metric.
        intervals: 95 % interval by metric.
        dataset: What it was judged on.
        evaluated_at: When, UTC.
        classes: Labels, in the order of ``confusion``.
        positive: The positive label of a binary task.
        confusion: Rows by true and predicted class; empty in a regression.
        curves: Points of the plots of a report.
        slices: The same metrics for parts of the rows.
        labels: Each label of a multilabel task; empty in others.
        warnings: What a reader of the numbers must know.
        production: The model's version in production at that time, if any.
        doubt: Why nobody could know which that was; empty where it is known.
        signature: Whether the version has schemas of its inputs and outputs; ``None``
            if nobody looked.
        drift: Facts of a drift report of these rows against what the version was
            trained on; empty if nobody looked.
        asked: The question that this answers; empty if it held code.
        method: ``exact``, or ``streamed`` where the rows were too many to keep.
        bounds: How far a value can be from that of the rows, by metric; a metric that
            is not in it has no error.
        threshold: Probability from which on a row was called positive; ``None`` for
            the model's own labels.
        higher_is_better: Direction by metric.
    """

    model_name: str
    version: ModelVersion
    task: Task
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    dataset: DatasetFacts
    evaluated_at: datetime
    classes: tuple[Any, ...] = ()
    positive: Any = None
    confusion: tuple[tuple[int, ...], ...] = ()
    curves: dict[str, Any] = field(default_factory=dict)
    slices: tuple[SliceResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    warnings: tuple[str, ...] = ()
    production: str | None = None
    doubt: str = ""
    signature: bool | None = None
    drift: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    method: Literal["exact", "streamed"] = "exact"
    bounds: dict[str, float] = field(default_factory=MetricValues)
    threshold: float | None = None
    higher_is_better: dict[str, bool] = field(default_factory=MetricValues)

    @property
    def rows(self) -> int:
        """Number of rows judged."""
        return self.dataset.rows

    @property
    def conditions(self) -> Conditions:
        """What its numbers are of."""
        rows = self.dataset.digest, self.dataset.target
        return Conditions(*rows, self.task, self.positive, self.threshold)

    @property
    def question(self) -> dict[str, Any]:
        """Arguments that ask another version the same, where it can be asked so.

        A task and a positive class that nobody had to say are left to be told: the
        other version may know more classes.
        """
        usual = self.classes[-1:] == (self.positive,)
        return {
            "task": None if self.task == "binary" else self.task,
            "positive": None if usual else self.positive,
            "threshold": self.threshold,
        }

    @property
    def rival(self) -> str:
        """Who was in production, for people."""
        return self.production or ("unknown" if self.doubt else "no version")

    @property
    def precision(self) -> str:
        """How near the numbers are to those of the rows, for people."""
        if self.method == "exact":
            return ""
        bounds = (f"{name} by {bound:.1g}" for name, bound in self.bounds.items())
        within = ", ".join(bounds) or "none"
        return (
            "rows were summed up and not kept; values that differ from theirs, at "
            f"most: {within}"
        )

    @property
    def dataset_digest(self) -> str:
        """Digest of the data judged on."""
        return self.dataset.digest

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, which :meth:`from_dict` reads back."""
        return {
            "protocol": PROTOCOL,
            "model_name": self.model_name,
            "version": str(self.version),
            "task": self.task,
            "metrics": dict(self.metrics),
            "intervals": _plain(self.intervals),
            "dataset": self.dataset.to_dict(),
            "evaluated_at": self.evaluated_at.isoformat(),
            "classes": list(self.classes),
            "positive": self.positive,
            "confusion": [list(row) for row in self.confusion],
            "curves": self.curves,
            "slices": [_part_to_dict(part) for part in self.slices],
            "labels": [_part_to_dict(part) for part in self.labels],
            "warnings": list(self.warnings),
            "production": self.production,
            "doubt": self.doubt,
            "signature": self.signature,
            "drift": self.drift,
            "asked": self.asked,
            "method": self.method,
            "bounds": dict(self.bounds),
            "threshold": self.threshold,
            "higher_is_better": dict(self.higher_is_better),
        }

    @classmethod
    def among(cls, records: Iterable[Mapping[str, Any]]) -> list[EvaluationResult]:
        """The results among a version's records, which may hold anybody's JSON too.

        Raises:
            EvaluationError: If one is of a newer protocol.
        """
        return [cls.from_dict(each) for each in records if "protocol" in each]

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> EvaluationResult:
        """Read what :meth:`to_dict` wrote.

        Raises:
            EvaluationError: If it is of a newer protocol or not ours.
        """
        if payload.get("protocol") != PROTOCOL:
            raise EvaluationError(
                f"this evaluation is of protocol {payload.get('protocol')!r}; this "
                f"release reads {PROTOCOL}: upgrade brixa-flows"
            )
        assert payload["task"] in get_args(Task)
        dataset = DatasetFacts.from_dict(payload["dataset"])
        if payload["task"] == "multilabel" and not dataset.targets:  # before 0.2
            dataset = replace(dataset, targets=tuple(dataset.target.split(", ")))
        return cls(
            model_name=payload["model_name"],
            version=ModelVersion.parse(payload["version"]),
            task=payload["task"],
            metrics=MetricValues(payload["metrics"]),
            intervals=_intervals(payload["intervals"]),
            dataset=dataset,
            evaluated_at=datetime.fromisoformat(payload["evaluated_at"]),
            classes=tuple(payload["classes"]),
            positive=payload["positive"],
            confusion=tuple(tuple(row) for row in payload["confusion"]),
            curves=payload["curves"],
            slices=tuple(_slice_from_dict(part) for part in payload["slices"]),
            warnings=tuple(payload["warnings"]),
            production=payload["production"],
            labels=tuple(map(_label_from_dict, payload.get("labels", ()))),
            doubt=payload.get("doubt", ""),  # these came in 0.2, as labels did
            signature=payload.get("signature"),
            drift=payload.get("drift", {}),
            asked=payload.get("asked", {}),
            method=payload.get("method", "exact"),
            bounds=MetricValues(payload.get("bounds", {})),
            threshold=payload.get(
                "threshold", payload.get("asked", {}).get("threshold")
            ),
            higher_is_better=MetricValues(payload.get("higher_is_better", {})),
        )


def _plain(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in intervals.items()}


def _intervals(payload: Mapping[str, list[float]]) -> MetricValues:
    return MetricValues({name: Interval(*bounds) for name, bounds in payload.items()})


def _part_to_dict(part: SliceResult | LabelResult) -> dict[str, Any]:
    return vars(part) | {
        "metrics": dict(part.metrics),
        "intervals": _plain(part.intervals),
        "notes": list(part.notes),
        "bounds": dict(part.bounds),
    }


def _slice_from_dict(payload: Mapping[str, Any]) -> SliceResult:
    return SliceResult(
        column=payload["column"],
        value=payload["value"],
        rows=payload["rows"],
        metrics=MetricValues(payload["metrics"]),
        intervals=_intervals(payload["intervals"]),
        notes=tuple(payload["notes"]),
        bounds=payload.get("bounds", {}),
    )


def _label_from_dict(payload: Mapping[str, Any]) -> LabelResult:
    metrics = MetricValues(payload["metrics"])
    intervals = _intervals(payload["intervals"])
    notes = tuple(payload["notes"])
    label, rows = payload["label"], payload["rows"]
    return LabelResult(label, rows, metrics, intervals, notes, payload["bounds"])
