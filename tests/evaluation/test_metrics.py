from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation._sklearn import value_of
from brixa_flows.evaluation.draws import counted
from brixa_flows.evaluation.functions import evaluate_function
from brixa_flows.evaluation.judging import judge
from brixa_flows.evaluation.measuring import measure, share_warnings, slice_by
from brixa_flows.evaluation.metric_catalog import SHARES, named_metric
from brixa_flows.evaluation.metrics import (
    METRICS,
    Metric,
    canonical_metric,
    metrics_for,
    named_metrics,
    obstacle,
)
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.terms import terms_of
from brixa_flows.serializers.base import Prediction
from tests.evaluation.outcome_makers import (
    many_classes,
    numbers,
    several_labels,
    two_classes,
    with_costs,
)

EXACTLY = {"rel": 1e-12, "abs": 1e-12}


def values_of(outcomes: Outcomes, names: list[str]) -> dict[str, float]:
    """Without the intervals, whose draws take longer."""
    chosen = metrics_for(names, outcomes)
    values = {metric.name: value_of(metric, outcomes) for metric in chosen}
    return {name: values[canonical_metric(name)] for name in names}


def draws_with_each_row_once(name: str, outcomes: Outcomes) -> float:
    """What the functions that draw by counting the rows give when all count once."""
    counting = counted(METRICS[name], outcomes.task)
    assert counting is not None
    return float(counting(outcomes, np.ones((1, outcomes.rows)))[0])


def test_binary_numbers_are_those_of_scikit_learn() -> None:
    outcomes = two_classes(300)
    truth = np.asarray(outcomes.classes)[outcomes.truth]
    predicted = np.asarray(outcomes.classes)[outcomes.predicted]
    assert outcomes.probabilities is not None
    score = outcomes.probabilities[:, 1]
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, pos_label="yes"),
        "recall": sk.recall_score(truth, predicted, pos_label="yes"),
        "f1": sk.f1_score(truth, predicted, pos_label="yes"),
        "f1_macro": sk.f1_score(truth, predicted, average="macro"),
        "jaccard": sk.jaccard_score(truth, predicted, pos_label="yes"),
        "matthews_corrcoef": sk.matthews_corrcoef(truth, predicted),
        "cohen_kappa": sk.cohen_kappa_score(truth, predicted),
        "roc_auc": sk.roc_auc_score(truth, score),
        "average_precision": sk.average_precision_score(truth, score, pos_label="yes"),
        "log_loss": sk.log_loss(truth, outcomes.probabilities),
        "brier_score_loss": sk.brier_score_loss(truth, score, pos_label="yes"),
        "f2": sk.fbeta_score(truth, predicted, beta=2, pos_label="yes"),
        "f0.5_macro": sk.fbeta_score(truth, predicted, beta=0.5, average="macro"),
        "specificity": sk.recall_score(truth, predicted, pos_label="no"),
        "zero_one_loss": sk.zero_one_loss(truth, predicted),
        "d2_log_loss": sk.d2_log_loss_score(truth, outcomes.probabilities),
        "top_1_accuracy": sk.top_k_accuracy_score(truth, score, k=1),
        "d2_brier_score": sk.d2_brier_score(truth, score, pos_label="yes"),
        "npv": sk.precision_score(truth, predicted, pos_label="no"),
        "FPR": 1 - sk.recall_score(truth, predicted, pos_label="no"),
        "fnr": 1 - sk.recall_score(truth, predicted, pos_label="yes"),
        "positive_likelihood_ratio": sk.class_likelihood_ratios(truth, predicted)[0],
        "negative_likelihood_ratio": sk.class_likelihood_ratios(truth, predicted)[1],
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


