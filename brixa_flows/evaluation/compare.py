"""Is the candidate better than the baseline? Both judged on the same rows, paired.

For each metric the difference (candidate minus baseline, turned so that more is
better) has a 95 % interval and a p-value: accuracy by McNemar's exact test, the area
under a ROC curve of two classes by DeLong's, every other by a paired bootstrap (of the
confusion cells, of the terms of each row, or of the rows). The p-values are adjusted
over the metrics (Benjamini and Hochberg). The verdict on the candidate:

``better``        the interval lies above 0 and the adjusted p-value is at most 0.05
``not_worse``     else, if the interval lies above -margin
``worse``         else, if it lies below 0 and the adjusted p-value is at most 0.05
``inconclusive``  else: these rows can't tell
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.comparison import MetricComparison, Verdict
from brixa_flows.evaluation.draws import Valuer, draws_of
from brixa_flows.evaluation.intervals import (
    LEVEL,
    ROWS_THAT_TELL,
    Interval,
    adjusted_p_values,
    correct_share_difference,
    mcnemar_p_value,
    percentile_interval,
    two_sided_p_value,
    unvarying_difference,
)
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import MetricValues
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.ranking import area_difference

__all__ = [
    "Difference",
    "check_margin",
    "compare_outcomes",
    "difference_of",
    "with_verdicts",
]


def compare_outcomes(
    baseline: Outcomes,
    candidate: Outcomes,
    metrics: Sequence[Metric],
    *,
    value_of: Valuer,
    margin: float = 0.0,
    seed: int = 0,
) -> dict[str, MetricComparison]:
    """Compare two models' outcomes on the same rows.

    Args:
        baseline: Outcomes of the one to beat.
        candidate: Outcomes of the other, on the same rows and in the same coding.
        metrics: What to compare.
        value_of: Computes a metric's value.
        margin: How much worse still counts as not worse, in the metric's units.
        seed: Of the draws.

    Raises:
        EvaluationError: If the two are not of the same rows, or the margin is negative.
    """
    check_margin(margin)
    if baseline.classes != candidate.classes or not np.array_equal(
        baseline.truth, candidate.truth
    ):
        raise EvaluationError(
            "the two models were not judged on the same labels of the same rows; a "
            "comparison needs both on one dataset"
        )
    pair = (baseline, candidate)
    found = [(each, difference_of(each, pair, value_of, seed)) for each in metrics]
    return MetricValues((each.metric, each) for each in with_verdicts(found, margin))


def check_margin(margin: float) -> None:
    """Refuse a margin that is none.

    Raises:
        EvaluationError: If it is negative or not finite.
    """
    if not (
        isinstance(margin, int | float | np.number)
        and math.isfinite(margin)
        and margin >= 0
    ):
        raise EvaluationError(f"margin must be 0 or more, not {margin!r}")


_NO_SPREAD = 1e-12
_SAME_ANSWERS = "same answers"

Difference = tuple[float, float, Interval, float, str]


def with_verdicts(
    found: Iterable[tuple[Metric, Difference]],
    margin: float,
    adjust: Callable[[list[float]], list[float]] = adjusted_p_values,
) -> list[MetricComparison]:
    """Differences with their verdicts; the p-values are adjusted over all of them.

    Args:
        found: Metrics with what :func:`difference_of` says of them.
        margin: How much worse still counts as not worse.
        adjust: Adjusts the p-values.
    """
    pairs = list(found)
    adjusted = adjust([p_value for _, (*_, p_value, _) in pairs])
    compared = []
    for (metric, facts), q_value in zip(pairs, adjusted, strict=True):
        before, after, interval, p_value, test = facts
        compared.append(
            MetricComparison(
                metric=metric.name,
                higher_is_better=metric.higher_is_better,
                baseline=before,
                candidate=after,
                difference=after - before,
                interval=interval,
                p_value=p_value,
                adjusted_p_value=q_value,
                test=test,
                verdict=_verdict(interval, metric.sign, q_value, margin),
            )
        )
    return compared


def difference_of(
    metric: Metric, pair: tuple[Outcomes, Outcomes], value_of: Valuer, seed: int
) -> Difference:
    """Both values, the interval of the difference, its p-value and the test.

    Args:
        metric: What is compared.
        pair: Baseline and candidate, on the same rows and in the same coding.
        value_of: Computes a metric's value.
        seed: Of the draws.
    """
    before, after = (value_of(metric, outcomes) for outcomes in pair)
    if metric.name == "accuracy" and pair[0].classifies:
        return before, after, *_mcnemar(*pair)
    if metric.method == "auc" and pair[0].classifies and pair[0].known == 2:
        _, interval, p_value = area_difference(pair)
        return before, after, interval, p_value, "DeLong test"
    telling = _telling_rows(metric, pair)
    if not telling:
        same = unvarying_difference(0.0, pair[0].rows)
        return before, after, *same, _SAME_ANSWERS
    if metric.name.startswith("latency") and telling < 2:
        most = max(before, after)  # one moment of a machine that does other things, too
        return before, after, Interval(-most, most), 1.0, "one batch tells nothing"
    draws = draws_of(metric, pair, value_of, seed)
    differences: NDArray[np.float64] = draws[:, 1] - draws[:, 0]
    interval = percentile_interval(differences, after - before)
    p_value = two_sided_p_value(differences)
    few = telling < ROWS_THAT_TELL or np.ptp(differences) < _NO_SPREAD
    if few and metric.method != "batches":
        alike, least = unvarying_difference(after - before, telling)
        low, high = min(interval.low, alike.low), max(interval.high, alike.high)
        interval, p_value = Interval(low, high), max(p_value, least)
    return before, after, interval, p_value, "paired bootstrap"


def _telling_rows(metric: Metric, pair: tuple[Outcomes, Outcomes]) -> int:
    """How many rows a difference rests on: who exchanges the two models there loses it.

    Those where the labels that both answer differ, for a metric of labels; those of the
    rarer class, for one of the order of two; batches, for a cost.
    """
    before, after = pair
    if metric.method == "confusion":
        differ = before.predicted != after.predicted
        return int(np.count_nonzero(differ.any(axis=1) if differ.ndim > 1 else differ))
    if metric.method == "ranking" and before.classifies and before.known == 2:
        return int(np.bincount(before.truth, minlength=2)[:2].min())
    if metric.method == "batches" and before.costs is not None:
        return before.costs.rows.size
    return before.rows


def _mcnemar(baseline: Outcomes, candidate: Outcomes) -> tuple[Interval, float, str]:
    was_right = baseline.predicted == baseline.truth
    is_right = candidate.predicted == candidate.truth
    lost = int(np.count_nonzero(was_right & ~is_right))
    won = int(np.count_nonzero(is_right & ~was_right))
    if np.array_equal(baseline.predicted, candidate.predicted):
        return *unvarying_difference(0.0, baseline.rows), _SAME_ANSWERS
    interval = correct_share_difference(lost, won, baseline.rows)
    return interval, mcnemar_p_value(lost, won), "exact McNemar test"


def _verdict(
    interval: Interval, sign: int, adjusted_p_value: float, margin: float
) -> Verdict:
    low, high = sorted(sign * bound for bound in interval)
    surely = adjusted_p_value <= 1 - LEVEL + 1e-12
    if low > 0 and surely:
        return "better"
    if low >= -margin:
        return "not_worse"
    return "worse" if high < 0 and surely else "inconclusive"
