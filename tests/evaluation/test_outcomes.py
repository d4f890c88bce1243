from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.judging import judge
from brixa_flows.serializers.base import Prediction


def test_logits_of_two_columns_are_scores_of_integer_labels() -> None:
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, -1.0]])
    outcomes = judge(np.array([0, 1, 1]), Prediction(logits))
    assert outcomes.task == "binary"
    assert outcomes.predicted.tolist() == [0, 1, 0]
    assert outcomes.probabilities is not None
    assert outcomes.probabilities.sum(axis=1) == pytest.approx(1)
    assert outcomes.probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_rows_that_sum_to_one_are_probabilities_as_they_are() -> None:
    shares = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    outcomes = judge(np.array([2, 1]), Prediction(shares))
    assert outcomes.task == "multiclass"
    assert outcomes.probabilities is not None
    assert (outcomes.probabilities == shares).all()


def test_one_column_is_the_score_of_class_one() -> None:
    within = judge(np.array([0, 1, 1]), Prediction(np.array([[0.2], [0.7], [0.4]])))
    assert within.predicted.tolist() == [0, 1, 0]
    logits = Prediction(np.array([-2.0, 3.5]))
    beyond = judge(np.array([0, 1]), logits, model_type="classification")
    assert beyond.predicted.tolist() == [0, 1]
    assert beyond.probabilities is not None
    assert beyond.probabilities[0, 1] == pytest.approx(1 / (1 + np.exp(2)))


@pytest.mark.parametrize("off", [1e-9, 1e-7])
@pytest.mark.parametrize("columns", [1, 2])
def test_probabilities_that_rounding_put_out_of_range_are_probabilities(
    off: float, columns: int
) -> None:
    ones = np.array([-off, 0.3, 0.8, 1 + off])
    scores = ones if columns == 1 else np.stack([1 - ones, ones], axis=1)
    outcomes = judge(np.array([0, 0, 1, 1]), Prediction(scores), task="binary")
    assert outcomes.predicted.tolist() == [0, 0, 1, 1]
    assert outcomes.probabilities is not None
    assert outcomes.probabilities[:, 1].tolist() == [0, 0.3, 0.8, 1]
    assert outcomes.warnings == ()


@pytest.mark.parametrize("scores", [[20.5, 70.1, 90.2], [-9.5, 7.1, 35.2]])
def test_what_was_taken_for_decision_scores_is_told(scores: list[float]) -> None:
    labels = np.array([0, 1, 1])
    judged = judge(labels, Prediction(np.array(scores)), task="binary")
    told = "taken for decision scores: a row is called 1 from 0 on"
    assert told in judged.warnings[0]
    several = Prediction(np.stack([scores, scores], axis=1))
    judged = judge(np.stack([labels, labels], axis=1), several)
    assert "taken for decision scores: a row has a label from 0 on" in (
        judged.warnings[0]
    )


def test_the_second_class_is_positive_unless_said_otherwise() -> None:
    labels = np.array(["no", "yes", "yes"], dtype=object)
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    prediction = Prediction(np.array(["no", "yes", "no"]), shares, ("no", "yes"))
    assert judge(labels, prediction).classes[1] == "yes"
    assert judge(labels, prediction).positive == 1
    assert judge(labels, prediction, positive="no").positive == 0
    with pytest.raises(EvaluationError, match="'maybe' is none of the classes"):
        judge(labels, prediction, positive="maybe")


@pytest.mark.parametrize(
    ("labels", "answers", "model_type", "task"),
    [
        ([1.5, 2.5, 3.0], [1.0, 2.0, 3.5], "", "regression"),
        ([1, 2, 3], [1.2, 2.0, 3.5], "", "regression"),
        ([1, 2, 3], [1, 2, 2], "", "multiclass"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 2.0], "house-price-regression", "regression"),
        ([0, 1, 1], [0.2, 0.8, 0.3], "", "binary"),
        ([True, False], [True, True], "", "binary"),
        (["a", "b", "c"], ["a", "b", "b"], "", "multiclass"),
    ],
)
def test_the_task_is_told_by_labels_answers_and_model_type(
    labels: list[Any], answers: list[Any], model_type: str, task: str
) -> None:
    prediction = Prediction(np.array(answers))
    assert judge(np.array(labels), prediction, model_type=model_type).task == task


