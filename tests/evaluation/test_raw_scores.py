"""Scores that are no probabilities: their order is kept, however far they are from 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation import EvaluationResult, ModelEvaluator
from brixa_flows.evaluation.functions import evaluate_function
from brixa_flows.evaluation.judging import judge
from brixa_flows.evaluation.ranking import area_difference
from brixa_flows.evaluation.thresholds import at_threshold, choose
from brixa_flows.serializers.base import Prediction
from tests.evaluation.conftest import Workshop, flowers

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

SIZE = 4000
RANKED = ["roc_auc", "average_precision"]
Floats = NDArray[np.float64]


def _margins(scale: float) -> tuple[pd.DataFrame, Floats, NDArray[Any]]:
    """Rows, their margin and label; with a large scale a sigmoid is 0 or 1 for most."""
    random = np.random.default_rng(7)
    margin = scale * random.normal(size=SIZE)
    labels = (margin / scale + random.normal(size=SIZE) > 0).astype(int)
    return pd.DataFrame({"m": margin, "y": labels}), margin, labels


def _judged(
    frame: pd.DataFrame, answer: Callable[[Any], Any], metrics: list[str], rows: int
) -> EvaluationResult:
    batches = [frame[start : start + 500] for start in range(0, len(frame), 500)]
    return evaluate_function(answer, batches, metrics, target="y", exact_rows=rows)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e6])
@pytest.mark.parametrize("columns", [1, 2])
def test_two_classes_are_ranked_by_their_margin(scale: float, columns: int) -> None:
    frame, margin, labels = _margins(scale)
    truth = (roc_auc_score(labels, margin), average_precision_score(labels, margin))

    def answer(rows: Any) -> Any:
        score = rows["m"].to_numpy()
        return score if columns == 1 else np.stack([-score / 2, score / 2], axis=1)

    exact = _judged(frame, answer, RANKED, SIZE)
    assert [exact.metrics[name] for name in RANKED] == pytest.approx(truth, abs=1e-12)
    summed = _judged(frame, answer, RANKED, 400)
    for name, value in zip(RANKED, truth, strict=True):
        assert summed.metrics[name] == pytest.approx(value, abs=1e-4)
        assert abs(summed.metrics[name] - value) <= summed.bounds[name] + 1e-12


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_each_of_many_classes_is_ranked_by_its_logit_over_the_others(
    scale: float,
) -> None:
    random = np.random.default_rng(3)
    near = random.normal(size=(SIZE, 3))
    labels = (near + random.gumbel(size=near.shape)).argmax(axis=1)
    frame = pd.DataFrame({"a": near[:, 0], "b": near[:, 1], "c": near[:, 2]})
    names = [*RANKED, "roc_auc_ovo", "roc_auc_ovr_weighted", "top_2_accuracy"]

    def judged(rows: int, times: float) -> dict[str, float]:
        found = _judged(
            frame.assign(y=labels),
            lambda each: times * each[["a", "b", "c"]].to_numpy(),
            names,
            rows,
        )
        return dict(found.metrics)

    exact = judged(SIZE, scale)
    if scale == 1.0:
        shares = softmax(near, axis=1)
        for name, kind, average in (
            ("roc_auc", "ovr", "macro"),
            ("roc_auc_ovo", "ovo", "macro"),
            ("roc_auc_ovr_weighted", "ovr", "weighted"),
        ):
            truth = roc_auc_score(labels, shares, multi_class=kind, average=average)
            assert exact[name] == pytest.approx(truth, abs=1e-12)
        truth = average_precision_score(labels, shares, average="macro")
        assert exact["average_precision"] == pytest.approx(truth, abs=1e-12)
    else:  # a softmax of these is 1 for one class: what is left is the largest of two
        far = scale * near
        others = [np.delete(far, code, axis=1).max(axis=1) for code in range(3)]
        ahead = far - np.stack(others, axis=1)
        areas = [roc_auc_score(labels == code, ahead[:, code]) for code in range(3)]
        assert exact["roc_auc"] == pytest.approx(np.mean(areas), abs=1e-6)
    for name, value in judged(400, scale).items():
        assert value == pytest.approx(exact[name], abs=1e-3)


def test_several_labels_are_ranked_by_their_scores() -> None:
    frame, margin, labels = _margins(100.0)
    data = frame.assign(z=1 - labels)
    truth = [roc_auc_score(labels, margin), roc_auc_score(1 - labels, -margin)]
    for rows, near in ((SIZE, 1e-12), (400, 1e-4)):
        found = evaluate_function(
            lambda each: np.stack([each["m"], -each["m"]], axis=1),
            [data[:2000], data[2000:]],
            ["roc_auc", "f1"],
            target=["y", "z"],
            exact_rows=rows,
        )
        assert found.metrics["roc_auc"] == pytest.approx(np.mean(truth), abs=near)


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, SIZE])
def test_losses_are_those_of_the_softmax(columns: int, rows: int) -> None:
    names = ["log_loss", "d2_log_loss_score"]
    for scale in (3.0, 300.0):  # of which a probability is 0, and the loss is not
        frame, margin, labels = _margins(scale)

        def answer(each: Any, columns: int = columns) -> Any:
            score = each["m"].to_numpy()
            logits = np.stack([0 * score, score, 0 * score - 3], axis=1)
            return score if columns == 1 else logits[:, :columns]

        logits = answer(frame, max(columns, 2))
        losses = -log_softmax(logits, axis=1)[np.arange(SIZE), labels]
        found = _judged(frame, answer, names, rows)
        assert found.metrics["log_loss"] == pytest.approx(losses.mean(), rel=1e-12)
        if scale == 3.0:
            truth = log_loss(
                labels, softmax(logits, axis=1), labels=range(len(logits[0]))
            )
            assert found.metrics["log_loss"] == pytest.approx(truth, abs=1e-12)
        share = labels.mean()
        guess = -(share * np.log(share) + (1 - share) * np.log(1 - share))
        explained = 1 - losses.mean() / guess
        assert found.metrics["d2_log_loss_score"] == pytest.approx(explained, rel=1e-9)
        low, high = found.intervals["log_loss"]
        assert low < losses.mean() < high


def test_two_models_are_compared_by_their_margins() -> None:
    _, margin, labels = _margins(1e5)
    random = np.random.default_rng(1)
    worse = margin + 1e5 * random.normal(size=SIZE)
    both = [judge(labels, Prediction(each), task="binary") for each in (margin, worse)]
    difference, (low, high), _ = area_difference(both)
    truth = roc_auc_score(labels, worse) - roc_auc_score(labels, margin)
    assert difference == pytest.approx(truth, abs=1e-12)
    assert low < difference < high


def test_a_threshold_of_decision_scores_is_one_of_them() -> None:
    percent = np.array([10.5, 40.0, 60.0, 70.0, 90.0, 95.0])
    labels = np.array([0, 0, 0, 1, 1, 1])
    outcomes = judge(labels, Prediction(percent), task="binary")
    choice = choose(outcomes, "f1")
    assert (choice.threshold, choice.metrics["f1"]) == (70.0, 1.0)
    assert choice.unit == "decision score"
    cut = at_threshold(outcomes, 70)
    assert cut.predicted.tolist() == labels.tolist()
    assert "the threshold 70 is one of the model's decision scores" in cut.warnings[-1]
    assert at_threshold(outcomes, -1e9).predicted.all()
    frame, margin, labels = _margins(2.0)
    streamed = evaluate_function(
        lambda each: each["m"].to_numpy(),
        [frame[:2000], frame[2000:]],
        ["f1"],
        target="y",
        threshold=0.5,
        exact_rows=400,
    )
    assert streamed.metrics["f1"] == pytest.approx(f1_score(labels, margin >= 0.5))
    assert "the threshold 0.5 is one of" in streamed.warnings[-1]


def test_scores_that_are_nearly_all_probabilities_are_told() -> None:
    score = np.linspace(0.1, 0.9, 9)
    labels = (score > 0.5).astype(int)
    wild = np.where(np.arange(9) == 3, -0.25, score)
    judged = judge(labels, Prediction(wild), task="binary")
    assert "1 of 9 scores, such as -0.25, are not between" in judged.warnings[0]
    both = np.stack([1 - wild, wild], axis=1)
    judged = judge(labels, Prediction(both))
    assert "sum to 1 in 9 of 9 rows, but 2 of 18 scores" in judged.warnings[0]
    logits = judge(labels, Prediction(np.log(np.stack([1 - score, score], axis=1))))
    assert logits.warnings == ()


@pytest.fixture(scope="module")
def deciders(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Classifiers of two and three classes that know no probabilities."""
    shop = Workshop(tmp_path_factory.mktemp("deciders"))
    X, kind = flowers(600, seed=1)[["length", "width"]], flowers(600, seed=1)["kind"]
    three = np.digitize(X["length"] + X["width"], [-0.7, 0.7])
    shop.save("two", LinearSVC().fit(X, kind), X)
    shop.save("three", RidgeClassifier().fit(X, three), X)
    return shop


