"""Bad rows and answers: a sentence with the column or the count, or a note; no number."""

from __future__ import annotations

import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from brixa_flows.errors import DatasetError, EvaluationError, UnansweredRowsError
from brixa_flows.evaluation import (
    Gate,
    GatePolicy,
    Metric,
    ModelEvaluator,
    evaluate_function,
)
from brixa_flows.serializers.base import Prediction

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

X, HALF = np.zeros((100, 2)), np.arange(100) % 2
SHARES = np.stack([1 - HALF * 0.8 - 0.1, HALF * 0.8 + 0.1], axis=1)


def judged(labels: Any, values: Any, scores: Any = None, classes: Any = None) -> Any:
    prediction = Prediction(np.asarray(values), scores, classes)
    return evaluate_function(lambda rows: prediction, (X, labels), name="rule")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (HALF, np.full((100, 3), 1 / 3), (0, 1)),
            "names 2 classes .0, 1., but .* 3 co",
        ),
        ((HALF, SHARES[:50], (0, 1)), r"100 predictions, but .* shape \(50, 2\)"),
        ((HALF, SHARES, (0, 0)), "gives 0 as the name of several classes"),
    ],
)
def test_probabilities_that_belong_to_other_rows_or_classes_are_refused(
    answer: Any, sentence: str
) -> None:
    with pytest.raises(EvaluationError, match=f"rule 0.0.0-unregistered: .*{sentence}"):
        judged(HALF, *answer)


def test_labels_of_several_types_and_lists_are_refused() -> None:
    mixed = np.array([1, "1"] * 50, dtype=object)
    with pytest.raises(
        EvaluationError, match="some labels are texts .such as '1'.*as 1"
    ):
        judged(mixed, HALF)
    with pytest.raises(EvaluationError, match="some predictions are texts"):
        judged(HALF, mixed)
    frame = pd.DataFrame({"a": 0.0, "kind": [["x"]] * 100})
    with pytest.raises(
        EvaluationError, match="labels hold a ndarray .the first is row 0"
    ):
        evaluate_function(lambda rows: HALF, frame, target="kind")


def test_scores_that_look_like_probabilities_and_are_none_are_told() -> None:
    scores = np.stack([1 - HALF * 0.5, HALF * 0.9], axis=1)
    assert "do not sum to 1" in judged(HALF, HALF, scores, (0, 1)).warnings[0]
    assert judged(HALF, HALF, SHARES, (0, 1)).warnings == ()
    assert judged(HALF, HALF, 5 * scores - 2, (0, 1)).warnings == (), "logits are usual"


def test_frames_of_one_index_in_two_orders_are_refused(workshop: Any) -> None:
    inputs, labels = workshop.test[["length", "width"]], workshop.test["kind"]
    evaluator = ModelEvaluator(workshop.registry)
    asked: Any = ("flowers", "2.0.0")
    shuffled = labels.sample(frac=1, random_state=0)
    with pytest.raises(DatasetError, match="same index in different orders.*y.loc"):
        evaluator.evaluate(*asked, (inputs, shuffled), ["f1"], record=False)
    fitting = evaluator.evaluate(*asked, (inputs, labels), ["f1"], record=False)
    again = (inputs.loc[shuffled.index], shuffled)
    other = evaluator.evaluate(*asked, again, ["f1"], record=False)
    assert other.metrics == fitting.metrics


def test_one_class_and_unknown_labels_are_told_wherever_numbers_are(
    workshop: Any,
) -> None:
    evaluator = ModelEvaluator(workshop.registry)
    rows = workshop.test
    only = rows[rows["kind"] == "yes"]
    with pytest.raises(
        EvaluationError, match=r"can't be chosen: all \d+ labels are 'yes'"
    ):
        evaluator.choose_threshold("flowers", "2.0.0", only, "f1", target="kind")
    strange = rows.assign(kind=["maybe", *rows["kind"][1:]])
    with pytest.raises(EvaluationError, match="not know the labels 'maybe' .1 rows"):
        evaluator.choose_threshold("flowers", "2.0.0", strange, "f1", target="kind")
    result = evaluator.evaluate(
        "flowers", "2.0.0", strange, ["f1"], target="kind", record=False
    )
    assert "'maybe' (1 rows); so there are more than two classes" in result.warnings[0]
    decision = GatePolicy([Gate("f1", min=0.1)]).decide(result)
    assert decision.allowed and result.warnings[0] in decision.to_markdown()
    assert decision.to_dict()["warnings"] == list(result.warnings)
    board = evaluator.leaderboard(
        "flowers", only, ["recall"], versions="<3", target="kind"
    )
    assert any("labels are 'yes': nothing is known" in note for note in board.notes)