def test_bool_and_float_labels_meet_integer_classes() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    prediction = Prediction(np.array([0, 1]), shares, (0, 1))
    for labels in (np.array([False, True]), np.array([0.0, 1.0])):
        outcomes = judge(labels, prediction)
        assert outcomes.truth.tolist() == [0, 1]
        assert outcomes.warnings == ()


def test_labels_the_model_does_not_know_are_counted_and_told() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    prediction = Prediction(np.array(["a", "b", "b"]), shares, ("a", "b"))
    outcomes = judge(np.array(["a", "b", "zz"]), prediction)
    assert outcomes.unseen == {"zz": 1}
    assert "'zz' (1 rows)" in outcomes.warnings[0]


def test_one_class_only_is_told() -> None:
    outcomes = judge(np.array([1, 1, 1]), Prediction(np.array([1, 0, 1])))
    assert outcomes.warnings == ("all 3 labels are 1: nothing is known of others",)
    assert outcomes.classes[outcomes.positive] == 1


def test_all_zero_labels_do_not_make_zero_the_positive_class() -> None:
    outcomes = judge(np.array([0, 0]), Prediction(np.array([0, 0])))
    assert outcomes.classes[outcomes.positive] == 1


@pytest.mark.parametrize(
    ("labels", "prediction", "sentence"),
    [
        (np.array([]), Prediction(np.array([])), "no rows"),
        (np.array([1, 2]), Prediction(np.array([1])), "2 labels but 1 predictions"),
        (
            np.array([1.5, 2.5, 0.1]),
            Prediction(np.array([1.0, np.nan, np.inf])),
            "2 of 3 predictions are NaN or infinite .the first is row 1",
        ),
        (
            np.array(["a", "b"]),
            Prediction(np.array(["a", "b"]), np.full((2, 2), np.nan), ("a", "b")),
            "2 of 2 class probabilities are NaN",
        ),
        (
            np.array(["a", None], dtype=object),
            Prediction(np.array(["a", "b"])),
            "1 of 2 rows have no label .the first is row 1",
        ),
        (np.zeros((2, 2)), Prediction(np.zeros(2)), "shape .2, 2. but the predictions"),
        (np.zeros((2, 0)), Prediction(np.zeros(2)), "labels have shape .2, 0"),
        (
            np.array([[0, 1, 2], [1, 0, 0]]),
            Prediction(np.zeros((2, 3))),
            "must hold 0 and 1 only; columns 2 don't .such as .*2",
        ),
        (
            np.array(["x", "y"]),
            Prediction(np.array([[0.1, 0.9], [0.3, 0.7]])),
            "no label of the dataset .'x', 'y'. is one that the model knows .0, 1",
        ),
        (
            np.array(["x", "y"]),
            Prediction(np.array([0, 1])),
            "answers 0, 1 but the labels are 'x', 'y'",
        ),
        (
            np.array(["x", "y"]),
            Prediction(np.array([0.25, 0.5])),
            "one score a row, and the labels are 'x', 'y': say which",
        ),
        (np.array([0, 1]), Prediction(np.zeros((2, 3, 4))), "shape .2, 3, 4."),
        (
            np.array([0, 1]),
            Prediction(np.array([1, None], dtype=object)),
            "1 of 2 predictions are missing .the first is row 1",
        ),
        (
            np.array([[0, 1], [1, np.nan]]),
            Prediction(np.zeros((2, 2))),
            "columns 1 don't .such as nan",
        ),
        (np.array([0, 1]), Prediction(np.zeros(2, complex)), "of type complex128"),
        (
            np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]"),
            Prediction(np.zeros(2)),
            "labels are of type datetime64.* neither a class nor a number",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    labels: Any, prediction: Prediction, sentence: str
) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        judge(labels, prediction)


def test_a_task_that_is_said_must_be_one() -> None:
    with pytest.raises(EvaluationError, match="no task 'ranking'; known: binary, mul"):
        judge(np.array([1]), Prediction(np.array([1])), task="ranking")  # type: ignore[arg-type]


def test_a_regression_refuses_labels_that_are_no_numbers() -> None:
    with pytest.raises(EvaluationError, match="needs numbers as labels"):
        judge(np.array(["a"]), Prediction(np.array([1.0])), task="regression")


def test_several_labels_a_row_are_told_by_their_shape() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]])
    answers = judge(labels, Prediction(labels[::-1].copy()))
    assert answers.task == "multilabel" and answers.probabilities is None
    logits = judge(
        labels, Prediction(np.array([[2.0, -1, 0], [0.1, 0, -3], [0, 1, 0]]))
    )
    assert logits.predicted.tolist() == [[1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert logits.probabilities is not None
    assert logits.probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))
    named = judge(
        labels, Prediction(labels, np.full((3, 3), 0.4), ("news", "sport", "art"))
    )
    assert named.classes == ("news", "sport", "art")
    assert (named.predicted == labels).all(), "answers win over their probabilities"


