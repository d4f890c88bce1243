"""What a leaderboard ranks by, and which numbers it ranks together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation import EvaluationResult, Metric, ModelEvaluator
from brixa_flows.evaluation.leaderboard import rank
from tests.evaluation.conftest import Workshop

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def share_wrong(truth: Any, answers: Any) -> float:
    return float(np.mean(truth != answers))


def places(board: Any) -> list[str]:
    return [str(each.version) for each in board.results]


def test_a_metric_of_ones_own_ranks_by_its_own_direction(workshop: Workshop) -> None:
    evaluator = ModelEvaluator(workshop.registry)
    cost = Metric("cost", ("binary",), higher_is_better=False, function=share_wrong)
    board = evaluator.leaderboard("flowers", workshop.test, [cost], target="kind")
    costs = [each.metrics["cost"] for each in board.results]
    assert costs == sorted(costs) and len(set(costs)) == 3
    assert {each.verdict for each in board.tests.values()} <= {"worse", "inconclusive"}
    kept = evaluator.leaderboard("flowers", by="cost")
    assert places(kept) == places(board), "the direction is kept with the number"
    first, *others = (each for each in board.results)
    turned = replace(first, higher_is_better={"cost": True})
    given: Any = {each.version: [each] for each in (turned, *others)}
    with pytest.raises(EvaluationError, match="kept by some versions as better when"):
        rank("flowers", given, "cost")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"threshold": 0.1}, "positive class 'yes', threshold 0.1, not binary, pos"),
        ({"positive": "no"}, "as binary, positive class 'no', threshold the model's"),
        ({"task": "multiclass"}, "as multiclass, not binary"),
        ({"target": "sort"}, "by the label 'sort', not 'kind'"),
    ],
)
def test_without_a_dataset_only_answers_to_the_same_question_are_ranked(
    tmp_path: Any, other: dict[str, Any], why: str
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    rows = shop.test.assign(sort=shop.test["kind"].to_numpy()[::-1])
    usual = {"target": "kind"}
    for version, asked in (
        ("1.0.0", usual | other),
        ("2.0.0", usual),
        ("3.0.0", usual),
    ):
        evaluator.evaluate("flowers", version, rows, ["f1"], **asked)
    board = evaluator.leaderboard("flowers")
    assert set(places(board)) == {"2.0.0", "3.0.0"}
    assert why in board.left_out["1.0.0"]
    assert "binary, positive class 'yes', threshold the model" in board.to_markdown()
    said = evaluator.leaderboard("flowers", **(usual | other))
    assert places(said) == ["1.0.0"]
    assert evaluator.leaderboard("flowers", by="f1").conditions == board.conditions


def test_a_newer_evaluation_by_another_metric_does_not_hide_the_number(
    tmp_path: Any,
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    for metrics in (["f1", "accuracy"], ["accuracy"]):
        for version in ("2.0.0", "3.0.0"):
            evaluator.evaluate("flowers", version, shop.test, metrics, target="kind")
    assert len(evaluator.leaderboard("flowers", by="f1").results) == 2


def test_f1_of_one_class_and_of_three_are_in_one_column_of_no_leaderboard(
    tmp_path: Any,
) -> None:
    shop = Workshop(tmp_path)
    X, y = shop.test[["length", "width"]], shop.test["kind"].to_numpy().copy()
    y[:40] = "perhaps"
    shop.save("flowers", LogisticRegression().fit(X, y), X)
    evaluator = ModelEvaluator(shop.registry)
    board = evaluator.leaderboard("flowers", shop.test, ["f1"], target="kind")
    assert "4.0.0" not in places(board) and "multiclass" in board.left_out["4.0.0"]
    board = evaluator.leaderboard(
        "flowers", shop.test, ["f1"], target="kind", task="multiclass"
    )
    assert "4.0.0" in places(board) and len(board.tests) == 3
    moved = evaluator.leaderboard(
        "flowers", shop.test, ["f1"], target="kind", threshold=0.2, versions="<4"
    )
    alone: EvaluationResult = moved.results[0]
    assert alone.threshold == 0.2
    for found in moved.tests.values():
        assert found.baseline == alone.metrics["f1"], "tests are at the threshold too"


def test_rows_that_come_once_or_in_another_order_each_time_rank_nobody(
    workshop: Workshop,
) -> None:
    evaluator = ModelEvaluator(workshop.registry)
    before = _records(workshop)
    batches = [workshop.test[:200], workshop.test[200:]]
    with pytest.raises(
        EvaluationError, match="an iterator can be read once; give a lis"
    ):
        evaluator.leaderboard("flowers", iter(batches), ["f1"], target="kind")
    pairs = torch.utils.data.TensorDataset(torch.zeros(8, 2), torch.zeros(8))
    loader = torch.utils.data.DataLoader(pairs, shuffle=True)
    with pytest.raises(EvaluationError, match="shuffles them each time; make it with"):
        evaluator.leaderboard("flowers", loader, ["f1"])
    assert _records(workshop) == before

    class Turning:
        """Batches that change places."""

        def __iter__(self) -> Any:
            batches.reverse()
            return iter(list(batches))

    with pytest.raises(EvaluationError, match="came otherwise for .* different rows"):
        evaluator.leaderboard("flowers", Turning(), ["recall"], target="kind")


def _records(workshop: Workshop) -> list[int]:
    versions = ("1.0.0", "2.0.0", "3.0.0")
    return [len(workshop.registry.evaluations("flowers", each)) for each in versions]
