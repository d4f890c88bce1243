from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import beta, brunnermunzel, norm, skew, t
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from brixa_flows.evaluation._sklearn import value_of
from brixa_flows.evaluation.intervals import (
    adjusted_p_values,
    correct_share_difference,
    holm_p_values,
    mcnemar_p_value,
    mean_draws,
    mean_interval,
    percentile_interval,
)
from brixa_flows.evaluation.judging import judge
from brixa_flows.evaluation.measuring import interval_of
from brixa_flows.evaluation.metrics import METRICS
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.ranking import (
    Part,
    area_difference,
    area_draws,
    area_parts,
    auc_interval,
    average_precision_draws,
)
from brixa_flows.serializers.base import Prediction
from tests.evaluation.outcome_makers import many_classes, numbers, two_classes


def brute_force_delong(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Covariance of areas by comparing every pair, as the paper writes it."""
    areas, rows, columns = [], [], []
    for score in scores:
        up, down = score[positive][:, None], score[~positive][None, :]
        wins = (up > down) + 0.5 * (up == down)
        areas.append(wins.mean())
        rows.append(wins.mean(axis=1))
        columns.append(wins.mean(axis=0))
    first = np.cov(np.array(rows)) / positive.sum()
    return np.asarray(first + np.cov(np.array(columns)) / (~positive).sum())


def test_two_areas_differ_as_every_pair_compared_says_ties_included() -> None:
    generator = np.random.default_rng(3)
    positive = generator.random(60) < 0.3
    scores = np.stack(
        [
            np.round(generator.normal(size=60) + positive, 1),
            generator.normal(size=60) + 0.5 * positive,
        ]
    )
    pair = [
        judge(positive.astype(int), Prediction(each), task="binary") for each in scores
    ]
    difference, (low, high), p_value = area_difference(pair)
    before, after = (roc_auc_score(positive, each) for each in scores)
    assert difference == pytest.approx(after - before, abs=1e-12)
    assert (low + high) / 2 == pytest.approx(difference, abs=1e-12)
    covariance = brute_force_delong(scores, positive)
    error = math.sqrt(np.array([-1, 1]) @ covariance @ np.array([-1, 1]))
    freedom = brentq(lambda df: t.ppf(0.975, df) - (high - difference) / error, 1, 1e6)
    assert (
        16 < freedom < 59
    )  # between the rows of the rarer class and all, less one each
    assert p_value == pytest.approx(2 * t.sf(abs(difference) / error, freedom))


def test_two_areas_of_many_rows_differ_by_the_normal_distribution() -> None:
    one, other = two_classes(20_000), two_classes(20_000, seed=1)
    pair = one, replace(other, truth=one.truth)
    difference, (_, high), p_value = area_difference(pair)
    z = 1.959963984540054 * difference / (high - difference)
    assert p_value == pytest.approx(2 * norm.sf(abs(z)), rel=0.01)


def test_delong_agrees_with_the_bootstrap() -> None:
    outcomes = two_classes(400)
    variance = sum(part.variance for part in area_parts(outcomes)[1])
    generator = np.random.default_rng(0)
    drawn = [
        value_of(METRICS["roc_auc"], outcomes.take(generator.integers(400, size=400)))
        for _ in range(200)
    ]
    assert math.sqrt(variance) == pytest.approx(np.std(drawn), rel=0.15)


def test_a_perfect_area_still_has_an_interval() -> None:
    low, high = auc_interval(1.0, (Part(0.0, 10), Part(0.0, 90)))
    assert high == 1.0
    assert low == pytest.approx(beta.ppf(0.025, 10, 1), rel=1e-12)


def test_one_row_of_a_class_says_nothing_of_an_area() -> None:
    assert auc_interval(0.7, (Part(0.0, 1), Part(1e-4, 90))) == (0.0, 1.0)


def test_an_area_of_few_positives_has_the_t_interval_of_brunner_and_munzel() -> None:
    outcomes = two_classes(60, prevalence=0.15)
    area, parts = area_parts(outcomes)
    score, hit = outcomes.probabilities[:, 1], outcomes.truth == 1  # type: ignore[index]
    # scipy has the degrees of freedom in the p-value of P(X < Y) + P(X = Y) / 2 = 1/2.
    found = brunnermunzel(score[~hit], score[hit])
    error = math.sqrt(sum(part.variance for part in parts))
    assert (area - 0.5) / error == pytest.approx(abs(found.statistic), rel=1e-12)
    low, high = auc_interval(area, parts)
    half = (logit(high) - logit(low)) / 2 * area * (1 - area) / error
    freedom = brentq(
        lambda df: 2 * t.sf(abs(found.statistic), df) - found.pvalue, 1, 500
    )
    assert half == pytest.approx(t.ppf(0.975, freedom), rel=1e-6)


def test_the_interval_of_a_skewed_mean_solves_halls_cubic() -> None:
    terms = np.random.default_rng(0).lognormal(sigma=1.2, size=80)
    low, high = mean_interval(terms)
    error = terms.std(ddof=1) / math.sqrt(80)
    slope = skew(terms) / (3 * math.sqrt(80))
    for bound, side in ((low, 0.975), (high, 0.025)):
        student = (terms.mean() - bound) / error
        hall = student + slope * student**2 + slope**2 * student**3 / 3 + slope / 2
        assert hall == pytest.approx(t.ppf(side, 79), rel=1e-9)
    assert high - terms.mean() > 1.3 * (terms.mean() - low)


def test_the_interval_of_a_mean_without_skewness_is_students() -> None:
    terms = np.concatenate([np.arange(-20.0, 21.0)])
    half = t.ppf(0.975, 40) * terms.std(ddof=1) / math.sqrt(41)
    assert mean_interval(terms) == pytest.approx((-half, half))


def test_the_interval_of_a_share_is_jeffreys_and_ends_at_its_scale() -> None:
    assert mean_interval(np.ones(30)) == (
        pytest.approx(beta.ppf(0.025, 30.5, 0.5)),
        1.0,
    )
    assert mean_interval(np.repeat([0.0, 1.0], [21, 9])) == pytest.approx(
        beta.ppf([0.025, 0.975], 9.5, 21.5)
    )


def test_draws_of_a_mean_area_spread_as_delong_says() -> None:
    outcomes = two_classes(500)
    variance = sum(part.variance for part in area_parts(outcomes)[1])
    draws = area_draws([outcomes], np.random.default_rng(0))
    assert draws.std() == pytest.approx(math.sqrt(variance), rel=0.1)


def test_counted_average_precision_is_that_of_the_resampled_rows() -> None:
    outcomes = two_classes(80)
    picks = np.random.default_rng(5).integers(80, size=80)
    counts = np.bincount(picks, minlength=80)[None, :]
    drawn = average_precision_draws(outcomes, counts)[0]
    expected = value_of(METRICS["average_precision"], outcomes.take(picks))
    assert drawn == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (3, 9), (12, 12), (40, 80)])
def test_mcnemar_is_that_of_statsmodels(lost: int, won: int) -> None:
    expected = mcnemar([[100, lost], [won, 50]], exact=True).pvalue
    assert mcnemar_p_value(lost, won) == pytest.approx(float(expected), rel=1e-12)


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.2, 0.03, 0.9]
    expected = multipletests(p_values, method="fdr_bh")[1]
    assert adjusted_p_values(p_values) == pytest.approx(list(expected), rel=1e-12)


def test_the_interval_of_an_accuracy_difference_is_signed_as_candidate_minus() -> None:
    low, high = correct_share_difference(5, 25, rows=200)
    assert 0 < low < 0.1 < high


def test_mean_draws_spread_as_the_standard_error_on_few_rows_and_many() -> None:
    for rows in (400, 4000):
        terms = np.random.default_rng(1).exponential(size=(rows, 1))
        draws = mean_draws(terms, np.random.default_rng(2))
        assert draws.std() == pytest.approx(terms.std() / math.sqrt(rows), rel=0.08)


def test_an_interval_holds_its_point_even_where_draws_do_not() -> None:
    assert percentile_interval(np.full(10, 0.5), 1.0) == (0.5, 1.0)


def covered(name: str, make: object, truth: float, runs: int, rows: int) -> float:
    metric, hits = METRICS[name], 0
    for seed in range(runs):
        outcomes: Outcomes = make(rows, seed=seed)  # type: ignore[operator]
        point = value_of(metric, outcomes)
        low, high = interval_of(metric, outcomes, point, value_of, seed)
        hits += low <= truth <= high
    return hits / runs


@pytest.mark.parametrize("name", ["accuracy", "f1", "roc_auc", "log_loss"])
def test_intervals_of_a_classifier_cover_the_truth_about_as_often_as_said(
    name: str,
) -> None:
    truth = value_of(METRICS[name], two_classes(100_000, seed=10_000))
    assert 0.90 <= covered(name, two_classes, truth, 100, 200) <= 0.99


def test_intervals_of_a_regression_cover_the_truth_about_as_often_as_said() -> None:
    share = covered("root_mean_squared_error", numbers, 1.0, 100, 200)
    assert 0.90 <= share <= 0.99


def test_intervals_of_a_mean_area_over_classes_cover_the_truth() -> None:
    truth = value_of(METRICS["roc_auc"], many_classes(100_000, seed=10_000))
    assert 0.88 <= covered("roc_auc", many_classes, truth, 50, 200) <= 1.0


def test_holms_p_values_are_those_of_statsmodels() -> None:
    for p_values in ([0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.001, 0.02]):
        _, expected, _, _ = multipletests(p_values, method="holm")
        assert holm_p_values(p_values) == pytest.approx(list(expected), rel=1e-12)
    # Of ten pairs of which four are told: ten times the smallest, nine times the next.
    some = holm_p_values([0.002, 0.001, 0.3, 0.01], hypotheses=10)
    assert some == pytest.approx([0.018, 0.01, 1.0, 0.08])


def test_equal_versions_are_seldom_called_worse_than_the_best() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        right = (generator.random((5, 400)) < 0.8).sum(axis=1)
        best = int(right.argmax())
        z = (right[best] - np.delete(right, best)) / np.sqrt(2 * 400 * 0.8 * 0.2)
        adjusted = holm_p_values([2 * norm.sf(abs(each)) for each in z], 10)
        wrong += min(adjusted) <= 0.05
    assert wrong <= 18, "about 10 of 200 if the level holds"