def test_columns_of_one_name_are_refused_in_files_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,kind,x\n1,yes,2\n0,no,1\n")
    table = pa.table([[1.0], ["a"], ["b"]], names=["x", "kind", "kind"])
    pq.write_table(table, tmp_path / "a.parquet")
    for name, column in (("a.csv", "x"), ("a.parquet", "kind")):
        with pytest.raises(DatasetError, match=f"two columns are called '{column}'"):
            evaluate_function(lambda rows: HALF, str(tmp_path / name), target="kind")


def test_numbers_are_names_of_columns_too() -> None:
    frame = pd.DataFrame({0: HALF, 1: np.where(HALF > 0, "|", "b"), 2: 1.0})

    def rule(rows: pd.DataFrame) -> Any:
        return (rows[2] > 0).astype(int)

    records = frame.to_dict("records")
    forms: list[Any] = [frame, records, {name: frame[name] for name in frame}]
    for data, slices in zip(forms, ([1], 1, "1"), strict=True):
        found = evaluate_function(rule, data, ["accuracy"], target=0, slices=slices)
        assert [(part.column, part.value) for part in found.slices] == [
            ("1", "b"),
            ("1", "|"),
        ]
    assert found.dataset.target == "0"


def test_decimals_are_numbers() -> None:
    classes = [Decimal(int(each)) for each in HALF]
    prices = [Decimal("1.5") + each for each in classes]
    for labels, task in ((classes, "binary"), (prices, "regression")):
        answers = np.array([float(each) for each in labels])
        frame = pd.DataFrame({"x": 0.0, "y": labels})
        for data in (frame, (X, labels), (X, np.array(labels, dtype=object))):
            found = evaluate_function(lambda rows, a=answers: a, data, target="y")
            assert found.task == task, type(data)


def test_whole_numbers_beyond_those_of_a_float_are_classes_of_their_own() -> None:
    big = np.where(HALF > 0, 2**53 + 1, 2**53)
    result = judged(big, np.full(100, 2**53))
    assert (result.classes, result.positive) == ((2**53, 2**53 + 1), 2**53 + 1)
    assert result.metrics["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (lambda t, p: 1 / 0, "metric cost raised ZeroDivisionError for 100 rows: div"),
        (lambda t, p: None, "metric cost gave a NoneType; it has to give one number"),
        (lambda t, p: np.ones(3), r"cost gave a ndarray of shape \(3,\); it has to"),
        (lambda t, p: "0.5", "cost gave a str"),
        (lambda t, p: float("nan"), "cost of 100 rows is nan, which is no number"),
        (
            lambda t, p: 1 if t[0] == 0 and t[1] == 1 else 1 / 0,
            r"cost has a number for only \d+ of 500 draws of the rows",
        ),
    ],
)
def test_a_metric_of_ones_own_that_gives_no_number_is_named(
    given: Any, sentence: str
) -> None:
    cost = Metric("cost", ("binary",), function=given)
    answers = Prediction(HALF)
    with pytest.raises(EvaluationError, match=sentence):
        evaluate_function(lambda rows: answers, (X, HALF), [cost])


