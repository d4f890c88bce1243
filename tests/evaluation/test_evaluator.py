from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from brixa_flows.errors import DatasetError, EvaluationError, VersionNotFoundError
from brixa_flows.evaluation import (
    EvaluationResult,
    Gate,
    GatePolicy,
    ModelEvaluator,
    evaluate_function,
    render_comparison_html,
    render_leaderboard_html,
)
from brixa_flows.evaluation._sklearn import curves
from brixa_flows.evaluation.pictures import pictures_of
from brixa_flows.registry import ModelRegistry
from tests.evaluation.conftest import Workshop
from tests.evaluation.outcome_makers import many_classes, two_classes

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

SPEC_METRICS = ["accuracy", "precision", "recall", "f1"]


@pytest.fixture
def evaluator(workshop: Any) -> ModelEvaluator:
    return ModelEvaluator(workshop.registry)


def test_the_four_metrics_of_the_spec_are_scikit_learns(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    result = evaluator.evaluate(
        model_name="flowers",
        version="2.0.0",
        dataset=workshop.test,
        metrics=SPEC_METRICS,
        record=False,
    )
    assert list(result.metrics) == SPEC_METRICS
    model = workshop.registry.load_model("flowers", "2.0.0")
    answers = model.predict(workshop.test[["length", "width"]])
    truth = workshop.test["kind"]
    assert result.metrics["f1"] == sk.f1_score(truth, answers, pos_label="yes")
    assert result.metrics["accuracy"] == sk.accuracy_score(truth, answers)
    assert (result.task, result.positive, result.rows) == ("binary", "yes", 400)
    assert str(result.version) == "2.0.0"
    assert np.array(result.confusion).sum() == 400


def test_what_was_found_is_kept_with_the_version(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    registry = workshop.registry
    data = workshop.test.assign(size=np.where(workshop.test["length"] > 1, "L", "S"))
    result = evaluator.evaluate("flowers", "3.0.0", data, slices=["size"])
    stored = registry.evaluations("flowers", "3.0.0")[-1]
    assert EvaluationResult.from_dict(stored) == result
    known = registry.get_metadata("flowers", "3.0.0").metrics
    assert known["roc_auc"] == result.metrics["auc"]


def test_a_stored_evaluation_of_a_newer_protocol_is_refused() -> None:
    with pytest.raises(EvaluationError, match="of protocol 99; this release reads 1"):
        EvaluationResult.from_dict({"protocol": 99})


def test_reports_are_of_the_last_stored_evaluation(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    data = workshop.test.drop(columns="length")
    evaluator.evaluate("flowers", "1.0.0", data.head(50), ["accuracy"])
    last = evaluator.evaluate("flowers", "1.0.0", data, slices=["kind"], target="kind")
    reports = {
        form: evaluator.generate_report("flowers", "1.0.0", form)
        for form in ("markdown", "html", "json", "junit")
    }
    assert "# flowers 1.0.0: evaluation" in reports["markdown"]
    assert f"| f1 | {last.metrics['f1']:.4f} |" in reports["markdown"]
    assert json.loads(reports["json"])["dataset"]["rows"] == 400
    suite = ElementTree.fromstring(reports["junit"].split("\n", 1)[1])
    assert [case.get("name") for case in suite.iter("testcase")] == list(last.metrics)
    assert reports["html"].count("data:image/png;base64,") == 6
    assert "http://" not in reports["html"] and "https://" not in reports["html"]


def test_a_label_with_dollars_is_drawn_and_no_formula(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    data = workshop.test.assign(price=r"$\frac$")
    result = evaluator.evaluate(
        "flowers", "1.0.0", data, ["f1"], slices=["price"], record=False, target="kind"
    )
    facts = {**result.to_dict(), "classes": [r"$\frac$", "yes"]}
    assert len(pictures_of(EvaluationResult.from_dict(facts))) == 6


def test_a_report_is_generated_by_another_process(workshop: Any) -> None:
    """The result lies in storage; the MLflow of that process knows nothing of it."""
    ModelEvaluator(workshop.registry).evaluate(
        "widths", "1.0.0", workshop.test, target="width"
    )
    script = Path(__file__).with_name("report_process.py")
    done = subprocess.run(
        [sys.executable, str(script), str(workshop.root), "widths", "1.0.0"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "# widths 1.0.0: evaluation" in done.stdout
    assert "root_mean_squared_error" in done.stdout


def test_a_regression_has_residuals_and_its_own_metrics(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    result = evaluator.evaluate(
        "widths", None, workshop.test[["length", "width"]], record=False
    )
    assert result.task == "regression"
    assert list(result.metrics)[0] == "mean_absolute_error"
    assert result.dataset.target == "width"
    assert len(result.curves["residuals"]) == 400


def test_curves_lie_on_those_of_scikit_learn() -> None:
    outcomes = two_classes(3_000)
    assert outcomes.probabilities is not None
    hits, score = outcomes.truth == 1, outcomes.probabilities[:, 1]
    found = curves(outcomes)
    theirs = {
        "roc": sk.roc_curve(hits, score, drop_intermediate=False)[:2],
        "precision_recall": sk.precision_recall_curve(hits, score)[1::-1],
    }
    for name, (x, y) in theirs.items():
        exact = {
            (round(float(a), 5), round(float(b), 5)) for a, b in zip(x, y, strict=True)
        }
        assert {tuple(point) for point in found[name]} <= exact
        assert 150 < len(found[name]) <= 201


def test_slices_have_support_and_intervals_or_say_why_not(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    data = workshop.test.assign(size=np.where(workshop.test["length"] > 1, "L", "S"))
    result = evaluator.evaluate(
        "flowers", "2.0.0", data, ["f1", "auc"], target="kind", slices=["size", "kind"],
        record=False,
    )  # fmt: skip
    by_name = {(part.column, part.value): part for part in result.slices}
    assert sum(by_name["size", value].rows for value in "LS") == 400
    low, high = by_name["size", "L"].intervals["f1"]
    assert low < by_name["size", "L"].metrics["f1"] < high
    assert "auc" not in by_name["kind", "no"].metrics
    assert "roc_auc needs rows of every class" in by_name["kind", "no"].notes[0]


def test_too_many_slices_are_refused(evaluator: ModelEvaluator, workshop: Any) -> None:
    with pytest.raises(EvaluationError, match="'length' has 400 different values"):
        evaluator.evaluate("flowers", "2.0.0", workshop.test, slices=["length"])


def test_production_is_compared_on_the_same_rows_and_a_gate_decides(
    workshop: Any, tmp_path: Path
) -> None:
    shop = type(workshop)(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    policy = GatePolicy([Gate("auc", not_worse_than="production", margin=0.02)])
    first = evaluator.evaluate(
        "flowers", "1.0.0", shop.test, target="kind", record=False
    )
    assert policy.decide(first).allowed
    shop.registry.transition(
        "flowers", "1.0.0", "production", actor="ada", reason="first"
    )
    second = evaluator.evaluate("flowers", "2.0.0", shop.test, record=False)
    assert second.production == "1.0.0"
    assert not policy.decide(second).allowed
    comparison = evaluator.compare(
        "flowers", "production", "2.0.0", shop.test, ["auc", "accuracy"]
    )
    assert comparison.metrics["auc"].verdict == "better"
    assert comparison.metrics["accuracy"].test == "exact McNemar test"
    assert comparison.dataset.digest == second.dataset_digest
    assert policy.decide(second, comparison).allowed
    page = render_comparison_html(comparison)
    assert "<td>better</td>" in page and page.count("data:image/png;base64,") == 1
    assert "http://" not in page and "https://" not in page
    worse = evaluator.compare("flowers", "2.0.0", "1.0.0", shop.test, ["auc"])
    assert worse.metrics["auc"].verdict == "worse"

    sizes = np.where(np.arange(len(shop.test)) < 20, "few", "many")
    rows = shop.test.assign(size=sizes)
    each = evaluator.compare(
        "flowers", "production", "2.0.0", rows, ["auc"], slices=["size"]
    )
    assert [(part.value, part.rows) for part in each.slices] == [
        ("few", 20), ("many", 380),
    ]  # fmt: skip
    assert each.metrics["auc"].interval == comparison.metrics["auc"].interval
    gate = Gate("auc", better_than="production", slice="size")
    [outcome] = GatePolicy([gate]).decide(second, each).gates
    assert not outcome.passed and "was compared on the rows" in outcome.sentence
    same = evaluator.evaluate("flowers", "2.0.0", rows, target="kind", record=False)
    [outcome] = GatePolicy([gate]).decide(same, each).gates
    assert outcome.passed and "not judged: 'few' (20)" in outcome.sentence
    assert "where it is 'many' (380 rows)" in outcome.sentence
    page = render_comparison_html(each)
    assert "<td>many</td><td>380</td>" in page
    assert 'alt="gain of 2.0.0 against 1.0.0 in roc_auc by slice"' in page
    with pytest.raises(DatasetError, match="no column 'size' to slice by.*length"):
        evaluator.compare("flowers", "1.0.0", "2.0.0", shop.test, slices=["size"])


def test_versions_of_different_tasks_are_not_compared(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    with pytest.raises(EvaluationError, match="flowers 2.0.0: a regression needs"):
        evaluator.compare("flowers", "1.0.0", "2.0.0", workshop.test, task="regression")


def test_the_same_rows_in_another_order_of_batches_give_the_same_numbers(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    whole = evaluator.evaluate("flowers", "2.0.0", workshop.test, record=False)
    parts = [workshop.test.iloc[:150], workshop.test.iloc[150:]]
    batched = evaluator.evaluate("flowers", "2.0.0", iter(parts), record=False)
    assert batched.metrics == whole.metrics
    assert batched.dataset.digest == whole.dataset.digest


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (lambda data: data.head(0), DatasetError, "has no rows"),
        (lambda data: data.drop(columns="kind"), DatasetError, "say target="),
        (lambda data: data.drop(columns="width"), DatasetError, "lacks columns.*'width'"),
        (lambda data: data.assign(more=1), DatasetError, "kind, more"),
        (lambda data: None, EvaluationError, "there is no dataset"),
        (lambda data: (data[["length", "width"]], data["kind"][:-1]), DatasetError,
         "400.*399"),
        (lambda data: data.assign(kind=data["kind"].str.upper()), EvaluationError,
         "flowers 2.0.0: no label .*'NO'.*knows .'no', 'yes'"),
    ],
)  # fmt: skip
def test_bad_data_is_refused_in_a_sentence(
    evaluator: ModelEvaluator,
    workshop: Any,
    change: Any,
    kind: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(kind, match=sentence):
        evaluator.evaluate("flowers", "2.0.0", change(workshop.test), record=False)


def test_an_unknown_metric_lists_the_known(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    with pytest.raises(EvaluationError, match="no metric called 'fi'.*accuracy"):
        evaluator.evaluate("flowers", "2.0.0", workshop.test, ["fi"], record=False)


def test_a_version_never_evaluated_has_no_report(workshop: Any, tmp_path: Path) -> None:
    shop = type(workshop)(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    with pytest.raises(EvaluationError, match="widths 1.0.0 was never evaluated"):
        evaluator.generate_report("widths", "1.0.0")


def test_an_unknown_report_format_lists_the_known(evaluator: ModelEvaluator) -> None:
    with pytest.raises(EvaluationError, match="'pdf'; known: markdown, html, json"):
        evaluator.generate_report("flowers", "1.0.0", "pdf")


def test_the_network_of_the_spec_is_judged_on_integer_labels(workshop: Any) -> None:
    import torch

    class SimpleModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(10, 2)

        def forward(self, x: Any) -> Any:
            return self.linear(x)

    registry = workshop.registry
    metadata = registry.register_model(
        name="sentiment-analysis",
        model_type="text-classification",
        framework="pytorch",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SimpleModel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.save_model(metadata.name, metadata.version, model)
        inputs = torch.randn(60, 10, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(60) % 2
        pairs = torch.utils.data.TensorDataset(inputs, labels)
        loader = torch.utils.data.DataLoader(pairs, batch_size=16)
        results = [
            ModelEvaluator(registry).evaluate(
                model_name="sentiment-analysis",
                version="1.0.0",
                dataset=dataset,
                metrics=[*SPEC_METRICS, "auc"],
                record=False,
            )
            for dataset in (pairs, loader, (inputs, labels))
        ]
    answers = model(inputs).argmax(dim=1)
    assert results[0].metrics["accuracy"] == int((answers == labels).sum()) / 60
    assert results[0].metrics == results[1].metrics == results[2].metrics
    assert len({result.dataset_digest for result in results}) == 1


def test_what_was_found_before_is_not_computed_twice_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    first = evaluator.evaluate(
        "flowers", "2.0.0", shop.test, ["f1", "auc"], dataset_name="may"
    )
    arrow = pa.Table.from_pandas(shop.test)
    for asked in (["f1", "auc"], ["f1_score", "roc_auc"]):
        again = evaluator.evaluate("flowers", "2.0.0", arrow, asked, dataset_name="may")
        assert again.evaluated_at == first.evaluated_at
    assert len(shop.registry.evaluations("flowers", "2.0.0")) == 1
    june = evaluator.evaluate(
        "flowers", "2.0.0", arrow, ["f1", "auc"], dataset_name="june"
    )
    assert june.evaluated_at == first.evaluated_at and june.dataset.name == "june"
    assert evaluator.last_result("flowers", "2.0.0").dataset.name == "june"
    others = (
        {"metrics": ["f1"]},
        {"slices": ["kind"], "target": "kind"},
        {"dataset": shop.test.head(300)},
        {"version": "3.0.0"},
        {"threshold": 0.3},
        {"positive": "no"},
        {"again": True},
        {"answers": lambda rows: np.full(len(rows), "no")},
    )
    common = {
        "version": "2.0.0",
        "dataset": shop.test,
        "metrics": ["f1", "auc"],
        "record": False,
    }
    for other in others:
        given = {**common, **other}
        if "answers" in other:
            given["metrics"] = ["f1"]
        found = evaluator.evaluate("flowers", **given)
        assert found.evaluated_at > first.evaluated_at, other
    code = [lambda_free_metric]
    one = evaluator.evaluate("flowers", "2.0.0", shop.test, code)
    two = evaluator.evaluate("flowers", "2.0.0", shop.test, code)
    assert two.evaluated_at > one.evaluated_at, "code may have changed"
    monkeypatch.setattr("brixa_flows.evaluation.question._RULES", 99)
    new = evaluator.evaluate("flowers", **common)
    assert new.evaluated_at > first.evaluated_at, "numbers may be others by now"


def lambda_free_metric(truth: Any, answers: Any) -> float:
    return float((truth == answers).mean())


def test_what_was_known_is_the_last_report_again_and_names_todays_production(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    first = evaluator.evaluate("flowers", "2.0.0", shop.test, ["f1"])
    evaluator.evaluate("flowers", "2.0.0", shop.test.head(50), ["f1"])
    shop.registry.transition("flowers", "1.0.0", "production", reason="x", actor="ada")
    again = evaluator.evaluate("flowers", "2.0.0", shop.test, ["f1"])
    assert (first.production, again.production) == (None, "1.0.0")
    assert evaluator.last_result("flowers", "2.0.0") == again


@pytest.mark.parametrize("harm", ["record", "seal"])
def test_a_relative_gate_stays_shut_while_production_is_damaged(
    tmp_path: Path, harm: str
) -> None:
    shop = Workshop(tmp_path)
    shop.registry.transition("flowers", "1.0.0", "production", reason="x", actor="ada")
    journal = next(tmp_path.rglob("flowers/_journal"))
    lost = {"record": "changes/00000001.json", "seal": "seals/1.0.0.json"}[harm]
    (journal / lost).unlink()
    again = ModelRegistry(shop.registry.storage, tracking=shop.registry.tracking)
    evaluator = ModelEvaluator(again)
    result = evaluator.evaluate("flowers", "2.0.0", shop.test, ["auc"])
    gate = Gate("auc", not_worse_than="production", margin=1.0)
    [told] = GatePolicy([gate, Gate("auc", min=0.5)]).decide(result).reasons
    if harm == "record":
        assert "00000001.json can't be read" in told
        assert "In production at that time: unknown" in evaluator.generate_report(
            "flowers", "2.0.0"
        )
        with pytest.raises(VersionNotFoundError, match="nobody knows"):
            again.production_version("flowers")
    else:
        assert "not compared with 1.0.0, which is in production" in told
        assert str(again.production_version("flowers")) == "1.0.0"
    assert evaluator.last_result("flowers", "2.0.0") == result


def test_json_that_others_recorded_of_a_version_is_in_nobodys_way(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    own = {"metrics": {"f1": 0.81}, "by": "a script of ours"}  # of docs/registry.md
    shop.registry.record_evaluation("flowers", "2.0.0", own)
    with pytest.raises(EvaluationError, match="2.0.0 was never evaluated"):
        evaluator.last_result("flowers", "2.0.0")
    found = evaluator.evaluate("flowers", "2.0.0", shop.test, ["f1"])
    shop.registry.record_evaluation("flowers", "2.0.0", own)
    assert evaluator.evaluate("flowers", "2.0.0", shop.test, ["f1"]) == found
    assert evaluator.last_result("flowers", "2.0.0") == found
    assert evaluator.leaderboard("flowers").results == (found,)
    assert len(shop.registry.evaluations("flowers", "2.0.0")) == 3


def test_a_threshold_moves_the_labels(evaluator: ModelEvaluator, workshop: Any) -> None:
    judged = [
        evaluator.evaluate(
            "flowers", "2.0.0", workshop.test, ["recall"], threshold=t, record=False
        ).metrics["recall"]
        for t in (0.1, 0.5, 0.9)
    ]
    assert judged == sorted(judged, reverse=True) and judged[0] > judged[2]
    with pytest.raises(EvaluationError, match="between 0 and 1, not 50"):
        evaluator.evaluate("flowers", "2.0.0", workshop.test, threshold=50)
    with pytest.raises(EvaluationError, match="this is a regression task"):
        evaluator.evaluate("widths", None, workshop.test, target="width", threshold=0.5)


def test_a_threshold_is_chosen_and_holds_what_was_asked(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    choice = evaluator.choose_threshold("flowers", "2.0.0", workshop.test, "f1")
    judged = evaluator.evaluate(
        "flowers",
        "2.0.0",
        workshop.test,
        list(choice.metrics),
        threshold=choice.threshold,
        record=False,
    )
    assert judged.metrics == pytest.approx(choice.metrics, rel=1e-12)
    plain = evaluator.evaluate("flowers", "2.0.0", workshop.test, ["f1"], record=False)
    assert choice.metrics["f1"] >= plain.metrics["f1"]
    strict = evaluator.choose_threshold(
        "flowers", "2.0.0", workshop.test, "precision", at_least={"recall": 0.9}
    )
    assert strict.metrics["recall"] >= 0.9
    for metric, at_least, sentence in (
        ("auc", {}, "can't be chosen by 'auc'; choose by f1"),
        (
            "f1",
            {"precision": 1.1},
            "no threshold reaches precision >= 1.1 on these 400",
        ),
    ):
        with pytest.raises(EvaluationError, match=sentence):
            evaluator.choose_threshold(
                "flowers", "2.0.0", workshop.test, metric, at_least=at_least
            )


def test_a_function_is_judged_like_a_version(workshop: Any) -> None:
    def long_ones(rows: Any) -> Any:
        return np.where(rows["length"] > 0.75, "yes", "no")

    result = evaluate_function(long_ones, workshop.test, ["f1"], target="kind")
    assert str(result.version) == "0.0.0-unregistered"
    assert result.model_name == "long_ones"
    expected = sk.f1_score(
        workshop.test["kind"], long_ones(workshop.test), pos_label="yes"
    )
    assert result.metrics["f1"] == expected


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda rows: [[1], [1, 2]] + [1] * (len(rows) - 2), "not all of one shape"),
        (lambda rows: "no", "answer of shape .. for 400 rows; one answer a row"),
        (lambda rows: np.zeros(len(rows) - 1), "answer of shape .399,. for 400 rows"),
    ],
)
def test_answers_that_are_not_one_a_row_are_refused(
    workshop: Any, answer: Any, sentence: str
) -> None:
    with pytest.raises(EvaluationError, match=f"rule 0.0.0-unregistered .*{sentence}"):
        evaluate_function(answer, workshop.test, target="kind", name="rule")


def test_versions_are_ranked_on_the_same_rows(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    with pytest.raises(EvaluationError, match="flowers was ever evaluated; give a dat"):
        evaluator.leaderboard("flowers")
    evaluator.evaluate("flowers", "1.0.0", shop.test.head(30), ["f1"], target="kind")
    board = evaluator.leaderboard(
        "flowers", shop.test.drop(columns="length"), ["log_loss"], target="kind"
    )
    assert [str(each.version) for each in board.results] == ["1.0.0"]
    assert "lacks columns" in board.left_out["2.0.0"]
    board = evaluator.leaderboard(
        "flowers", shop.test, ["log_loss", "auc"], target="kind"
    )
    losses = [each.metrics["log_loss"] for each in board.results]
    assert losses == sorted(losses) and len(losses) == 3, "less loss is better"
    kept = evaluator.leaderboard("flowers", by="auc", versions="<3")
    areas = [each.metrics["auc"] for each in kept.results]
    assert areas == sorted(areas, reverse=True) and len(areas) == 2
    assert kept.dataset.digest == board.dataset.digest
    assert kept.metrics == ["roc_auc", "log_loss"]
    plain = json.loads(json.dumps(kept.to_dict()))
    assert plain["versions"][0]["rank"] == 1
    with pytest.raises(EvaluationError, match="no metric called 'aucc'"):
        evaluator.leaderboard("flowers", by="aucc")


def test_the_others_of_a_leaderboard_are_tested_against_the_best(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    board = evaluator.leaderboard("flowers", shop.test, ["auc", "f1"], target="kind")
    best = board.results[0].version
    assert board.reference == best and board.untested == ()
    assert set(board.tests) == {"1.0.0", "2.0.0", "3.0.0"} - {str(best)}
    assert board.tests["1.0.0"].verdict == "worse"
    twin = board.tests["3.0.0" if str(best) == "2.0.0" else "2.0.0"]
    assert twin.verdict in ("inconclusive", "not_worse")
    for version, found in board.tests.items():
        alone = evaluator.compare(
            "flowers", best, version, shop.test, ["auc"], target="kind"
        ).metrics["auc"]
        assert (found.interval, found.p_value) == (alone.interval, alone.p_value)
    raw = {version: found.p_value for version, found in board.tests.items()}
    low, high = sorted(raw, key=raw.__getitem__)
    assert board.tests[low].adjusted_p_value == pytest.approx(3 * raw[low])
    assert board.tests[high].adjusted_p_value == pytest.approx(min(1, 2 * raw[high]))
    plain = json.loads(json.dumps(board.to_dict()))
    assert plain["reference"] == str(best)
    assert plain["versions"][2]["against_reference"]["verdict"] == "worse"
    told = board.to_markdown()
    assert f"| against {best} |" in told and ": worse |" in told
    page = render_leaderboard_html(board)
    assert page.count("data:image/png;base64,") == 2 and ": worse</span></td>" in page
    named = evaluator.leaderboard(
        "flowers",
        shop.test,
        ["auc", "f1"],
        target="kind",
        against="1.0.0",
        margin=0.01,
    )
    assert str(named.reference) == "1.0.0"
    assert {each.verdict for each in named.tests.values()} == {"better"}
    first = min(named.tests.values(), key=lambda each: each.p_value)
    assert first.adjusted_p_value == pytest.approx(2 * first.p_value), "2, not 3 pairs"
    with pytest.raises(
        EvaluationError, match="1.0.0 can't be tested against: it is none of"
    ):
        evaluator.leaderboard(
            "flowers",
            shop.test,
            ["auc", "f1"],
            versions=">1",
            against="1.0.0",
            target="kind",
        )
    kept = evaluator.leaderboard("flowers", by="auc")
    assert (kept.tests, kept.reference) == ({}, None)
    assert "without the rows" in kept.untested[0] and kept.untested[0] in kept.notes


def test_versions_are_not_tested_on_rows_that_changed_meanwhile(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path)

    class Growing:
        """The same rows three times, then others."""

        passes = 0

        def __iter__(self) -> Any:
            self.passes += 1
            yield shop.test.head(300 if self.passes <= 3 else 299)

    with pytest.raises(EvaluationError, match="changed while flowers was judged"):
        ModelEvaluator(shop.registry).leaderboard(
            "flowers", Growing(), ["auc"], target="kind"
        )


def test_several_labels_a_row_are_judged_and_compared(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(300, 3)), columns=["a", "b", "c"])
    noise = generator.normal(size=(300, 2))
    Y = pd.DataFrame((X[["a", "b"]].to_numpy() + noise > 0).astype(int))
    Y.columns = pd.Index(["news", "art"])
    shop.save(
        "topics", MultiOutputClassifier(LogisticRegression()).fit(X[["a"]], Y), X[["a"]]
    )
    shop.save("topics", MultiOutputClassifier(LogisticRegression()).fit(X, Y), X)
    evaluator = ModelEvaluator(shop.registry)
    table = pd.concat([X, Y], axis=1)
    result = evaluator.evaluate("topics", "2.0.0", table, target=["news", "art"])
    assert result.task == "multilabel"
    assert list(result.metrics)[-2:] == ["roc_auc", "average_precision"]
    assert result.dataset.target == "news, art"
    report = evaluator.generate_report("topics", "2.0.0")
    assert "| hamming_loss |" in report and "## Labels" in report
    shares = np.stack([each[:, 1] for each in shop.last.predict_proba(X)], axis=1)
    assert [part.label for part in result.labels] == ["news", "art"]
    for place, part in enumerate(result.labels):
        truth, score = Y.iloc[:, place], shares[:, place]
        assert part.rows == truth.sum()
        assert dict(part.metrics) == pytest.approx(
            {
                "precision": sk.precision_score(truth, score >= 0.5),
                "recall": sk.recall_score(truth, score >= 0.5),
                "f1": sk.f1_score(truth, score >= 0.5),
                "roc_auc": sk.roc_auc_score(truth, score),
            },
            rel=1e-12,
        )
        for name, (low, high) in part.intervals.items():
            assert low < part.metrics[name] < high
        assert f"| {part.label} | {part.rows} | " in report
    page = evaluator.generate_report("topics", "2.0.0", "html")
    assert "<td>news</td>" in page and 'alt="F1 by label"' in page
    assert evaluator.last_result("topics", "2.0.0") == result
    lonely = evaluator.evaluate(
        "topics",
        "2.0.0",
        table.assign(art=0),
        ["f1"],
        target=["news", "art"],
        record=False,
    ).labels[1]
    assert lonely.rows == 0 and "roc_auc" not in lonely.metrics
    assert "needs rows of every class" in lonely.notes[0]
    compared = evaluator.compare(
        "topics", "1.0.0", "2.0.0", table, ["f1", "accuracy"], target=["news", "art"]
    )
    assert compared.metrics["f1"].verdict == "better"
    assert compared.metrics["accuracy"].test == "paired bootstrap"


def test_a_comparison_is_kept_with_its_candidate_when_asked(
    evaluator: ModelEvaluator, workshop: Any
) -> None:
    asked = ("flowers", "1.0.0", "2.0.0", workshop.test, ["accuracy"])
    evaluator.compare(*asked)
    assert evaluator.comparisons("flowers", "2.0.0") == []
    before = len(
        EvaluationResult.among(workshop.registry.evaluations("flowers", "2.0.0"))
    )
    found = evaluator.compare(*asked, margin=0.01, record=True)
    assert evaluator.comparisons("flowers", "2.0.0") == [found]
    assert evaluator.comparisons("flowers", "1.0.0") == []
    # It is no evaluation, so reports and gates go on reading the last of these.
    kept = EvaluationResult.among(workshop.registry.evaluations("flowers", "2.0.0"))
    assert len(kept) == before


def test_curves_of_each_class_lie_on_scikit_learns() -> None:
    outcomes = many_classes(600)
    found = curves(outcomes)
    assert outcomes.probabilities is not None
    for code in range(4):
        hit, score = outcomes.truth == code, outcomes.probabilities[:, code]
        false_rate, recall, _ = sk.roc_curve(hit, score, drop_intermediate=False)
        known = set(zip(false_rate.round(5), recall.round(5), strict=True))
        assert {tuple(point) for point in found["roc_by_class"][code]} <= known
        precision, recall, _ = sk.precision_recall_curve(hit, score)
        known = set(zip(recall.round(5), precision.round(5), strict=True))
        points = found["precision_recall_by_class"][code]
        assert {tuple(point) for point in points} <= known
    assert curves(many_classes(2_000, classes=9)) == {}


def test_labels_of_another_type_are_judged_anew(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    labels = shop.test["width"] > shop.test["width"].median()
    rows = shop.test[["length"]]
    numbers = rows.assign(width=labels.astype(int))
    first = evaluator.evaluate("widths", None, numbers, ["mae"], target="width")
    again = evaluator.evaluate("widths", None, numbers, ["mae"], target="width")
    assert again.evaluated_at == first.evaluated_at  # asked for the same
    as_bools = rows.assign(width=labels)
    with pytest.raises(EvaluationError, match="is a binary task"):
        evaluator.evaluate("widths", None, as_bools, ["mae"], target="width")


def test_newer_facts_of_drift_are_kept_beside_the_same_numbers(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    evaluator = ModelEvaluator(shop.registry)
    for status in ("ok", "drift"):
        evaluator.evaluate(
            "flowers",
            "2.0.0",
            shop.test,
            ["f1"],
            target="kind",
            drift={"status": status},
        )
    last = evaluator.last_result("flowers", "2.0.0")
    assert last.drift["status"] == "drift"
    gate = GatePolicy([Gate(require="no_drift")])
    assert not gate.decide(last, None).allowed


def test_one_batch_tells_nothing_of_the_time_that_a_model_takes(
    workshop: Workshop,
) -> None:
    compared = ModelEvaluator(workshop.registry).compare(
        "flowers",
        "2.0.0",
        "2.0.0",
        workshop.test,
        ["latency_per_row_ms"],
        target="kind",
    )
    found = compared.metrics["latency_per_row_ms"]
    assert found.verdict == "inconclusive" and found.p_value == 1


def test_a_comparison_of_means_over_classes_is_none_of_the_positive_class(
    workshop: Workshop,
) -> None:
    evaluator, pair = ModelEvaluator(workshop.registry), ("flowers", "2.0.0", "3.0.0")
    result = evaluator.evaluate(
        "flowers", "3.0.0", workshop.test, ["f1"], target="kind", record=False
    )
    policy = GatePolicy([Gate("f1", not_worse_than="production", margin=0.5)])
    judged = replace(result, production="2.0.0")
    alike = evaluator.compare(*pair, workshop.test, ["f1"], target="kind")
    assert policy.decide(judged, alike).allowed
    means = evaluator.compare(
        *pair, workshop.test, ["f1"], target="kind", task="multiclass"
    )
    decision = policy.decide(judged, means)
    assert not decision.allowed and "as multiclass" in decision.gates[0].sentence


def test_texts_of_a_csv_that_look_like_numbers_stay_texts(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    codes = np.where(shop.test["kind"] == "yes", "007", "010")
    rows = pd.DataFrame({"zip": codes, "kind": shop.test["kind"]})
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    shop.save("zips", model.fit(rows[["zip"]], rows["kind"]), rows[["zip"]])
    rows.to_csv(tmp_path / "zips.csv", index=False)
    evaluator = ModelEvaluator(shop.registry)
    of_file = evaluator.evaluate(
        "zips", None, str(tmp_path / "zips.csv"), ["accuracy"], target="kind"
    )
    of_frame = evaluator.evaluate("zips", None, rows, ["accuracy"], target="kind")
    assert of_file.metrics == of_frame.metrics == {"accuracy": 1.0}
    assert of_file.dataset_digest == of_frame.dataset_digest
