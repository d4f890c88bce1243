from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn import metrics as sk

from brixa_flows.errors import DatasetError, EvaluationError
from brixa_flows.evaluation import (
    EvaluationResult,
    Gate,
    GatePolicy,
    ModelEvaluator,
)

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
    assert reports["html"].count("data:image/png;base64,") == 4
    assert "http://" not in reports["html"] and "https://" not in reports["html"]


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
    worse = evaluator.compare("flowers", "2.0.0", "1.0.0", shop.test, ["auc"])
    assert worse.metrics["auc"].verdict == "worse"


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
