"""How a metric varies from chunk to chunk of the reference, and how estimates err there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brixa_flows.drift.performance.classification import ClassModel
from brixa_flows.drift.performance.expected import Estimate
from brixa_flows.drift.performance.regression import LossModel
from brixa_flows.drift.performance.rows import LabelledRows

__all__ = ["Model", "Usual", "disagreement", "learn_usual"]

Model = ClassModel | LossModel

_FOLDS = 4
_FEWEST_CHUNKS = 4


@dataclass(frozen=True)
class Usual:
    """A metric in the reference.

    Attributes:
        value: Of all rows.
        between: Variance of chunks beyond what rows alone make.
        sampling: Variance that one row's worth of sampling makes.
        error: Mean squared error of estimates beyond what labels make, cross-fitted.
    """

    value: float
    between: float
    sampling: float
    error: float


def learn_usual(
    model: Model, rows: LabelledRows, chunk_rows: int
) -> tuple[dict[str, Usual], tuple[Model, ...]]:
    """Each metric in the reference's chunks, each estimated by what others teach.

    Args:
        model: Fitted on all rows.
        rows: The reference.
        chunk_rows: Of a chunk, at most a quarter of the rows.

    Returns:
        What is usual, and the models that each have not seen a fold: where they differ
        about a window, too few rows like it were learned from.
    """
    size = min(chunk_rows, max(len(rows) // _FEWEST_CHUNKS, 1))
    realised: dict[str, list[Estimate]] = {}
    errors: dict[str, list[float]] = {}
    folds = _folds(model, rows, size)
    for chunk, expected in _chunks(folds, rows, size):
        for name, each in model.realised(chunk).items():
            realised.setdefault(name, []).append(each)
            if name in expected:
                gap = (each.value - expected[name].value) ** 2
                errors.setdefault(name, []).append(gap - expected[name].variance)
    usual = {}
    for name, whole in model.realised(rows).items():
        chunks = realised.get(name, [])
        if len(chunks) > 1:
            sampling = float(np.mean([each.sampling for each in chunks]))
            spread = float(np.var([each.value for each in chunks], ddof=1))
            error = max(float(np.mean(errors.get(name, [0.0]))), 0.0)
            between = max(spread - sampling, 0.0)
            usual[name] = Usual(whole.value, between, sampling * size, error)
    return usual, tuple(learned for learned, _ in folds)


def disagreement(values: list[float]) -> float:
    """Variance of what was learned, by the jackknife over the folds left out."""
    return float(np.var(values)) * (len(values) - 1) if values else 0.0


def _folds(
    model: Model, rows: LabelledRows, size: int
) -> list[tuple[Model, list[int]]]:
    """Models that have not seen a fold, and where the chunks of the fold begin."""
    starts = np.arange(0, len(rows) - size + 1, size)
    folds = []
    for fold in np.array_split(starts, min(_FOLDS, len(starts))):
        others = np.delete(np.arange(len(rows)), np.arange(fold[0], fold[-1] + size))
        learned = model.fitted(rows.take(others)) if len(others) else model
        folds.append((learned, fold.tolist()))
    return folds


def _chunks(
    folds: list[tuple[Model, list[int]]], rows: LabelledRows, size: int
) -> Iterator[tuple[LabelledRows, dict[str, Estimate]]]:
    for learned, starts in folds:
        for start in starts:
            chunk = rows.take(slice(start, start + size))
            yield chunk, learned.expected(chunk)