def test_a_metric_of_ones_own_that_few_draws_can_not_give_has_an_interval() -> None:
    rare = np.zeros(100, dtype=int)
    rare[:5] = 1

    def found_share(truth: Any, answers: Any) -> float:
        return float(answers[truth == 1].mean())  # NaN where no row is positive

    answers = Prediction(np.where(np.arange(100) < 3, 1, 0))
    with warnings.catch_warnings(action="ignore"):
        found = evaluate_function(lambda rows: answers, (X, rare), [found_share])
    low, high = found.intervals["found_share"]
    assert 0 <= low < 0.6 < high <= 1


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"metrics": "f1"}, "metrics= takes a list of names"),
        ({"metrics": 3}, "metrics= takes a list of names.*not 3"),
        ({"metrics": [3]}, "no metric called '3'"),
        ({"threshold": "0.3"}, "a threshold is between 0 and 1, not '0.3'"),
        ({"positive": 7}, "the positive label 7 is none of the classes"),
        ({"task": "regression", "positive": 1}, "positive=1 is for a binary task"),
        ({"task": "multiclass", "positive": 1}, "positive=1 is for a binary task"),
        ({"slices": ["x"]}, "no column 'x' to slice by"),
    ],
)
def test_a_question_that_is_none_is_refused(
    asked: dict[str, Any], sentence: str
) -> None:
    frame = pd.DataFrame({"a": 0.0, "y": HALF})
    scores = (
        Prediction(HALF, SHARES, (0, 1)) if "task" not in asked else Prediction(HALF)
    )
    with pytest.raises((EvaluationError, DatasetError), match=sentence):
        evaluate_function(lambda rows: scores, frame, target="y", **asked)


def test_labels_of_a_type_that_is_no_label_are_refused_in_every_form() -> None:
    for data in (pd.DataFrame({"x": 0.0, "y": HALF * 1j}), (X, HALF * 1j)):
        with pytest.raises((EvaluationError, DatasetError), match="complex128"):
            evaluate_function(lambda rows: HALF, data, target="y")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (np.zeros((100, 0)),),
            r"predictions have shape \(100, 0\), which is no answer",
        ),
        ((HALF, SHARES.astype(str), (0, 1)), "probabilities are of type <U"),
        ((HALF, SHARES, ([0], [1])), r"names a class \[0\], a list; a class is"),
    ],
)
def test_answers_that_are_none_are_refused(answer: Any, sentence: str) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        judged(HALF, *answer)


def test_texts_of_a_model_that_names_no_classes_are_summed_up() -> None:
    texts = np.where(HALF > 0, "a", "b")
    found = evaluate_function(lambda rows: texts, (X, texts), ["f1"], exact_rows=10)
    usual = evaluate_function(lambda rows: texts, (X, texts), exact_rows=10)
    assert (found.method, found.metrics["f1"]) == ("streamed", 1.0)
    assert (usual.method, usual.metrics["f1"]) == ("streamed", 1.0)


def test_labels_named_like_a_column_take_no_column_away() -> None:
    rows = pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0], "size": [1.0, 1.0, 2.0, 2.0]})
    tomorrow = rows["price"].shift(-1, fill_value=5.0)
    assert tomorrow.name == "price"
    found = evaluate_function(lambda each: each["price"] + 1, (rows, tomorrow), ["mae"])
    assert found.metrics["mae"] == 0
    seen: list[list[str]] = []

    def function(each: pd.DataFrame) -> Any:
        seen.append(list(each))
        return each["size"]

    evaluate_function(function, (rows, rows["price"]), ["mae"])
    assert seen == [["size"]], "no function is shown its labels"


def test_an_empty_batch_among_others_is_passed_over() -> None:
    rows, labels = pd.DataFrame({"a": np.arange(6.0)}), np.arange(6.0)

    def function(each: pd.DataFrame) -> Any:
        assert len(each)
        return each["a"]

    parts = [slice(0, 3), slice(3, 3), slice(3, 6)]
    found = evaluate_function(
        function, iter([(rows[each], labels[each]) for each in parts]), ["mae"]
    )
    assert (found.rows, found.metrics["mae"]) == (6, 0)