@pytest.mark.parametrize("rows", [1000, 100])
def test_a_classifier_without_probabilities_is_ranked_by_its_decisions(
    deciders: Workshop, rows: int
) -> None:
    evaluator = ModelEvaluator(deciders.registry, exact_rows=rows)
    test = flowers(400, seed=2)
    X = test[["length", "width"]]
    batches = [test[:200], test[200:]]
    result = evaluator.evaluate("two", "1.0.0", batches, target="kind", record=False)
    model = deciders.registry.load_model("two", "1.0.0", trust="code")
    margin, hit = model.decision_function(X), test["kind"] == model.classes_[1]
    truth = [roc_auc_score(hit, margin), average_precision_score(hit, margin)]
    near = 1e-12 if rows > len(test) else 3e-3
    assert [result.metrics[name] for name in RANKED] == pytest.approx(truth, abs=near)
    assert "log_loss" not in result.metrics
    assert {"roc", "precision_recall"} == result.curves.keys()
    with pytest.raises(
        EvaluationError, match="gives decision scores only; use .*roc_auc"
    ):
        evaluator.evaluate("two", "1.0.0", batches, ["log_loss"], target="kind")
    choice = evaluator.choose_threshold("two", "1.0.0", test, "f1", target="kind")
    assert choice.threshold in margin
    three = test.assign(kind=np.digitize(X["length"] + X["width"], [-0.7, 0.7]))
    result = evaluator.evaluate(
        "three", "1.0.0", three, RANKED, target="kind", record=False
    )
    margins = deciders.registry.load_model("three", trust="code").decision_function(X)
    areas = [roc_auc_score(three["kind"] == c, margins[:, c]) for c in range(3)]
    precision = average_precision_score(three["kind"], margins, average="macro")
    truth = [np.mean(areas), precision]
    assert [result.metrics[name] for name in RANKED] == pytest.approx(truth, abs=near)


