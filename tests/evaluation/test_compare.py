from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation._sklearn import value_of
from brixa_flows.evaluation.aligning import align
from brixa_flows.evaluation.compare import compare_outcomes
from brixa_flows.evaluation.comparison import Comparison, MetricComparison
from brixa_flows.evaluation.metrics import metrics_for
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.pairing import compare_slices
from brixa_flows.evaluation.results import DatasetFacts
from brixa_flows.versioning import ModelVersion
from tests.evaluation.outcome_makers import numbers, two_classes

NAMES = ["accuracy", "f1", "roc_auc", "log_loss", "average_precision"]


def compared(
    baseline: Outcomes, candidate: Outcomes, names: list[str], margin: float = 0.0
) -> dict[str, MetricComparison]:
    metrics = metrics_for(names, candidate)
    return compare_outcomes(
        baseline, candidate, metrics, value_of=value_of, margin=margin
    )


def worsened(outcomes: Outcomes, share: float) -> Outcomes:
    """The same model after a share of its answers was drawn by lot."""
    generator = np.random.default_rng(7)
    lot = generator.random(outcomes.rows) < share
    assert outcomes.probabilities is not None
    score = np.where(lot, generator.random(outcomes.rows), outcomes.probabilities[:, 1])
    return replace(
        outcomes,
        predicted=(score > 0.5).astype(np.int64),
        probabilities=np.stack([1 - score, score], axis=1),
    )


def test_a_model_made_worse_is_worse_and_the_other_way_round_better() -> None:
    good = two_classes(600)
    bad = worsened(good, 0.5)
    forth, back = compared(good, bad, NAMES), compared(bad, good, NAMES)
    assert {found.verdict for found in forth.values()} == {"worse"}
    assert {found.verdict for found in back.values()} == {"better"}
    assert forth["log_loss"].difference > 0 > forth["log_loss"].gain.high
    assert forth["f1"].difference == pytest.approx(-back["f1"].difference)


def test_a_model_is_not_worse_than_itself() -> None:
    same = two_classes(200)
    found = compared(same, same, NAMES)
    assert {each.verdict for each in found.values()} == {"not_worse"}
    assert all(each.interval == (0.0, 0.0) for each in found.values())
    assert all(each.adjusted_p_value == 1.0 for each in found.values())


def test_few_rows_are_inconclusive_until_the_margin_allows_the_loss() -> None:
    good = two_classes(60)
    other = worsened(good, 0.05)
    strict = compared(good, other, ["accuracy"])["accuracy"]
    lenient = compared(good, other, ["accuracy"], margin=0.3)["accuracy"]
    assert strict.verdict == "inconclusive"
    assert lenient.verdict == "not_worse"


def test_p_values_are_adjusted_over_the_metrics_compared() -> None:
    good = two_classes(150)
    found = compared(good, worsened(good, 0.15), NAMES).values()
    assert all(each.adjusted_p_value >= each.p_value for each in found)
    assert any(each.adjusted_p_value > each.p_value for each in found)


def test_the_same_model_twice_is_seldom_told_better_or_worse() -> None:
    """Two models of equal quality: at most about 5 % of seeds find a difference."""
    wrong = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth = generator.integers(2, size=200)
        answers = [
            np.where(generator.random(200) < 0.8, truth, 1 - truth) for _ in "ab"
        ]
        pair = [Outcomes("binary", truth, each, None, (0, 1), 2) for each in answers]
        found = compared(pair[0], pair[1], ["accuracy", "f1"])
        wrong += any(each.verdict in ("better", "worse") for each in found.values())
    assert wrong <= 6


def test_a_smaller_error_is_better() -> None:
    truth = numbers(300)
    rough = replace(truth, predicted=truth.truth + 2 * (truth.predicted - truth.truth))
    found = compared(rough, truth, ["rmse", "r2", "medae"])
    assert {each.verdict for each in found.values()} == {"better"}
    assert found["rmse"].gain.low > 0 > found["rmse"].interval.high


def test_other_rows_are_refused() -> None:
    with pytest.raises(EvaluationError, match="same labels of the same rows"):
        compared(two_classes(50, seed=1), two_classes(50, seed=2), ["accuracy"])


def test_a_negative_margin_is_refused() -> None:
    same = two_classes(20)
    with pytest.raises(EvaluationError, match="margin must be 0 or more, not -0.1"):
        compared(same, same, ["accuracy"], margin=-0.1)


def test_classes_in_another_order_are_brought_to_one() -> None:
    ours = two_classes(100)
    assert ours.probabilities is not None
    theirs = replace(
        ours,
        truth=1 - ours.truth,
        predicted=1 - ours.predicted,
        probabilities=ours.probabilities[:, ::-1],
        classes=("yes", "no"),
        positive=0,
    )
    first, second, warnings = align(ours, theirs)
    assert warnings == ()
    assert (first.truth == second.truth).all()
    assert second.positive == first.positive == 1
    assert second.probabilities is not None
    assert (second.probabilities == ours.probabilities).all()


def test_models_of_different_classes_lose_their_probabilities() -> None:
    ours = two_classes(100)
    theirs = replace(ours, classes=("no", "yes", "maybe"), known=3, task="multiclass")
    first, second, warnings = align(ours, theirs)
    assert first.probabilities is None and second.probabilities is None
    assert "know different classes" in warnings[-1]


