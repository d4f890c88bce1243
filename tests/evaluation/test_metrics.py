from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.measuring import measure, share_warnings
from brixa_flows.evaluation.metrics import METRICS, Metric, metrics_for
from brixa_flows.evaluation.outcomes import Outcomes, judge
from brixa_flows.serializers.base import Prediction
from tests.evaluation.outcome_makers import many_classes, numbers, two_classes

EXACTLY = {"rel": 1e-12, "abs": 1e-12}


def values_of(outcomes: Outcomes, names: list[str]) -> dict[str, float]:
    return measure(outcomes, metrics_for(names, outcomes))[0]


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
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


def test_multiclass_numbers_are_those_of_scikit_learn_with_macro_averages() -> None:
    outcomes = many_classes(300)
    truth, predicted = outcomes.truth, outcomes.predicted
    expected = {
        "precision": sk.precision_score(truth, predicted, average="macro"),
        "recall": sk.recall_score(truth, predicted, average="macro"),
        "f1": sk.f1_score(truth, predicted, average="macro"),
        "f1_micro": sk.f1_score(truth, predicted, average="micro"),
        "f1_weighted": sk.f1_score(truth, predicted, average="weighted"),
        "roc_auc": sk.roc_auc_score(truth, outcomes.probabilities, multi_class="ovr"),
        "log_loss": sk.log_loss(truth, outcomes.probabilities),
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


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
    }
    assert values_of(outcomes, list(expected)) == pytest.approx(expected, **EXACTLY)


@pytest.mark.parametrize("make", [two_classes, many_classes, numbers])
def test_every_metric_of_a_task_has_an_interval_around_its_value(make: Any) -> None:
    outcomes = make(150)
    names = [name for name, m in METRICS.items() if outcomes.task in m.tasks]
    values, intervals = measure(outcomes, metrics_for(names, outcomes))
    for name in names:
        low, high = intervals[name]
        assert low < values[name] < high, name


def test_the_same_seed_gives_the_same_intervals() -> None:
    outcomes = two_classes(100)
    chosen = metrics_for(["f1", "log_loss", "average_precision"], outcomes)
    assert measure(outcomes, chosen, seed=4) == measure(outcomes, chosen, seed=4)


def test_a_metric_answers_to_its_other_names() -> None:
    values = values_of(two_classes(100), ["auc", "f1_score"])
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