def test_one_hot_labels_of_a_softmax_are_classes() -> None:
    labels, shares = np.eye(3)[[0, 2, 1]], np.full((3, 3), 1 / 3)
    outcomes = judge(labels, Prediction(shares))
    assert outcomes.task == "multiclass" and outcomes.truth.tolist() == [0, 2, 1]
    assert "one-hot" in outcomes.warnings[0]
    assert judge(labels, Prediction(shares), task="multilabel").task == "multilabel"
    assert judge(labels, Prediction(np.full((3, 3), 0.9))).task == "multilabel"


def test_numbers_are_the_names_of_a_model_that_names_its_classes() -> None:
    """As Hugging Face: the data count the classes, the model names them."""
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    prediction = Prediction(np.array(["bad", "good"]), shares, ("bad", "good"))
    outcomes = judge(np.array([0, 1]), prediction)
    assert outcomes.truth.tolist() == outcomes.predicted.tolist() == [0, 1]
    told = "the labels are numbers of the model's classes: 0 is 'bad', 1 is 'good'"
    assert outcomes.warnings == (told,)
    with pytest.raises(EvaluationError, match="no label of the dataset .5, 6."):
        judge(np.array([5, 6]), prediction)


def test_what_the_owner_calls_a_model_never_blocks() -> None:
    """The data and the question say more than ``model_type``."""
    shares = np.linspace(0.3, 9.7, 60)
    numbers = judge(shares, Prediction(shares + 0.1), model_type="classification")
    assert numbers.task == "regression", "no label is answered, and none is whole"
    counts = np.arange(60) % 7
    numbers = judge(counts, Prediction(counts + 0.4), model_type="classification")
    assert numbers.task == "regression"
    texts = np.array(["a", "b"] * 30)
    assert judge(texts, Prediction(texts), model_type="regression").task == "binary"
    grades = np.array([0.5, 1.0] * 30)
    assert judge(grades, Prediction(grades), model_type="classification").classifies


def test_a_task_that_only_the_numbers_tell_is_told() -> None:
    many = np.arange(200)
    assert "taken for numbers" in judge(many, Prediction(many)).warnings[0]
    few = np.arange(200) % 5
    assert "taken for classes" in judge(few, Prediction(few)).warnings[0]
    assert judge(many, Prediction(many), task="regression").warnings == ()
    assert judge(few, Prediction(few), model_type="classification").warnings == ()
    assert judge(few % 2, Prediction(few % 2)).warnings == ()
    assert judge(many + 0.5, Prediction(many)).warnings == ()
