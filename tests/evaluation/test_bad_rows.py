"""Bad rows and answers: a sentence with the column or the count, or a note; no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from brixa_flows.errors import DatasetError, EvaluationError
from brixa_flows.evaluation import (
    Gate,
    GatePolicy,
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