def test_what_a_function_raises_is_told_with_the_columns_and_rows() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan, 2.0], "y": [0, 1, 1]})
    with pytest.raises(
        UnansweredRowsError,
        match="rule 0.*: column 'a' is NaN or .* 1 of 3 rows .*row 1.*KeyError: 'b'",
    ):
        evaluate_function(lambda rows: rows["b"], frame, target="y", name="rule")
    batches = iter([frame, frame.assign(a=["x", None, "x"])])
    with pytest.raises(
        UnansweredRowsError, match="'a' is missing in 1 of 3 rows .*row 4.; it raised"
    ):
        evaluate_function(
            lambda rows: (
                rows["a"].fillna("").astype("float") > 1.5
                if rows["a"].dtype != float
                else rows["a"] > 1.5
            ),
            batches,
            target="y",
        )
    with pytest.raises(UnansweredRowsError, match=r"of 100 rows of shape .100, 2., it"):
        evaluate_function(lambda rows: rows.a, (X, HALF))


def test_missing_and_empty_are_two_slices() -> None:
    frame = pd.DataFrame(
        {"g": [None, "", None, "a"], "h": [np.nan, 1.0, 2.0, 2.0], "y": [0, 1, 0, 1]}
    )
    found = evaluate_function(
        lambda rows: np.array([0, 1, 0, 1]), frame, target="y", slices=["g", "h"]
    )
    assert [(part.value, part.rows) for part in found.slices] == [
        *(("", 1), ("(missing)", 2), ("a", 1)),
        *(("(missing)", 1), ("1.0", 1), ("2.0", 2)),
    ]


def test_tensors_that_numpy_does_not_take_are_read() -> None:
    inputs = torch.tensor([[0.25], [0.75]], dtype=torch.bfloat16)
    labels = torch.tensor([0, 1])

    def answer(rows: Any) -> Any:
        assert rows.dtype == np.float32
        return torch.tensor(rows[:, 0]).bfloat16().requires_grad_()

    for data in ((inputs, labels), TensorDataset(inputs, labels)):
        assert evaluate_function(answer, data, ["accuracy"]).metrics["accuracy"] == 1
    scores = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).bfloat16()
    given: Any = Prediction(labels, scores, (0, 1))  # type: ignore[arg-type]
    found = evaluate_function(lambda rows: given, (inputs, labels), ["log_loss"])
    assert found.metrics["log_loss"] == pytest.approx(-np.log(0.75))


def test_weights_beside_labels_are_refused_and_rows_are_not() -> None:
    inputs, labels = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    items = TensorDataset(inputs, labels, torch.ones(4))
    arrays = (inputs.numpy(), labels.numpy(), np.ones(4))
    for data in (DataLoader(items, batch_size=2), [arrays], arrays):
        with pytest.raises(DatasetError, match="3 parts, but only pairs.*w: .x, y"):
            evaluate_function(lambda rows: 0 * rows[:, 0], data)
    with pytest.raises(DatasetError, match="the first is a tuple of 3 parts"):
        evaluate_function(lambda rows: 0 * rows[:, 0], items)


SCORES = np.where(np.arange(100) % 7 > 0, HALF * 0.8 + 0.1, 0.55)


@pytest.mark.parametrize("exact_rows", [1_000, 10])
@pytest.mark.parametrize(
    "labels", [(-1, 1), (1, 2), ("no", "yes"), (-1.0, 1.0), ("1", "2")]
)
def test_one_score_of_two_labels_is_that_of_the_positive_one(
    labels: tuple[Any, Any], exact_rows: int
) -> None:
    def found(truth: Any, answers: Any, **asked: Any) -> Any:
        batches = [(rows[:, None], truth[rows]) for rows in np.split(np.arange(100), 5)]
        return evaluate_function(
            lambda rows: answers[rows[:, 0]],
            batches,
            ["accuracy", "f1", "auc", "log_loss"],
            exact_rows=exact_rows,
            **asked,
        )

    truth = np.array(labels)[HALF]
    usual = found(HALF, SCORES).metrics
    for positive in (labels[1], str(labels[1])):
        assert found(truth, SCORES, positive=positive).metrics == usual
    other = found(truth, SCORES, positive=labels[0])
    assert other.metrics["roc_auc"] == pytest.approx(1 - usual["roc_auc"])
    margins = found(truth, 4 * SCORES - 2, positive=labels[1])
    assert margins.metrics["roc_auc"] == usual["roc_auc"]
    assert f"called {labels[1]!r} from 0 on" in margins.warnings[0]
    for task in (None, "binary"):
        with pytest.raises(EvaluationError, match="say which .*positive=.*regression"):
            found(truth, SCORES, task=task)
    with pytest.raises(EvaluationError, match="positive label 7 is none of the cl"):
        found(truth, SCORES, positive=7)


