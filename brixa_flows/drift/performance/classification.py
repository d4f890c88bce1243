"""Confidence-based performance estimation for classes (CBPE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brixa_flows.drift.performance.calibration import (
    Calibration,
    fit_calibration,
    leaned,
)
from brixa_flows.drift.performance.columns import Texts, as_floats, as_texts
from brixa_flows.drift.performance.encoding import Encoding, encode_all
from brixa_flows.drift.performance.expected import (
    Estimate,
    binary_metrics,
    multiclass_metrics,
)
from brixa_flows.drift.performance.rows import LabelledRows, left_out
from brixa_flows.drift.radix import Floats, Integers
from brixa_flows.drift.report import Finding
from brixa_flows.errors import DriftError, some_of

__all__ = ["ClassModel", "check_classes", "class_order"]

_THRESHOLD = 0.5
# Features tell about half of what scores alone don't: groups of the census by two of them.
_SEEN_BY_FEATURES = 0.5


def class_order(labels: Texts) -> tuple[str, ...]:
    """The classes, numbers by size and others by name."""
    known = {label for label in labels if label is not None}
    try:
        return tuple(sorted(known, key=float))
    except ValueError:
        return tuple(sorted(known))


@dataclass(frozen=True)
class ClassModel:
    """What is learned of a classifier.

    Attributes:
        target: Column of the labels.
        prediction: Column of the model's classes; ``None`` calls a score of .5.
        scores: Column of the score of each class; of two classes the second one's alone.
        classes: In the order of the numbers.
        encodings: Of the features, if there are any.
        calibrations: One a column of scores.
    """

    target: str
    prediction: str | None
    scores: Mapping[str, str]
    classes: tuple[str, ...]
    encodings: tuple[Encoding, ...] = ()
    calibrations: tuple[Calibration, ...] = ()

    @property
    def binary(self) -> bool:
        """One score says all."""
        return len(self.scores) == 1

    def columns(self, *, labelled: bool) -> list[str]:
        """Which are read."""
        named = [*self.scores.values(), *(each.name for each in self.encodings)]
        named += [self.prediction] if self.prediction else []
        return [*named, *([self.target] if labelled else [])]

    def rows(self, columns: Mapping[str, Any], *, labelled: bool) -> LabelledRows:
        """Rows that can be judged, and findings on the others."""
        scores = np.stack([as_floats(columns[n], n) for n in self.scores.values()], 1)
        called, findings = self._called(columns, scores)
        kept = np.asarray(np.isfinite(scores).all(axis=1))
        findings += left_out(~kept, "missing_scores", "have no finite score")
        findings += self._beyond(scores[kept])
        kept &= called >= -1
        truth = np.full(len(kept), -1)
        if labelled:
            truth = _numbers(as_texts(columns[self.target]), self.classes)
            findings += left_out(truth == -2, "missing_labels", "have no label")
            findings += left_out(
                truth == -1, "unseen_labels", "have a label that the reference has not"
            )
            kept &= truth != -2
        codes = None
        if self.encodings:
            codes = encode_all(self.encodings, dict(columns))[kept]
        return LabelledRows(
            scores[kept], called[kept], truth[kept], codes, tuple(findings)
        )

    def _beyond(self, scores: Floats) -> list[Finding]:
        """Scores that are no probabilities, where those that were learned from were.

        Raises:
            DriftError: If nothing tells what such scores call.
        """
        strange = np.asarray(((scores < 0) | (scores > 1)).any(axis=1))
        names = ", ".join(self.scores.values())
        if self.binary and self.prediction is None and strange.any():
            raise DriftError(
                f"{names} holds {int(strange.sum()):,} scores outside of 0 to 1, so "
                f"nothing tells from which on a class is called; name prediction_column="
            )
        known = [each.learned for each in self.calibrations if each.learned]
        if not known or any(each[0] < 0 or each[-1] > 1 for each in known):
            return []
        return left_out(
            strange,
            "strange_scores",
            f"have a score outside of 0 to 1 in {names}, and the reference has none; look "
            "whether the scores are in another unit",
        )

    def _called(
        self, columns: Mapping[str, Any], scores: Floats
    ) -> tuple[Integers, list[Finding]]:
        if self.prediction is None:
            if self.binary:
                return (scores[:, 0] >= _THRESHOLD).astype(np.int64), []
            return np.nan_to_num(scores, nan=-np.inf).argmax(axis=1), []
        labels = as_texts(columns[self.prediction])
        called = _numbers(labels, self.classes)
        findings = left_out(called == -2, "missing_predictions", "have no prediction")
        unseen = sorted({label for label in labels[called == -1]})
        if unseen:
            findings.append(
                Finding(
                    column=self.prediction,
                    kind="unseen_class",
                    severity="alarm",
                    sentence=f"{self.prediction}: {int((called == -1).sum()):,} rows are "
                    f"predicted as {some_of(unseen)}, which the reference does not "
                    f"have; they count as wrong. It has: {some_of(self.classes)}.",
                )
            )
        return called, findings

    def fitted(self, rows: LabelledRows) -> ClassModel:
        """Learned from labelled rows."""
        size = sum(each.size for each in self.encodings)
        calibrations = tuple(
            fit_calibration(
                rows.scores[:, place], rows.truth == number, rows.codes, size
            )
            for place, number in enumerate(self._numbers)
        )
        return replace(self, calibrations=calibrations)

    def expected(self, rows: LabelledRows) -> dict[str, Estimate]:
        """Metrics without labels."""
        chances = np.stack(
            [
                calibrate(rows.scores[:, place], rows.codes)
                for place, calibrate in enumerate(self.calibrations)
            ],
            axis=1,
        )
        found = self._estimates(chances, rows)
        unseen = self._unseen(chances, rows)
        return {
            name: each._replace(variance=each.variance + unseen.get(name, 0.0))
            for name, each in found.items()
        }

    def _unseen(self, chances: Floats, rows: LabelledRows) -> dict[str, float]:
        """Variance by what is not known of rows that are not the usual ones."""
        distance = max(
            (
                calibrate.distance(rows.scores[:, place])
                for place, calibrate in enumerate(self.calibrations)
            ),
            default=0.0,
        )
        if not distance:
            return {}
        towards = np.ones_like(chances)
        if not self.binary:  # of several classes, what is called
            towards = (rows.called[:, None] == np.array(self._numbers)).astype(float)
        known = _SEEN_BY_FEATURES if self.encodings else 1.0
        variances: dict[str, float] = {}
        for ways in leaned(chances, known * distance, towards):
            low, high = (self._estimates(each, rows) for each in ways)
            for name in low.keys() & high.keys():
                half = (high[name].value - low[name].value) / 2
                variances[name] = variances.get(name, 0.0) + half**2
        return variances

    def _estimates(self, chances: Floats, rows: LabelledRows) -> dict[str, Estimate]:
        if not self.binary:
            chances = chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-12)
        return self._metrics(chances, rows)

    def realised(self, rows: LabelledRows) -> dict[str, Estimate]:
        """Metrics with labels."""
        hits = rows.truth[:, None] == np.array(self._numbers)
        return self._metrics(hits.astype(np.float64), rows)

    def _metrics(self, chances: Floats, rows: LabelledRows) -> dict[str, Estimate]:
        if not self.binary:
            return multiclass_metrics(chances, rows.called, rows.scores)
        chance, called = chances[:, 0], rows.called == 1
        # What is no class at all is no negative either: it is wrong whatever comes.
        wrong = rows.called == -1
        if wrong.any():
            called = np.where(wrong, chance < _THRESHOLD, called)
            chance = np.where(wrong, np.where(called, 0.0, 1.0), chance)
        return binary_metrics(chance, called, rows.scores[:, 0])

    @property
    def _numbers(self) -> list[int]:
        if self.binary:
            return [1]
        return [self.classes.index(name) for name in self.scores]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> ClassModel:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            facts["target"],
            facts["prediction"],
            facts["scores"],
            tuple(facts["classes"]),
            tuple(_made(Encoding, each) for each in facts["encodings"]),
            tuple(_made(Calibration, each) for each in facts["calibrations"]),
        )


def _numbers(labels: Texts, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Number of the class; -1 for one that is unknown, -2 for none."""
    places: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    places[None] = -2
    return np.array([places.get(label, -1) for label in labels], dtype=np.int64)


def _made(kind: type[Any], facts: Mapping[str, Any]) -> Any:
    plain = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in facts.items()
    }
    return kind(**plain)


def check_classes(classes: tuple[str, ...], target: str, *, binary: bool) -> None:
    """Enough of them to learn from, and no more than the task has.

    Raises:
        DriftError: If there are not.
    """
    if len(classes) < 2:
        raise DriftError(
            f"the reference has the one class {some_of(classes)} in {target!r}; give "
            "labelled rows of at least two"
        )
    if binary and len(classes) > 2:
        raise DriftError(
            f"the reference has {len(classes)} classes in {target!r}: "
            f"{some_of(classes)}; use task='multiclass' and a score column a class"
        )
