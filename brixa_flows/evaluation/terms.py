"""What a metric that is made of means takes the mean of, row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = [
    "Terms",
    "brier_explained_draws",
    "explained_draws",
    "log_loss_of_margins",
    "terms_of",
]

Floats: TypeAlias = NDArray[np.float64]
Terms: TypeAlias = tuple[Callable[[Outcomes], Floats], Callable[[Floats], Floats]]


def terms_of(metric: Metric, around: float | None = None) -> Terms:
    """Two functions for a metric of the method ``mean``.

    The first gives terms of shape (n_samples, n_moments), the second the metric from
    their means, of shape (n_draws, n_moments).

    Args:
        metric: Which one.
        around: A number amid the labels, the same for all batches of a dataset; the
            variance is summed up around it. ``None`` takes the mean of the rows.
    """
    if metric.name in _OF_VARIANCE:
        return partial(_variance_terms, around), _OF_VARIANCE[metric.name]
    if metric.name in _TERMS:
        return _TERMS[metric.name]
    assert metric.parameter is not None
    if metric.name.startswith("mean_tweedie"):
        return partial(_tweedie_terms, metric.parameter), _plain_mean
    if metric.needs == "probability":
        return partial(_top_terms, int(metric.parameter)), _plain_mean
    return partial(_pinball_terms, metric.parameter), _plain_mean


def _log_loss_terms(outcomes: Outcomes) -> Floats:
    """Of scores by their log-odds, which do not end where a probability of 64 bits does."""
    probabilities = outcomes.probabilities
    assert probabilities is not None
    if outcomes.margins is not None:
        ahead = outcomes.margins[np.arange(outcomes.rows), outcomes.truth]
        of_scores: Floats = np.logaddexp(0.0, -ahead)[:, None]
        return of_scores
    given = probabilities[np.arange(outcomes.rows), outcomes.truth]
    tiny = np.finfo(outcomes.scores_type).eps
    losses: Floats = -np.log(np.clip(given, tiny, 1 - tiny))[:, None]
    return losses


def explained_draws(outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """``d2_log_loss_score`` for each way of counting the rows.

    Args:
        outcomes: With probabilities.
        counts: How often each row counts, of shape (n_draws, n_samples).

    Returns:
        Array of shape (n_draws,); NaN where all rows that count are of one class.
    """
    rows, shares = _guesses(outcomes, counts)
    guessing = -xlogy(rows, shares).sum(axis=1)
    return _explained(counts @ _log_loss_terms(outcomes)[:, 0], guessing)


def brier_explained_draws(outcomes: Outcomes, counts: NDArray[Any]) -> Floats:
    """``d2_brier_score``, as :func:`explained_draws`."""
    rows, shares = _guesses(outcomes, counts)
    guessing = (rows * (1 - shares)).sum(axis=1)
    guessing /= 2 if outcomes.task == "binary" else 1
    return _explained(counts @ _brier_terms(outcomes)[:, 0], guessing)


def _guesses(outcomes: Outcomes, counts: NDArray[Any]) -> tuple[Floats, Floats]:
    """Rows of each class and their shares, each of shape (n_draws, n_known)."""
    members = outcomes.truth[:, None] == np.arange(outcomes.known)
    rows = counts @ members.astype(np.float64)
    return rows, rows / rows.sum(axis=1, keepdims=True)


def _explained(losses: Floats, guessing: Floats) -> Floats:
    left = np.full(guessing.shape, np.nan)
    np.divide(losses, guessing, out=left, where=guessing > 0)
    explained: Floats = 1 - left
    return explained


def log_loss_of_margins(name: str, outcomes: Outcomes) -> float:
    """``log_loss``, or what of it is explained (``d2_log_loss_score``), of scores."""
    if name == "log_loss":
        return float(_log_loss_terms(outcomes).mean())
    return float(explained_draws(outcomes, np.ones((1, outcomes.rows)))[0])


def _brier_terms(outcomes: Outcomes) -> Floats:
    probabilities = outcomes.probabilities
    assert probabilities is not None
    squares = probabilities**2
    given = probabilities[np.arange(outcomes.rows), outcomes.truth]
    losses: Floats = squares.sum(axis=1) - 2 * given + 1
    return (losses / 2 if outcomes.task == "binary" else losses)[:, None]


def _top_terms(best: int, outcomes: Outcomes) -> Floats:
    ranking = outcomes.ranking
    assert ranking is not None
    given = ranking[np.arange(outcomes.rows), outcomes.truth][:, None]
    above = ranking > given
    # Of equal scores scikit-learn takes the later class first, but for one of two.
    later = np.arange(ranking.shape[1]) > outcomes.truth[:, None]
    first = ~later if best == 1 and outcomes.known == 2 else later
    first[np.arange(outcomes.rows), outcomes.truth] = False
    above |= (ranking == given) & first
    within: Floats = (above.sum(axis=1) < best).astype(np.float64)[:, None]
    return within


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


def _log_terms(outcomes: Outcomes) -> Floats:
    errors = np.log1p(outcomes.truth) - np.log1p(outcomes.predicted)
    terms: Floats = (errors**2)[:, None]
    return terms


def _pinball_terms(alpha: float, outcomes: Outcomes) -> Floats:
    errors = _errors(outcomes)
    terms: Floats = np.where(errors >= 0, alpha * errors, (alpha - 1) * errors)
    return terms[:, None]


def _poisson_terms(outcomes: Outcomes) -> Floats:
    truth, predicted = outcomes.truth, outcomes.predicted
    terms: Floats = 2 * (xlogy(truth, truth / predicted) - truth + predicted)
    return terms[:, None]


def _gamma_terms(outcomes: Outcomes) -> Floats:
    share = outcomes.truth / outcomes.predicted
    terms: Floats = 2 * (share - 1 - np.log(share))
    return terms[:, None]


def _tweedie_terms(power: float, outcomes: Outcomes) -> Floats:
    if power in _DEVIANCES:
        return _DEVIANCES[power](outcomes)
    truth, predicted = outcomes.truth, outcomes.predicted
    terms: Floats = 2 * (
        truth ** (2 - power) / ((1 - power) * (2 - power))
        - truth * predicted ** (1 - power) / (1 - power)
        + predicted ** (2 - power) / (2 - power)
    )
    return terms[:, None]


_DEVIANCES = {0.0: _squared_terms, 1.0: _poisson_terms, 2.0: _gamma_terms}


def _hinge_terms(outcomes: Outcomes) -> Floats:
    assert outcomes.margins is not None  # metrics_for refused the metric otherwise
    right = outcomes.margins[np.arange(outcomes.rows), outcomes.truth]
    terms: Floats = np.maximum(0.0, 1 - right)[:, None]
    return terms


def _variance_terms(around: float | None, outcomes: Outcomes) -> Floats:
    errors = _errors(outcomes)
    centred = outcomes.truth - (outcomes.truth.mean() if around is None else around)
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


_TERMS: dict[str, Terms] = {
    "log_loss": (_log_loss_terms, _plain_mean),
    "brier_score_loss": (_brier_terms, _plain_mean),
    "hinge_loss": (_hinge_terms, _plain_mean),
    "mean_absolute_error": (_absolute_terms, _plain_mean),
    "mean_squared_error": (_squared_terms, _plain_mean),
    "root_mean_squared_error": (_squared_terms, _root),
    "mean_absolute_percentage_error": (_percentage_terms, _plain_mean),
    "mean_squared_log_error": (_log_terms, _plain_mean),
    "root_mean_squared_log_error": (_log_terms, _root),
    "mean_poisson_deviance": (_poisson_terms, _plain_mean),
    "mean_gamma_deviance": (_gamma_terms, _plain_mean),
}

_OF_VARIANCE = {"r2": _r2, "explained_variance": _explained_variance}