def test_a_third_label_of_one_score_is_refused() -> None:
    third = np.where(np.arange(100) > 90, "c", np.array(["a", "b"])[HALF])
    with pytest.raises(EvaluationError, match="two labels such .* 'a', 'b', 'c' .*reg"):
        evaluate_function(lambda rows: SCORES, (X, third), ["f1"], positive="b")
    late = [(X[:90], third[:90]), (X[90:], third[90:])]
    with pytest.raises(EvaluationError, match="the labels 'a', 'b', but here is 'c'"):
        evaluate_function(
            lambda rows: SCORES[: len(rows)], late, ["f1"], positive="b", exact_rows=9
        )


def test_a_label_between_0_and_1_amid_flags_is_told() -> None:
    labels = np.where(np.arange(100) == 3, 0.5, HALF)
    found = evaluate_function(lambda rows: SCORES, (X, labels))
    assert found.task == "regression" and "for a few (0.5)" in found.warnings[0]
    shares = np.where(np.arange(100) % 4 == 3, 0.5, HALF)
    assert evaluate_function(lambda rows: SCORES, (X, shares)).warnings == ()


@pytest.mark.parametrize("exact_rows", [1_000, 10])
def test_answers_that_are_never_a_label_are_refused_or_told(exact_rows: int) -> None:
    def asked(labels: Any, answers: Any) -> Any:
        return evaluate_function(
            lambda rows: answers, (X, labels), ["accuracy"], exact_rows=exact_rows
        )

    for labels, answers in ((HALF + 10, HALF), (SIDES, np.char.upper(SIDES))):
        with pytest.raises(
            EvaluationError, match="answers .* but the labels are .*form"
        ):
            asked(labels, answers)
    found = asked(HALF + 10, np.full(100, 3))
    assert found.warnings[-1].endswith(
        "answers 3 but the labels are 10, 11: no row is right"
    )


SIDES = np.array(["left", "right"])[HALF]


@pytest.mark.parametrize("exact_rows", [1_000, 10])
def test_percentages_of_zero_are_told(exact_rows: int) -> None:
    prices = np.where(np.arange(100) % 10 == 0, 0.0, np.arange(100) + 0.5)
    found = evaluate_function(
        lambda rows: prices + 0.1, (X, prices), ["mape"], exact_rows=exact_rows
    )
    assert "10 of 100 labels are 0" in found.warnings[0]


def test_a_column_of_several_types_is_named() -> None:
    frame = pd.DataFrame({"h": [1, True, "x"], "y": [0, 1, 0]})
    with pytest.raises(
        DatasetError, match="column 'h' holds values of several types .*"
    ):
        evaluate_function(lambda rows: rows["y"], frame, target="y")


def test_a_date_in_the_place_of_a_number_is_named(workshop: Any) -> None:
    rows = workshop.test.assign(width=pd.Timestamp("2026-01-01"))
    with pytest.raises(
        UnansweredRowsError,
        match="column 'width' holds datetime64.* not float64 as in training, in 400 of",
    ):
        ModelEvaluator(workshop.registry).evaluate(
            "flowers", "2.0.0", rows, ["f1"], target="kind", record=False
        )


def test_a_column_that_arrow_does_not_know_is_named_in_every_form() -> None:
    column = HALF * 1j
    for data in ({"x": column, "y": HALF}, [{"x": 1j, "y": 0}, {"x": 2j, "y": 1}]):
        with pytest.raises(DatasetError, match="column 'x' can't be read: .* leave it"):
            evaluate_function(lambda rows: HALF, data, target="y")


def test_a_metric_of_classes_of_what_was_taken_for_numbers_says_how_to_say_so() -> None:
    seven = np.where(np.arange(100) == 3, 7, HALF)
    with pytest.raises(EvaluationError, match="regression task; .* say task='binary'"):
        evaluate_function(lambda rows: SCORES, (X, seven), ["accuracy"])