def test_multiclass_numbers_are_those_of_scikit_learn_with_macro_averages() -> None:
    outcomes = many_classes(300)
    truth, predicted = outcomes.truth, outcomes.predicted
    one_against_the_rest = sk.multilabel_confusion_matrix(truth, predicted)
    expected = {
        "precision": sk.precision_score(truth, predicted, average="macro"),
        "recall": sk.recall_score(truth, predicted, average="macro"),
        "f1": sk.f1_score(truth, predicted, average="macro"),
        "f1_micro": sk.f1_score(truth, predicted, average="micro"),
        "f1_weighted": sk.f1_score(truth, predicted, average="weighted"),
        "roc_auc": sk.roc_auc_score(truth, outcomes.probabilities, multi_class="ovr"),
        "log_loss": sk.log_loss(truth, outcomes.probabilities),
        "brier": sk.brier_score_loss(truth, outcomes.probabilities),
        "roc_auc_ovo": sk.roc_auc_score(
            truth, outcomes.probabilities, multi_class="ovo"
        ),
        "average_precision": sk.average_precision_score(truth, outcomes.probabilities),
        "top_2_accuracy": sk.top_k_accuracy_score(truth, outcomes.probabilities, k=2),
        "roc_auc_ovo_weighted": sk.roc_auc_score(
            truth, outcomes.probabilities, multi_class="ovo", average="weighted"
        ),
        "d2_brier_score": sk.d2_brier_score(truth, outcomes.probabilities),
        "specificity": np.mean(
            [cells[0, 0] / cells[0].sum() for cells in one_against_the_rest]
        ),
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (two_classes, ["average_precision", "d2_log_loss_score", "d2_brier_score"]),
        (
            many_classes,
            ["average_precision", "d2_log_loss_score", "d2_brier_score"]
            + ["roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr_weighted"],
        ),
        (
            several_labels,
            ["average_precision", *(n for n in METRICS if n.startswith(SHARES))]
            + ["accuracy", "hamming_loss", "zero_one_loss"],
        ),
    ],
)
def test_draws_are_of_the_same_number_as_the_value(make: Any, names: list[str]) -> None:
    outcomes = make(200)
    drawn = {name: draws_with_each_row_once(name, outcomes) for name in names}
    assert drawn == pytest.approx(values_of(outcomes, names), **EXACTLY)


