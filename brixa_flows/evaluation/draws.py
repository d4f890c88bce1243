"""Plausible values of a metric for one model, or for two on the same rows.

Every function takes the outcomes of one model or more on the same rows and returns an
array of shape (n_draws, n_models); drawing them together keeps them paired, so the
difference of two columns is a draw of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.confusion import confusion_draws
from brixa_flows.evaluation.intervals import mean_draws
from brixa_flows.evaluation.metrics import Metric
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.ranking import area_draws, average_precision_draws

__all__ = ["Valuer", "draws_of"]

Floats: TypeAlias = NDArray[np.float64]
Valuer: TypeAlias = Callable[[Metric, Outcomes], float]

_BOOTSTRAP_DRAWS = 500
_BOOTSTRAP_ROWS = 5_000


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
    if metric.method == "confusion":
        return confusion_draws(metric.name, models, generator)
    if metric.method == "mean":
        return _mean_draws(metric.name, models, generator)
    if metric.method == "auc":
        return area_draws(models, generator)
    return _bootstrap_draws(metric, models, value_of, generator)


def _mean_draws(
    name: str, models: Sequence[Outcomes], generator: np.random.Generator
) -> Floats:
    terms, combine = _TERMS[name]
    columns = [terms(outcomes) for outcomes in models]
    width = columns[0].shape[1]
    means = mean_draws(np.concatenate(columns, axis=1), generator)
    parts = (means[:, i : i + width] for i in range(0, means.shape[1], width))
    return np.stack([combine(part) for part in parts], axis=1)


def _log_loss_terms(outcomes: Outcomes) -> Floats:
    probabilities = outcomes.probabilities
    assert probabilities is not None
    given = probabilities[np.arange(outcomes.rows), outcomes.truth]
    tiny = np.finfo(np.float64).eps
    losses: Floats = -np.log(np.clip(given, tiny, 1 - tiny))[:, None]
    return losses


def _brier_terms(outcomes: Outcomes) -> Floats:
    probabilities = outcomes.probabilities
    assert probabilities is not None
    hits = outcomes.truth == outcomes.positive
    terms: Floats = ((probabilities[:, outcomes.positive] - hits) ** 2)[:, None]
    return terms


def _errors(outcomes: Outcomes) -> Floats:
    errors: Floats = outcomes.truth - outcomes.predicted
    return errors


def _absolute_terms(outcomes: Outcomes) -> Floats:
    return np.abs(_errors(outcomes))[:, None]


def _squared_terms(outcomes: Outcomes) -> Floats:
    terms: Floats = (_errors(outcomes) ** 2)[:, None]
    return terms


def _percentage_terms(outcomes: Outcomes) -> Floats:
    scale = np.maximum(np.abs(outcomes.truth), np.finfo(np.float64).eps)
    terms: Floats = (np.abs(_errors(outcomes)) / scale)[:, None]
    return terms


def _variance_terms(outcomes: Outcomes) -> Floats:
    errors = _errors(outcomes)
    centred = outcomes.truth - outcomes.truth.mean()
    return np.stack([errors, errors**2, centred, centred**2], axis=1)


def _plain_mean(means: Floats) -> Floats:
    return means[:, 0]


def _root(means: Floats) -> Floats:
    root: Floats = np.sqrt(np.clip(means[:, 0], 0.0, None))
    return root


def _r2(means: Floats) -> Floats:
    r2: Floats = 1 - means[:, 1] / (means[:, 3] - means[:, 2] ** 2)
    return r2


def _explained_variance(means: Floats) -> Floats:
    left = means[:, 1] - means[:, 0] ** 2
    explained: Floats = 1 - left / (means[:, 3] - means[:, 2] ** 2)
    return explained


_TERMS: dict[str, tuple[Callable[[Outcomes], Floats], Callable[[Floats], Floats]]] = {
    "log_loss": (_log_loss_terms, _plain_mean),
    "brier_score_loss": (_brier_terms, _plain_mean),
    "mean_absolute_error": (_absolute_terms, _plain_mean),
    "mean_squared_error": (_squared_terms, _plain_mean),
    "root_mean_squared_error": (_squared_terms, _root),
    "mean_absolute_percentage_error": (_percentage_terms, _plain_mean),
    "r2": (_variance_terms, _r2),
    "explained_variance": (_variance_terms, _explained_variance),
}


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
    draw = _ranking_draws if metric.method == "ranking" else _resampled_values
    counts = np.stack(
        [
            np.bincount(generator.integers(size, size=size), minlength=size)
            for _ in range(_BOOTSTRAP_DRAWS)
        ]
    )
    draws = draw(metric, models, value_of, counts)
    centre = np.array([value_of(metric, outcomes) for outcomes in models])
    scaled: Floats = points + (draws - centre) * np.sqrt(size / rows)
    return scaled


def _resampled_values(
    metric: Metric, models: Sequence[Outcomes], value_of: Valuer, counts: NDArray[Any]
) -> Floats:
    every = np.arange(counts.shape[1])
    picks = (np.repeat(every, row) for row in counts)
    return np.array(
        [[value_of(metric, m.take(pick)) for m in models] for pick in picks]
    )


def _ranking_draws(
    metric: Metric, models: Sequence[Outcomes], value_of: Valuer, counts: NDArray[Any]
) -> Floats:
    columns = [average_precision_draws(o, counts) for o in models]
    return np.stack(columns, axis=1)
