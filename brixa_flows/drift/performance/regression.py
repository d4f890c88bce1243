"""Direct loss estimation for regression (DLE): a model of the losses, not of the labels."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from brixa_flows.drift.performance.columns import as_floats
from brixa_flows.drift.performance.encoding import Encoding, encode_all, sums
from brixa_flows.drift.performance.expected import Estimate
from brixa_flows.drift.performance.rows import LabelledRows, left_out
from brixa_flows.drift.radix import Floats

__all__ = ["LossModel"]

_LOSSES = ("mean_absolute_error", "mean_squared_error")
_ROOT = "root_mean_squared_error"


@dataclass(frozen=True)
class LossModel:
    """What is learned of a regression: its losses by the bins of features and prediction.

    Attributes:
        target: Column of the true values.
        prediction: Column of the model's.
        encodings: Of the prediction and the features.
        intercepts: Of the linear model of each loss.
        weights: Of the codes, a tuple each loss.
        residuals: Variance of each loss about its model.
        bounds: Smallest and largest loss of the reference, between which estimates stay.
    """

    target: str
    prediction: str
    encodings: tuple[Encoding, ...]
    intercepts: tuple[float, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()
    residuals: tuple[float, ...] = ()
    bounds: tuple[tuple[float, float], ...] = ()

    def columns(self, *, labelled: bool) -> list[str]:
        """Which are read."""
        named = [each.name for each in self.encodings]
        return [self.prediction, *named, *([self.target] if labelled else [])]

    def rows(self, columns: Mapping[str, Any], *, labelled: bool) -> LabelledRows:
        """Rows that can be judged, and findings on the others."""
        called = as_floats(columns[self.prediction], self.prediction)
        kept = np.isfinite(called)
        findings = left_out(~kept, "missing_predictions", "have no finite prediction")
        truth = np.full(len(called), np.nan)
        if labelled:
            truth = as_floats(columns[self.target], self.target)
            known = np.isfinite(truth)
            findings += left_out(~known, "missing_labels", "have no finite label")
            kept &= known
        codes = encode_all(self.encodings, dict(columns))[kept]
        scores = called[kept, None]
        return LabelledRows(scores, called[kept], truth[kept], codes, tuple(findings))

    def fitted(self, rows: LabelledRows) -> LossModel:
        """Learned from labelled rows."""
        fitting: Any = importlib.import_module("brixa_flows.drift.performance._fitting")
        size = sum(each.size for each in self.encodings)
        assert rows.codes is not None  # the prediction is always encoded
        intercepts, weights, residuals, bounds = [], [], [], []
        for losses in self._losses(rows):
            intercept, learned = fitting.ridge(rows.codes, size, losses)
            guessed = intercept + sums(learned, rows.codes)
            intercepts.append(float(intercept))
            weights.append(tuple(learned.tolist()))
            residuals.append(float(np.var(losses - guessed)))
            bounds.append((float(losses.min()), float(losses.max())))
        return replace(
            self,
            intercepts=tuple(intercepts),
            weights=tuple(weights),
            residuals=tuple(residuals),
            bounds=tuple(bounds),
        )

    def expected(self, rows: LabelledRows) -> dict[str, Estimate]:
        """Losses without labels."""
        assert rows.codes is not None
        found = {}
        for place, name in enumerate(_LOSSES):
            added = sums(np.array(self.weights[place]), rows.codes)
            guessed = np.clip(self.intercepts[place] + added, *self.bounds[place])
            variance = self.residuals[place] / len(rows)
            found[name] = Estimate(float(guessed.mean()), variance, variance)
        return _with_root(found)

    def realised(self, rows: LabelledRows) -> dict[str, Estimate]:
        """Losses with labels."""
        found = {}
        for name, losses in zip(_LOSSES, self._losses(rows), strict=True):
            found[name] = Estimate(
                float(losses.mean()), 0.0, float(losses.var()) / len(losses)
            )
        return _with_root(found)

    def _losses(self, rows: LabelledRows) -> tuple[Floats, Floats]:
        errors = np.abs(rows.truth.astype(np.float64) - rows.scores[:, 0])
        return errors, errors**2

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> LossModel:
        """Read what :meth:`to_dict` wrote."""
        encodings = tuple(
            Encoding(each["name"], tuple(each["edges"]), tuple(each["categories"]))
            for each in facts["encodings"]
        )
        return cls(
            facts["target"],
            facts["prediction"],
            encodings,
            tuple(facts["intercepts"]),
            tuple(tuple(each) for each in facts["weights"]),
            tuple(facts["residuals"]),
            tuple((low, high) for low, high in facts["bounds"]),
        )


def _with_root(found: dict[str, Estimate]) -> dict[str, Estimate]:
    squared = found["mean_squared_error"]
    slope = 1 / (4 * squared.value) if squared.value > 0 else 0.0
    found[_ROOT] = Estimate(
        float(np.sqrt(squared.value)),
        squared.variance * slope,
        squared.sampling * slope,
    )
    return found