def test_a_threshold_is_not_of_two_units(deciders: Workshop) -> None:
    test = flowers(400, seed=2)
    X = test[["length", "width"]]
    deciders.save("two", LogisticRegression().fit(X, test["kind"]), X)
    evaluator = ModelEvaluator(deciders.registry)
    question = {"target": "kind", "metrics": ["f1"], "threshold": 0.4}
    with pytest.raises(
        EvaluationError, match="0.4 would be a probability of one model"
    ):
        evaluator.compare("two", "1.0.0", "2.0.0", test, **question)
    board = evaluator.leaderboard("two", test, **question)
    assert any("0.4 would be a probability" in why for why in board.untested)
    assert any("the threshold 0.4 is one of the model's" in why for why in board.notes)
    found = evaluator.compare("two", "1.0.0", "2.0.0", test, ["auc"], target="kind")
    assert found.metrics["auc"].test == "DeLong test"
    with pytest.raises(EvaluationError, match="two 1.0.0: log_loss needs class proba"):
        evaluator.compare("two", "1.0.0", "2.0.0", test, ["log_loss"], target="kind")


def test_decisions_of_pairs_of_classes_rank_no_class(deciders: Workshop) -> None:
    test = flowers(300, seed=3)
    X = test[["length", "width"]]
    three = np.digitize(
        X["length"] + X["width"], [-0.7, 0.7]
    )  # as many pairs as classes
    paired = make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo"))
    deciders.save("paired", paired.fit(X, three), X)
    evaluator = ModelEvaluator(deciders.registry)
    with pytest.raises(EvaluationError, match="but the model gives labels only"):
        evaluator.evaluate("paired", "1.0.0", (X, three), ["roc_auc"])


def test_two_labels_a_row_are_ranked_by_their_decisions(deciders: Workshop) -> None:
    test = flowers(300, seed=3)
    X = test[["length", "width"]]
    several = (X.to_numpy() + flowers(300, seed=4)[["length", "width"]] > 0).to_numpy()
    model = OneVsRestClassifier(LinearSVC()).fit(X, several.astype(int))
    deciders.save("several", model, X)
    evaluator = ModelEvaluator(deciders.registry)
    found = evaluator.evaluate("several", "1.0.0", (X, several.astype(int)), RANKED)
    truth = roc_auc_score(several, model.decision_function(X))
    assert found.metrics["roc_auc"] == pytest.approx(truth, abs=1e-12)


def test_points_of_a_rule_are_scores_where_two_labels_are_said() -> None:
    frame, margin, labels = _margins(20.0)
    names = np.where(labels == 1, "late", "on time")
    truth = roc_auc_score(labels, margin.round())

    def points(rows: Any) -> Any:
        return rows["m"].round().astype(int)

    for said, each in (({"task": "binary"}, labels), ({"positive": "late"}, names)):
        data = frame.assign(y=each)
        found = evaluate_function(points, data, ["auc"], target="y", **said)
        assert found.metrics["auc"] == pytest.approx(truth, abs=1e-12)
        assert "taken for decision scores" in found.warnings[0]
    with pytest.raises(EvaluationError, match="or task='binary' if its answers are sc"):
        evaluate_function(points, frame, ["auc"], target="y")