def test_numbers_of_several_labels_a_row_are_those_of_scikit_learn() -> None:
    outcomes = several_labels(200)
    pair = outcomes.truth, outcomes.predicted
    scores = outcomes.truth, outcomes.probabilities
    expected = {
        "accuracy": sk.accuracy_score(*pair),
        "hamming_loss": sk.hamming_loss(*pair),
        "f1": sk.f1_score(*pair, average="macro"),
        "f1_samples": sk.f1_score(*pair, average="samples", zero_division=0),
        "jaccard_micro": sk.jaccard_score(*pair, average="micro"),
        "precision_weighted": sk.precision_score(*pair, average="weighted"),
        "roc_auc": sk.roc_auc_score(*scores),
        "average_precision": sk.average_precision_score(*scores),
        "label_ranking_average_precision": (
            sk.label_ranking_average_precision_score(*scores)
        ),
        "label_ranking_loss": sk.label_ranking_loss(*scores),
        "coverage_error": sk.coverage_error(*scores),
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


def _fits(name: str, outcomes: Outcomes) -> bool:
    return obstacle(METRICS[name], outcomes) is None


@pytest.mark.parametrize("make", [two_classes, many_classes])
def test_the_calibration_error_is_the_gap_of_each_bin(make: Any) -> None:
    """By the loop of the paper; torchmetrics gives the same to its float32."""
    outcomes = make(500)
    assert outcomes.probabilities is not None
    sure, holds = outcomes.probabilities[:, 1], outcomes.truth == 1
    if outcomes.task == "multiclass":
        sure = outcomes.probabilities.max(axis=1)
        holds = outcomes.predicted == outcomes.truth
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        rows = (sure >= low) & (sure < high)
        if rows.any():
            expected += rows.mean() * abs(sure[rows].mean() - holds[rows].mean())
    found = values_of(outcomes, ["ece"])["ece"]
    assert found == pytest.approx(expected, **EXACTLY)
    drawn = draws_with_each_row_once("expected_calibration_error", outcomes)
    assert drawn == pytest.approx(found, **EXACTLY)


def test_seconds_and_bytes_are_metrics_of_the_run() -> None:
    outcomes = with_costs(two_classes(20))
    values, intervals = measure(
        outcomes, metrics_for(["latency", "model_size"], outcomes)
    )
    assert values["latency_per_row_ms"] == pytest.approx(3.0, rel=0.2)
    low, high = intervals["latency"]
    assert low < values["latency"] < high
    assert values["model_size_mb"] == 2.5
    assert intervals["model_size_mb"] == (2.5, 2.5)
    with pytest.raises(EvaluationError, match="of the whole run"):
        metrics_for(["latency"], outcomes.take(np.arange(5)))


def test_regression_numbers_are_those_of_scikit_learn() -> None:
    outcomes = numbers(300)
    pair = outcomes.truth, outcomes.predicted
    expected = {
        "mean_absolute_error": sk.mean_absolute_error(*pair),
        "root_mean_squared_error": sk.root_mean_squared_error(*pair),
        "mean_absolute_percentage_error": sk.mean_absolute_percentage_error(*pair),
        "median_absolute_error": sk.median_absolute_error(*pair),
        "r2": sk.r2_score(*pair),
        "explained_variance": sk.explained_variance_score(*pair),
        "mean_squared_log_error": sk.mean_squared_log_error(*pair),
        "root_mean_squared_log_error": sk.root_mean_squared_log_error(*pair),
        "mean_pinball_loss": sk.mean_pinball_loss(*pair),
        "mean_pinball_loss_0.9": sk.mean_pinball_loss(*pair, alpha=0.9),
        "mean_poisson_deviance": sk.mean_poisson_deviance(*pair),
        "mean_gamma_deviance": sk.mean_gamma_deviance(*pair),
        "max_error": sk.max_error(*pair),
        "d2_pinball_score": sk.d2_pinball_score(*pair),
        "D2_pinball_score_0.9": sk.d2_pinball_score(*pair, alpha=0.9),
        "mean_tweedie_deviance": sk.mean_tweedie_deviance(*pair),
        "d2_tweedie_score": sk.d2_tweedie_score(*pair),
        **{
            f"mean_tweedie_deviance_{p:g}": sk.mean_tweedie_deviance(*pair, power=p)
            for p in (0, 1, 1.5, 2, 3)
        },
        **{
            f"d2_tweedie_score_{p:g}": sk.d2_tweedie_score(*pair, power=p)
            for p in (1, 1.5, 2, 3)
        },
        "d2_absolute_error_score": sk.d2_absolute_error_score(*pair),
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


@pytest.mark.parametrize("make", [two_classes, many_classes, several_labels, numbers])
def test_every_metric_of_a_task_has_an_interval_around_its_value(make: Any) -> None:
    outcomes = with_costs(make(150))
    known = [name for name, m in METRICS.items() if outcomes.task in m.tasks]
    names = [name for name in known if name != "hinge_loss"]  # of decision scores
    values, intervals = measure(outcomes, metrics_for(names, outcomes))
    for name in sorted({*names} - {"model_size_mb", "max_error"}):
        low, high = intervals[name]
        assert low < values[name] < high, name


@pytest.mark.parametrize("make", [two_classes, many_classes, numbers])
def test_a_mean_of_terms_is_the_metric(make: Any) -> None:
    """The draws of a metric are of the same number as its value."""
    outcomes = make(120)
    names = [n for n, m in METRICS.items() if m.method == "mean" and _fits(n, outcomes)]
    powers = [f"mean_tweedie_deviance_{power}" for power in (1.25, 1, 2, 3)]
    names += ["mean_pinball_loss_0.2", *powers] if outcomes.task == "regression" else []
    names += ["top_2_accuracy"] if outcomes.task == "multiclass" else []
    for metric in metrics_for(names, outcomes):
        terms, combine = terms_of(metric)
        made = float(combine(terms(outcomes).mean(axis=0, keepdims=True))[0])
        assert made == pytest.approx(values_of(outcomes, [metric.name])[metric.name])


def test_a_function_may_ask_for_probabilities() -> None:
    def mean_sureness(truth: Any, probabilities: Any) -> float:
        assert truth.tolist()[0] in ("no", "yes")
        return float(probabilities.max(axis=1).mean())

    metric = Metric("sureness", ("binary",), "probability", function=mean_sureness)
    outcomes = two_classes(60)
    assert 0.5 < measure(outcomes, [metric])[0]["sureness"] < 1
    labels = np.array(["a", "b"])
    with pytest.raises(EvaluationError, match="sureness needs class probabilities"):
        metrics_for([metric], judge(labels, Prediction(labels)))


def test_logarithms_of_negative_numbers_are_refused_with_their_count() -> None:
    outcomes = Outcomes("regression", np.array([1.0, -2.0, -3.0]), np.ones(3))
    with pytest.raises(EvaluationError, match="labels of 0 or more, but 2 of 3.*row 1"):
        metrics_for(["rmsle"], outcomes)
    with pytest.raises(EvaluationError, match="labels of more than 0, but 2 of 3"):
        metrics_for(["mean_gamma_deviance"], outcomes)


@pytest.mark.parametrize("name", ["top_4_accuracy", "top_9_accuracy"])
def test_as_many_best_classes_as_there_are_mean_nothing(name: str) -> None:
    with pytest.raises(EvaluationError, match="means nothing with 4 classes"):
        metrics_for([name], many_classes(50))


@pytest.mark.parametrize("name", ["mean_pinball_loss_1.5", "top_0_accuracy"])
def test_a_number_out_of_range_names_no_metric(name: str) -> None:
    with pytest.raises(EvaluationError, match="there is no metric called"):
        metrics_for([name], many_classes(50))


def test_the_same_seed_gives_the_same_intervals() -> None:
    outcomes = two_classes(100)
    chosen = metrics_for(["f1", "log_loss", "average_precision"], outcomes)
    assert measure(outcomes, chosen, seed=4) == measure(outcomes, chosen, seed=4)


def test_a_metric_answers_to_its_other_names() -> None:
    outcomes = two_classes(100)
    values, _ = measure(outcomes, metrics_for(["auc", "f1_score"], outcomes))
    assert list(values) == ["roc_auc", "f1"]
    assert values["auc"] == values["roc_auc"]
    with pytest.raises(KeyError):
        values["recall"]


def test_a_function_is_a_metric_of_labels() -> None:
    def share_of_yes(truth: Any, predicted: Any) -> float:
        return float((predicted == "yes").mean())

    outcomes = two_classes(80)
    values, intervals = measure(outcomes, metrics_for([share_of_yes], outcomes))
    assert values["share_of_yes"] == outcomes.predicted.mean()
    assert intervals["share_of_yes"].low < values["share_of_yes"]


def test_a_metric_that_is_no_number_is_refused_by_name() -> None:
    broken = Metric("broken", ("binary",), function=lambda truth, answer: float("nan"))
    with pytest.raises(EvaluationError, match="broken of 20 rows is nan"):
        measure(two_classes(20), [broken])


def test_an_unknown_metric_lists_those_of_the_task() -> None:
    with pytest.raises(EvaluationError, match="'fscore'.*binary.*accuracy.*roc_auc"):
        metrics_for(["fscore"], two_classes(20))


@pytest.mark.parametrize("wanted", ["f1", []])
def test_metrics_are_a_list_with_something_in_it(wanted: Any) -> None:
    with pytest.raises(EvaluationError, match="takes a list of names"):
        metrics_for(wanted, two_classes(20))


def test_a_metric_without_a_name_that_can_be_kept_is_refused_before_any_work() -> None:
    with pytest.raises(EvaluationError, match="give a function with a name"):
        metrics_for([lambda truth, answer: 1.0], two_classes(20))


def test_a_metric_of_another_task_is_refused_with_some_that_fit() -> None:
    with pytest.raises(EvaluationError, match="regression tasks.*use for example acc"):
        metrics_for(["rmse"], two_classes(20))


def test_a_metric_of_scores_needs_a_model_with_probabilities() -> None:
    labels = np.array(["a", "b", "a", "b"])
    outcomes = judge(labels, Prediction(labels[::-1].copy()))
    with pytest.raises(EvaluationError, match="roc_auc needs class probabilities"):
        metrics_for(["auc"], outcomes)
    assert "roc_auc" not in [m.name for m in metrics_for(None, outcomes)]


def test_auc_of_one_class_is_refused_and_left_out_of_the_usual_metrics() -> None:
    outcomes = two_classes(50)
    only = outcomes.take(np.flatnonzero(outcomes.truth == 0))
    with pytest.raises(EvaluationError, match="of every class.*none is 'yes'"):
        metrics_for(["roc_auc"], only)
    assert "log_loss" in [m.name for m in metrics_for(None, only)]


def test_shares_of_nothing_are_zero_and_told() -> None:
    labels = np.array([0, 1, 0, 1])
    outcomes = judge(labels, Prediction(np.zeros(4, dtype=int)))
    chosen = metrics_for(["precision", "f1"], outcomes)
    values, intervals = measure(outcomes, chosen)
    assert values == {"precision": 0.0, "f1": 0.0}
    assert intervals["precision"].high > 0.9
    assert share_warnings(outcomes, chosen) == (
        "never predicted, so their precision is 0: 1",
    )


def test_r2_of_equal_labels_is_refused() -> None:
    outcomes = Outcomes("regression", np.full(9, 2.0), np.arange(9.0))
    with pytest.raises(EvaluationError, match="r2 needs labels that differ"):
        metrics_for(["r2"], outcomes)


def test_a_function_of_scikit_learn_is_the_metric_of_its_name() -> None:
    found = named_metrics([sk.mean_absolute_error, sk.brier_score_loss], "binary")
    assert found == [METRICS["mean_absolute_error"], METRICS["brier_score_loss"]]
    assert found[0].sign == -1


def test_a_function_may_not_take_the_name_of_another_metric() -> None:
    def f1(truth: object, answers: object) -> float:
        return 0.999

    for given in (f1, Metric("accuracy", ("binary",), function=f1)):
        with pytest.raises(EvaluationError, match="call yours otherwise"):
            named_metrics([given], "binary")


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("classes", [2, 3])
def test_losses_of_saturated_probabilities_are_cut_off_as_scikit_learn_does(
    kind: str, classes: int
) -> None:
    """Shares nearer to 0 than the model's type can tell, and sums that round off 1."""
    generator = np.random.default_rng(0)
    truth = generator.integers(classes, size=500)
    raw = 30 * (generator.normal(size=(500, classes)) + np.eye(classes)[truth])
    shares = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(kind)
    labels = tuple(range(classes))
    outcomes = judge(truth, Prediction(shares.argmax(axis=1), shares, labels))
    score: Any = shares[:, 1] if classes == 2 else shares.astype(np.float64)
    expected = {
        "log_loss": sk.log_loss(truth, shares),
        "d2_log_loss": sk.d2_log_loss_score(truth, shares),
        "brier_score_loss": sk.brier_score_loss(truth, shares),
        "average_precision": sk.average_precision_score(truth, score),
    }
    if kind != "float16" or classes == 2:  # else scikit-learn refuses what sums to .999
        expected["roc_auc"] = sk.roc_auc_score(truth, score, multi_class="ovr")
    found = values_of(outcomes, [*expected, "roc_auc"])
    assert 0 < found.pop("roc_auc") < 1 or "roc_auc" in expected
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)
    terms, mean = terms_of(METRICS["log_loss"])
    summed = mean(terms(outcomes).mean(axis=0)[None, :])[0]
    assert summed == pytest.approx(
        expected["log_loss"], rel=2e-3 if kind == "float16" else 1e-6
    )
    if classes == 2:
        one = judge(truth, Prediction(shares[:, 1]))
        assert values_of(one, ["log_loss"])["log_loss"] == pytest.approx(
            sk.log_loss(truth, shares[:, 1]), **EXACTLY
        )


def test_shares_that_were_rounded_are_judged_as_they_are() -> None:
    """scikit-learn refuses their area and warns of their loss."""
    generator = np.random.default_rng(1)
    truth = generator.integers(3, size=300)
    shares = generator.dirichlet(np.ones(3), size=300).round(3)
    outcomes = judge(truth, Prediction(shares.argmax(axis=1), shares, (0, 1, 2)))
    found = values_of(outcomes, ["roc_auc", "log_loss"])
    exact = shares / shares.sum(axis=1, keepdims=True)
    assert found["roc_auc"] == sk.roc_auc_score(truth, exact, multi_class="ovr")
    with pytest.warns(UserWarning, match="do not sum to one"):
        assert found["log_loss"] == sk.log_loss(truth, shares)


def test_the_hinge_loss_is_of_decision_scores() -> None:
    labels = np.arange(90) % 2
    decisions = np.linspace(-2, 2, 90) + labels
    expected = pytest.approx(sk.hinge_loss(labels, decisions), **EXACTLY)
    for exact_rows in (90, 10):
        found = evaluate_function(
            lambda rows: decisions[rows[:, 0]],
            [(part[:, None], labels[part]) for part in np.split(np.arange(90), 3)],
            ["hinge_loss"],
            exact_rows=exact_rows,
        )
        assert found.metrics["hinge_loss"] == expected, found.method
        assert found.intervals["hinge_loss"].low < found.metrics["hinge_loss"]
    with pytest.raises(EvaluationError, match="hinge_loss needs one decision score"):
        metrics_for(["hinge_loss"], two_classes(20))


def test_every_scorer_of_scikit_learn_is_here_but_those_of_clusters() -> None:
    of_clusters = "rand|mutual_info|completeness|homogeneity|fowlkes|v_measure"
    names = [n for n in sk.get_scorer_names() if not re.search(of_clusters, n)]
    assert len(names) > 40
    assert [name for name in names if named_metric(name) is None] == []


def test_names_in_capitals_are_the_same_metrics() -> None:
    for name, usual in (("F1", "f1"), ("AUC", "roc_auc"), ("RMSE", "rmse")):
        assert canonical_metric(name) == canonical_metric(usual)
    assert canonical_metric("pinball_loss_0.90") == "mean_pinball_loss_0.9"


def test_a_ratio_by_nothing_is_no_number_and_told_of_a_slice() -> None:
    truth = np.arange(60) % 2
    answers = np.where(np.arange(60) % 5 == 0, 1 - truth, truth)
    answers[:10] = truth[:10]  # no false positive
    outcomes = judge(truth, Prediction(answers))
    lr = metrics_for(["positive_likelihood_ratio"], outcomes)
    first, rest = slice_by({"half": np.arange(60) >= 10}, outcomes, lr)
    assert not first.metrics and "is nan, which is no number" in first.notes[0]
    assert rest.metrics["positive_likelihood_ratio"] > 1


def test_intervals_that_tell_little_are_told() -> None:
    X = np.arange(40.0)[:, None]
    asked = ["max_error", "latency", "mae"]
    for batches, told in (([(X, X[:, 0])], 2), ([(X, X[:, 0])] * 2, 1)):
        found = evaluate_function(lambda rows: rows[:, 0] * 0.9, batches, asked)
        assert "max_error ends at its value" in found.warnings[0]
        assert len(found.warnings) == told
    assert found.intervals["max_error"].high == found.metrics["max_error"]


@pytest.mark.parametrize(("classes", "best"), [(2, 1), (3, 1), (3, 2), (4, 2)])
def test_top_classes_of_equal_scores_are_those_of_scikit_learn_in_every_form(
    classes: int, best: int
) -> None:
    generator = np.random.default_rng(classes)
    scores = generator.integers(1, 4, size=(200, classes)).astype(float)
    scores /= scores.sum(axis=1, keepdims=True)
    labels = generator.integers(classes, size=200)
    outcomes = judge(labels, Prediction(scores.argmax(axis=1), scores))
    name = f"top_{best}_accuracy"
    given = scores[:, 1] if classes == 2 else scores
    expected = sk.top_k_accuracy_score(labels, given, k=best, labels=range(classes))
    terms, combine = terms_of(named_metric(name))
    assert values_of(outcomes, [name]) == {name: pytest.approx(expected, **EXACTLY)}
    mean = terms(outcomes).mean(axis=0)[None, :]
    assert combine(mean)[0] == pytest.approx(expected, **EXACTLY)


def test_an_order_of_labels_needs_no_probabilities() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=(60, 3))
    scores = 5 * generator.normal(size=(60, 3))
    outcomes = judge(labels, Prediction((scores > 0).astype(int), scores))
    name = "label_ranking_average_precision"
    expected = sk.label_ranking_average_precision_score(labels, scores)
    assert values_of(outcomes, [name]) == {name: pytest.approx(expected, **EXACTLY)}
