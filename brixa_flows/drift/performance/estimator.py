"""Says how good a model is in a window, with labels or without."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from brixa_flows.drift.arguments import checked_rows
from brixa_flows.drift.performance.classification import (
    ClassModel,
    check_classes,
    class_order,
)
from brixa_flows.drift.performance.columns import as_texts, read_columns
from brixa_flows.drift.performance.encoding import Encoding, learn_encoding
from brixa_flows.drift.performance.expected import Estimate
from brixa_flows.drift.performance.regression import LossModel
from brixa_flows.drift.performance.results import (
    MetricEstimate,
    PerformanceReport,
    performance_sentence,
)
from brixa_flows.drift.performance.rows import LabelledRows
from brixa_flows.drift.performance.usual import Model, Usual, disagreement, learn_usual
from brixa_flows.drift.report import Finding
from brixa_flows.errors import DriftError

__all__ = ["PROTOCOL", "TASKS", "PerformanceEstimator"]

PROTOCOL = 1
TASKS = ("binary", "multiclass", "regression")
_DEVIATIONS = 3.0


class PerformanceEstimator:
    """Learns from labelled rows what scores are worth, and estimates without labels.

    Classes by confidence-based performance estimation: scores are calibrated, and the
    expected confusion matrix follows. Regression by direct loss estimation. Give
    ``feature_columns`` where windows may hold special groups of rows: then what a score
    (a prediction) is worth depends on them. Neither method can see concept drift, a
    change of what the labels are for equal features and scores; only labels can.

    Args:
        task: ``binary``, ``multiclass`` or ``regression``.
        chunk_rows: The reference is cut into chunks of so many rows (fewer if it is
            short) in its own order, whose spread gives the limits.
        min_rows: With fewer nothing is judged.
        positive: The positive class of two; by default the later one in order.

    Raises:
        DriftError: If the task is unknown or a number can't be.
    """

    def __init__(
        self,
        task: str = "binary",
        *,
        chunk_rows: int = 5_000,
        min_rows: int = 200,
        positive: object = None,
    ) -> None:
        if task not in TASKS:
            raise DriftError(f"{task!r} is no task; choose one of {', '.join(TASKS)}")
        self.task = task
        self.chunk_rows = checked_rows(chunk_rows, "chunk_rows")
        self.min_rows = checked_rows(min_rows)
        self.positive = positive
        self._model: Model | None = None
        self._folds: tuple[Model, ...] = ()
        self._usual: dict[str, Usual] = {}

    def fit(
        self,
        reference: Any,
        *,
        target_column: str,
        prediction_column: str | None = None,
        score_column: str | Mapping[Any, str] | None = None,
        feature_columns: Sequence[str] = (),
    ) -> PerformanceEstimator:
        """Learn from rows that the model was not trained on.

        Args:
            reference: Labelled rows in any form that :class:`DriftDetector` reads.
            target_column: Labels.
            prediction_column: What the model answered; without one a class is called
                from a score of .5 on, or by the highest.
            score_column: Score or probability of the positive class; for ``multiclass``
                a mapping from each class to its column.
            feature_columns: What else tells how good an answer is.

        Returns:
            The estimator itself.

        Raises:
            DriftError: If a column is absent or of a wrong type, or the rows can't teach.
        """
        scores = score_column.values() if isinstance(score_column, Mapping) else ()
        named = [target_column, *feature_columns, *scores]
        named += [prediction_column] if prediction_column else []
        named += [score_column] if isinstance(score_column, str) else []
        columns = read_columns(reference, named)
        draft = self._draft(
            columns, target_column, prediction_column, score_column, feature_columns
        )
        rows = draft.rows(columns, labelled=True)
        if len(rows) < self.min_rows:
            raise DriftError(
                f"{len(rows):,} labelled rows can't teach an estimator; give at least "
                f"{self.min_rows:,}, or more whose label and score are known"
            )
        self._model = draft.fitted(rows)
        self._usual, self._folds = learn_usual(self._model, rows, self.chunk_rows)
        return self

    def estimate(self, current: Any) -> PerformanceReport:
        """Performance without labels.

        Args:
            current: Rows with the columns of the reference but the labels.

        Raises:
            DriftError: If it was not fitted, or a column is absent or of a wrong type.
        """
        return self._judge(current, labelled=False)

    def realise(self, current: Any) -> PerformanceReport:
        """Performance with labels.

        Raises:
            DriftError: If it was not fitted, or a column is absent or of a wrong type.
        """
        return self._judge(current, labelled=True)

    @property
    def target(self) -> str:
        """Column of the labels."""
        return self._fitted().target

    def columns(self) -> list[str]:
        """Columns that an estimate reads."""
        return self._fitted().columns(labelled=False)

    def _judge(self, current: Any, *, labelled: bool) -> PerformanceReport:
        model = self._fitted()
        columns = read_columns(current, model.columns(labelled=labelled))
        rows = model.rows(columns, labelled=labelled)
        metrics: dict[str, MetricEstimate] = {}
        if len(rows) >= self.min_rows:
            found = model.realised(rows) if labelled else self._expected(model, rows)
            metrics = {
                name: self._metric(name, each, len(rows), labelled=labelled)
                for name, each in found.items()
                if name in self._usual
            }
        return self._report(rows, metrics, labelled=labelled)

    def _expected(self, model: Model, rows: LabelledRows) -> dict[str, Estimate]:
        """With the variance that labels make and that of what was learned."""
        others = [fold.expected(rows) for fold in self._folds]
        found = {}
        for name, each in model.expected(rows).items():
            if name not in self._usual:
                continue
            learned = disagreement([one[name].value for one in others if name in one])
            error = max(self._usual[name].error, learned)
            found[name] = each._replace(variance=each.variance + error)
        return found

    def _report(
        self, rows: LabelledRows, metrics: dict[str, MetricEstimate], *, labelled: bool
    ) -> PerformanceReport:
        findings = [*rows.findings]
        few = len(rows) < self.min_rows
        gone = [] if few else [name for name in self._usual if name not in metrics]
        if gone:
            findings.append(_undefined(gone))
        alarms = any(each.severity == "alarm" for each in findings)
        worse = any(each.status == "degraded" for each in metrics.values())
        return PerformanceReport(
            status=(
                "insufficient_data" if few else "degraded" if worse or alarms else "ok"
            ),
            realised=labelled,
            rows=len(rows),
            metrics=metrics,
            findings=tuple(findings),
            sentence=performance_sentence(
                metrics, len(rows), self.min_rows, findings, realised=labelled
            ),
        )

    def _metric(
        self, name: str, found: Estimate, rows: int, *, labelled: bool
    ) -> MetricEstimate:
        usual = self._usual[name]
        own = found.sampling if labelled else found.variance
        band = _DEVIATIONS * float(np.sqrt(own))
        reach = _DEVIATIONS * float(np.sqrt(usual.between + usual.sampling / rows))
        limits = _bounded(name, usual.value - reach, usual.value + reach)
        interval = _bounded(name, found.value - band, found.value + band)
        # Chunks of a model without faults do not vary, and estimates of it do.
        if name.endswith("_error"):
            worse = found.value > limits[1] and interval[0] > usual.value
        else:
            worse = found.value < limits[0] and interval[1] < usual.value
        return MetricEstimate(
            value=found.value,
            interval=interval,
            reference=usual.value,
            limits=limits,
            status="degraded" if worse else "ok",
        )

    def _draft(
        self,
        columns: Mapping[str, Any],
        target: str,
        prediction: str | None,
        score: str | Mapping[Any, str] | None,
        features: Sequence[str],
    ) -> Model:
        """The model with nothing learned but the features' bins and the classes."""
        encodings = _encodings(columns, features)
        if self.task == "regression":
            if prediction is None:
                raise DriftError("a regression needs prediction_column=")
            known = [each.name for each in encodings]
            own = () if prediction in known else _encodings(columns, [prediction])
            return LossModel(target, prediction, (*own, *encodings))
        classes = class_order(as_texts(columns[target]))
        check_classes(classes, target, binary=self.task == "binary")
        scores = self._scores(score, classes)
        if self.task == "binary" and next(iter(scores)) == classes[0]:
            classes = classes[::-1]
        return ClassModel(target, prediction, scores, classes, encodings)

    def _scores(
        self, score: str | Mapping[Any, str] | None, classes: tuple[str, ...]
    ) -> dict[str, str]:
        if self.task == "binary":
            positive = classes[-1] if self.positive is None else _name(self.positive)
            if positive not in classes or not isinstance(score, str):
                raise DriftError(
                    "two classes need score_column=, the name of the column with the "
                    f"score of {positive!r}, which is one of {' and '.join(classes)}"
                )
            return {positive: score}
        given = score if isinstance(score, Mapping) else {}
        named = {_name(key): name for key, name in given.items()}
        absent = [name for name in classes if name not in named]
        if absent:
            raise DriftError(
                "several classes need score_column= as a mapping from each class to its "
                f"column; it lacks {', '.join(map(repr, absent))}"
            )
        return {name: named[name] for name in classes}

    def _fitted(self) -> Model:
        if self._model is None:
            raise DriftError(
                "the estimator was not fitted; call fit() with labelled rows"
            )
        return self._model

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back.

        Raises:
            DriftError: If it was not fitted.
        """
        return {
            "protocol": PROTOCOL,
            "task": self.task,
            "chunk_rows": self.chunk_rows,
            "min_rows": self.min_rows,
            "model": self._fitted().to_dict(),
            "folds": [fold.to_dict() for fold in self._folds],
            "usual": {name: asdict(each) for name, each in self._usual.items()},
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> PerformanceEstimator:
        """Read what :meth:`to_dict` wrote.

        Raises:
            DriftError: If it is no estimator, or one of a newer protocol.
        """
        if payload.get("protocol") != PROTOCOL:
            raise DriftError(
                f"this has protocol {payload.get('protocol')} of performance estimators, "
                f"this brixa-flows reads {PROTOCOL}; upgrade brixa-flows or fit it anew"
            )
        made = cls(
            payload["task"],
            chunk_rows=payload["chunk_rows"],
            min_rows=payload["min_rows"],
        )
        kind = LossModel if made.task == "regression" else ClassModel
        made._model = kind.from_dict(payload["model"])
        made._folds = tuple(kind.from_dict(each) for each in payload["folds"])
        made._usual = {name: Usual(**each) for name, each in payload["usual"].items()}
        return made

    def save(self, path: str | Path) -> None:
        """Write one JSON file, whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            draft.write_text(json.dumps(self.to_dict()), encoding="utf-8")
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> PerformanceEstimator:
        """Read what :meth:`save` wrote.

        Raises:
            DriftError: If it is absent, no estimator, or one of a newer protocol.
        """
        try:
            payload = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise DriftError(
                f"{path} is no performance estimator; write one with "
                f"PerformanceEstimator.save: {err}"
            ) from err
        return cls.from_dict(payload if isinstance(payload, dict) else {})


def _encodings(
    columns: Mapping[str, Any], names: Sequence[str]
) -> tuple[Encoding, ...]:
    return tuple(learn_encoding(name, columns[name]) for name in names)


def _name(label: object) -> str:
    if isinstance(label, bool | float) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _bounded(name: str, low: float, high: float) -> tuple[float, float]:
    """Shares lie within 0 and 1, losses above 0."""
    top = np.inf if name.endswith("_error") else 1.0
    return max(low, 0.0), float(min(high, top))


def _undefined(names: Sequence[str]) -> Finding:
    return Finding(
        column=None,
        kind="undefined_metric",
        severity="note",
        sentence=f"{', '.join(names)} can't be told of these rows, because one class, or "
        "every call of it, is absent.",
    )