def test_a_classifier_is_not_compared_with_a_regression() -> None:
    with pytest.raises(EvaluationError, match="only models of one task"):
        align(two_classes(10), numbers(10))


def test_slices_are_compared_as_if_their_rows_were_all_there_are() -> None:
    good = two_classes(400)
    bad = worsened(good, 0.3)
    region = np.where(np.arange(400) < 300, "north", "south").astype(object)
    south = np.flatnonzero(good.truth == 1)[-5:]
    region[south] = None  # of one class only
    metrics = metrics_for(["accuracy", "f1", "auc"], good)
    parts = compare_slices({"region": region}, (good, bad), metrics)
    assert [part.value for part in parts] == ["(missing)", "north", "south"]
    lone, north, _ = parts
    assert list(lone.metrics) == ["accuracy", "f1"] and lone.rows == 5
    assert lone.notes[0].startswith("roc_auc needs")
    rows = np.flatnonzero(region == "north")
    alone = compared(good.take(rows), bad.take(rows), ["accuracy", "f1", "auc"])
    for name, found in north.metrics.items():
        assert found.interval == alone[name].interval
        assert found.p_value == alone[name].p_value
    # Eight tests of one column, so luck has eight chances.
    raw = sorted(each.p_value for part in parts for each in part.metrics.values())
    least = min(each.adjusted_p_value for p in parts for each in p.metrics.values())
    assert least == pytest.approx(min(p * 8 / (i + 1) for i, p in enumerate(raw)))


def test_a_comparison_survives_json() -> None:
    good = two_classes(80)
    half = {"half": np.arange(80) // 40}
    pair = (good, worsened(good, 0.3))
    comparison = Comparison(
        model_name="flowers",
        baseline=ModelVersion.parse("1.0.0"),
        candidate=ModelVersion.parse("1.1.0"),
        metrics=compared(good, worsened(good, 0.3), ["f1", "auc"]),
        dataset=DatasetFacts("test", "0" * 32, 80),
        warnings=("careful",),
        slices=compare_slices(half, pair, metrics_for(["f1"], good)),
    )
    again = Comparison.from_dict(json.loads(json.dumps(comparison.to_dict())))
    assert again == comparison
    assert again.metrics["auc"].verdict == comparison.metrics["roc_auc"].verdict
    assert "| roc_auc |" in comparison.to_markdown()
    assert "| half = 1 | 40 | f1 |" in comparison.to_markdown()
    assert again.slices[0].metrics["f1_score"].metric == "f1"


def right_and_wrong(truth: list[int]) -> tuple[Outcomes, Outcomes]:
    """Of the same rows: one model that is wrong on each, and one that is right."""
    labels = np.array(truth)
    good = Outcomes(
        "binary",
        labels,
        labels,
        np.where(labels[:, None] == [0, 1], 0.9, 0.1),
        ("no", "yes"),
        known=2,
        positive=1,
    )
    assert good.probabilities is not None
    bad = replace(good, predicted=1 - labels, probabilities=good.probabilities[:, ::-1])
    return bad, good


SURELY = [*NAMES, "precision", "recall", "balanced_accuracy", "matthews_corrcoef"]


@pytest.mark.parametrize("truth", [[1, 0], [1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 0, 1]])
def test_of_fewer_than_six_rows_nothing_is_sure(truth: list[int]) -> None:
    for name, found in compared(*right_and_wrong(truth), SURELY, margin=0.01).items():
        assert (name, found.verdict) == (name, "inconclusive")
        assert found.p_value > 0.05 and found.gain.low < -0.01 < 0 < found.gain.high


@pytest.mark.parametrize("truth", [[1, 0], [1, 0, 1, 0, 1]])
def test_few_rows_on_which_two_agree_show_of_neither_that_it_is_not_worse(
    truth: list[int],
) -> None:
    _, good = right_and_wrong(truth)
    assert good.probabilities is not None
    surer = replace(good, probabilities=np.where(good.probabilities > 0.5, 0.99, 0.01))
    names = ["accuracy", "f1", "recall", "roc_auc"]
    for name, found in compared(good, surer, names, margin=0.1).items():
        assert (name, found.verdict, found.p_value) == (name, "inconclusive", 1)
    many = right_and_wrong(truth * 6)[1], right_and_wrong(truth * 6)[1]
    alike = compared(*many, names)
    assert {each.verdict for each in alike.values()} == {"not_worse"}


def test_one_row_of_a_class_tells_nothing_of_the_order() -> None:
    bad, good = right_and_wrong([1] + [0] * 30)
    for name in ("roc_auc", "average_precision"):
        [found] = compared(bad, good, [name]).values()
        assert found.verdict == "inconclusive" and found.p_value == 1


def test_two_that_are_apart_on_every_one_of_many_rows_are_told_apart() -> None:
    found = compared(*right_and_wrong([0, 1] * 10), SURELY)
    assert {each.verdict for each in found.values()} == {"better"}
    for each in found.values():
        assert each.gain.low < each.gain.high  # and no more than rows can tell


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say() -> None:
    generator, kept = np.random.default_rng(5), 0
    one = two_classes(60_000, prevalence=0.15)
    noisy = worsened(one, 0.2)
    truth = compared(one, noisy, ["recall"])["recall"].difference
    for _ in range(100):
        rows = generator.choice(one.rows, size=150, replace=False)
        low, high = compared(one.take(rows), noisy.take(rows), ["recall"])[
            "recall"
        ].interval
        kept += low <= truth <= high
    assert kept >= 92
