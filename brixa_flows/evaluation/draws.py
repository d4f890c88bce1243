"""Plausible values of a metric for one model, or for two on the same rows.

Every function takes the outcomes of one model or more on the same rows and returns an
array of shape (n_draws, n_models); drawing them together keeps them paired, so the
difference of two columns is a draw of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.calibration import calibration_draws
from brixa_flows.evaluation.confusion import confusion_draws
from brixa_flows.evaluation.costs import cost_draws
from brixa_flows.evaluation.intervals import largest_draws, mean_draws
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.multilabel import count_draws
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.evaluation.ranking import (
    area_draws,
    average_precision_draws,
    counted_areas,
)
from brixa_flows.evaluation.terms import (
    brier_explained_draws,
    explained_draws,
    terms_of,
)

__all__ = ["Valuer", "counted", "draws_of", "largest_rows"]

Floats: TypeAlias = NDArray[np.float64]
Valuer: TypeAlias = Callable[[Metric, Outcomes], float]

_Counted: TypeAlias = Callable[[Outcomes, NDArray[Any]], Floats]

_BOOTSTRAP_DRAWS = 500
_BOOTSTRAP_ROWS = 5_000
_LARGEST = 50
_DRAWS_WITH_A_NUMBER = 0.95


def draws_of(
    metric: Metric, models: Sequence[Outcomes], value_of: Valuer, seed: int
) -> Floats:
    """Draws of the metric by the means that fit it.

    Args:
        metric: Which one.
        models: Outcomes on the same rows, one for each model.
        value_of: Computes the metric's value; the means that resample rows call it.
        seed: Same seed, same draws.

    Returns:
        Array of shape (n_draws, n_models).
    """
    generator = np.random.default_rng(seed)
    several = models[0].task == "multilabel"
    if metric.method == "confusion" and not several:
        return confusion_draws(metric.name, models, generator)
    if metric.method == "mean":
        return _mean_draws(metric, models, generator)
    if metric.method == "batches":
        return cost_draws(metric.name, models, generator)
    if metric.method == "auc":
        return area_draws(models, generator)
    if metric.name == "max_error" and models[0].rows > _BOOTSTRAP_ROWS:
        return _error_draws(models, generator)
    return _bootstrap_draws(metric, models, value_of, generator)


def _mean_draws(
    metric: Metric, models: Sequence[Outcomes], generator: np.random.Generator
) -> Floats:
    terms, combine = terms_of(metric)
    columns = [terms(outcomes) for outcomes in models]
    width = columns[0].shape[1]
    means = mean_draws(np.concatenate(columns, axis=1), generator)
    parts = (means[:, i : i + width] for i in range(0, means.shape[1], width))
    return np.stack([combine(part) for part in parts], axis=1)


def _error_draws(models: Sequence[Outcomes], generator: np.random.Generator) -> Floats:
    """Of the largest error, which a part of the rows tells nothing of."""
    errors = np.stack([np.abs(m.truth - m.predicted) for m in models], axis=1)
    tops = [largest_rows(column) for column in errors.T]
    return largest_draws(errors[np.unique(np.concatenate(tops))], generator)


def largest_rows(errors: Floats) -> NDArray[np.int64]:
    """Indices of the largest few, enough for their bootstrap."""
    few = min(_LARGEST, errors.size)
    return np.argpartition(errors, errors.size - few)[errors.size - few :]


def _bootstrap_draws(
    metric: Metric,
    models: Sequence[Outcomes],
    value_of: Valuer,
    generator: np.random.Generator,
) -> Floats:
    """Resampled rows; of many rows, 5,000 of them with the deviation scaled down.

    The m-out-of-n bootstrap: the error of these metrics falls with the root of the
    number of rows, so a sample's error times the root of m / n is that of all.
    """
    rows = models[0].rows
    size = min(rows, _BOOTSTRAP_ROWS)
    points = np.array([value_of(metric, outcomes) for outcomes in models])
    if size < rows:
        chosen = generator.choice(rows, size=size, replace=False)
        models = [outcomes.take(chosen) for outcomes in models]
    counts = np.stack(
        [
            np.bincount(generator.integers(size, size=size), minlength=size)
            for _ in range(_BOOTSTRAP_DRAWS)
        ]
    )
    counting = counted(metric, models[0].task)
    if counting is None:
        draws = _resampled_values(metric, models, value_of, counts)
    else:
        draws = np.stack([counting(each, counts) for each in models], axis=1)
    centre = np.array([value_of(metric, outcomes) for outcomes in models])
    scaled: Floats = points + (draws - centre) * np.sqrt(size / rows)
    return scaled


def _resampled_values(
    metric: Metric, models: Sequence[Outcomes], value_of: Valuer, counts: NDArray[Any]
) -> Floats:
    """Of the draws that give a number: few may give none (of one class only, say).

    Raises:
        EvaluationError: If more than a few give none; says the last reason.
    """
    every = np.arange(counts.shape[1])
    found, why = [], ""
    for row in counts:
        pick = np.repeat(every, row)
        try:
            found.append([value_of(metric, m.take(pick)) for m in models])
        except EvaluationError as err:
            why = err.message
    if len(found) < _DRAWS_WITH_A_NUMBER * len(counts):
        raise EvaluationError(
            f"{metric.name} has a number for only {len(found)} of {len(counts)} draws "
            f"of the rows, too few for an interval ({why})",
            metric=metric.name,
        )
    return np.array(found)


def counted(metric: Metric, task: Task) -> _Counted | None:
    """How to compute all draws at once, from how often each row counts."""
    if metric.method == "ranking":
        return average_precision_draws
    if metric.method == "confusion" and task == "multilabel":
        return partial(count_draws, metric.name)
    if metric.name in ("roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr_weighted"):
        return partial(counted_areas, metric.name)
    if metric.name == "d2_log_loss_score":
        return explained_draws
    if metric.name == "d2_brier_score":
        return brier_explained_draws
    if metric.name == "expected_calibration_error":
        return calibration_draws
    return None
