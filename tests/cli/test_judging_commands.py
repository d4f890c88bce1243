"""Commands that judge: what can be said of the question, and when a gate says no."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.cli.conftest import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def save(registry: ModelRegistry, name: str, model: Any, example: Any) -> str:
    known = name in registry.list_models()
    made = registry.register_model(
        name, "anything", "sklearn", bump="major" if known else None
    )
    registry.save_model(name, made.version, model, example.head())
    return str(made.version)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, mlflow_template_db: Path) -> Path:
    """``kinds`` 1.0.0 in production, 2.0.0 and 3.0.0 (of 3 classes), and ``topics``."""
    root = tmp_path_factory.mktemp("judging")
    (root / "models" / "_meta").mkdir(parents=True)
    shutil.copy(mlflow_template_db, root / "models" / "_meta" / "mlflow.db")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400))
    rows = pd.DataFrame({"a": a, "b": b})
    rows["kind"] = np.where(a + rng.normal(size=400) > 0.6, "yes", "no")
    rows["cheap"] = (a + rng.normal(size=400) > 0).astype(int)
    rows["fast, far"] = (b + rng.normal(size=400) > 0).astype(int)
    rows.to_parquet(root / "rows.parquet")
    rows.assign(kind=["perhaps"] * 5 + rows["kind"].tolist()[5:]).to_parquet(
        root / "three.parquet"
    )
    rows[rows["kind"] == "yes"].to_parquet(root / "only.parquet")
    registry = ModelRegistry(LocalStorageNode(root))
    inputs = rows[["a", "b"]]
    save(
        registry,
        "kinds",
        LogisticRegression().fit(inputs[["b"]], rows["kind"]),
        inputs[["b"]],
    )
    save(registry, "kinds", LogisticRegression().fit(inputs, rows["kind"]), inputs)
    three = rows["kind"].where(np.arange(400) > 60, "perhaps")
    save(registry, "kinds", LogisticRegression().fit(inputs, three), inputs)
    labels = rows[["cheap", "fast, far"]].to_numpy()
    save(
        registry,
        "topics",
        MultiOutputClassifier(LogisticRegression()).fit(inputs, labels),
        inputs,
    )
    registry.transition("kinds", "1.0.0", "production", actor="ada", reason="first")
    return root


@pytest.fixture
def storage(shop: Path) -> Path:
    return shop


def policy(folder: Path, *gates: str) -> str:
    file = folder / "policy.yaml"
    file.write_text(
        "name: p\ngates:\n" + "".join(f"  - {{{gate}}}\n" for gate in gates)
    )
    return str(file)


def test_the_question_is_said_on_the_command_line(run: Run, shop: Path) -> None:
    rows = str(shop / "rows.parquet")
    asked = ("--target", "kind", "--metric", "recall", "--json")
    found = {}
    for said in (
        (),
        ("--positive", "no"),
        ("--threshold", "0.9"),
        ("--task", "multiclass"),
    ):
        code, out, err = run("model", "evaluate", "kinds@2.0.0", rows, *asked, *said)
        assert code == 0, err
        found[said[1:]] = json.loads(out)
    assert len({each["metrics"]["recall"] for each in found.values()}) == 4
    assert found[("no",)]["positive"] == "no"
    assert found[("0.9",)]["threshold"] == 0.9
    code, out, _ = run(
        "model",
        "compare",
        "kinds",
        "1.0.0",
        "2.0.0",
        rows,
        *asked,
        "--threshold",
        "0.9",
    )
    assert (
        json.loads(out)["metrics"]["recall"]["candidate"]
        == found[("0.9",)]["metrics"]["recall"]
    )
    code, out, _ = run(
        "model",
        "leaderboard",
        "kinds",
        rows,
        *asked,
        "--threshold",
        "0.9",
        "--constraint",
        "<3",
    )
    board = json.loads(out)
    assert board["threshold"] == 0.9 and len(board["versions"]) == 2
    code, _, err = run(
        "model", "evaluate", "kinds@2.0.0", rows, *asked, "--task", "regression"
    )
    assert code == 1 and "a regression needs one number a row" in err
    code, out, _ = run("model", "report", "kinds@2.0.0")
    assert "binary, positive class 'yes', threshold 0.9" in out or "multiclass" in out


def test_a_report_is_written_in_the_format_of_its_file(run: Run, shop: Path) -> None:
    rows = str(shop / "rows.parquet")
    run("model", "evaluate", "kinds@2.0.0", rows, "--target", "kind")
    for name, begin in (
        ("r.html", "<!doctype html>"),
        ("r.json", "{"),
        ("r.xml", "<?xml"),
        ("r.md", "#"),
    ):
        file = shop / name
        code, out, err = run("model", "report", "kinds@2.0.0", "-o", str(file))
        assert (code, out) == (0, "") and f"wrote {file}" in err
        assert file.read_text().startswith(begin), name
    code, _, _ = run(
        "model", "report", "kinds@2.0.0", "--format", "json", "-o", str(file)
    )
    assert code == 0 and file.read_text().startswith("{")


def test_two_targets_are_two_labels_a_row(run: Run, shop: Path) -> None:
    rows = str(shop / "rows.parquet")
    targets = ("--target", "cheap", "--target", "fast, far")
    code, out, err = run("model", "evaluate", "topics", rows, *targets, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["task"] == "multilabel"
    assert [each["label"] for each in result["labels"]] == ["cheap", "fast, far"]
    gates = policy(
        shop, "metric: f1, min: 0.3", "metric: f1, not_worse_than: production"
    )
    code, _, err = run("gate", "topics", "--policy", gates, "--dataset", rows, *targets)
    assert code == 0, err


def test_a_gate_asks_production_what_the_last_evaluation_asked(
    run: Run, shop: Path
) -> None:
    rows = str(shop / "rows.parquet")
    said = ("--target", "kind", "--threshold", "0.7", "--positive", "no")
    assert run("model", "evaluate", "kinds@2.0.0", rows, *said)[0] == 0
    gates = policy(shop, "metric: f1, better_than: production", "metric: f1, min: 0")
    code, out, err = run("gate", "kinds@2.0.0", "--policy", gates, "--json")
    assert code == 0, out + err
    decision = json.loads(out)
    same = run(
        "model",
        "compare",
        "kinds",
        "1.0.0",
        "2.0.0",
        rows,
        *said,
        "--metric",
        "f1",
        "--json",
    )
    found = json.loads(same[1])["metrics"]["f1"]
    sentence = decision["gates"][0]["sentence"]
    assert f"{found['candidate']:.4f} against {found['baseline']:.4f}" in sentence
    assert f"f1 is {found['candidate']:.4f}" in decision["gates"][1]["sentence"]
    assert (decision["positive"], decision["threshold"]) == ("no", 0.7)
    assert (
        decision["dataset"]["name"] == "rows.parquet" and decision["dataset"]["digest"]
    )
    code, out, _ = run("gate", "kinds@2.0.0", "--policy", gates)
    assert "rows of rows.parquet (digest " in out and "threshold 0.7" in out
    code, _, err = run("gate", "kinds@2.0.0", "--policy", gates, "--threshold", "0.5")
    assert code == 2 and "are of the rows of --dataset" in err


def test_a_gate_by_a_target_with_a_comma_needs_no_dataset(run: Run, shop: Path) -> None:
    rows = str(shop / "rows.parquet")
    inputs = pd.read_parquet(rows)
    registry = ModelRegistry(LocalStorageNode(shop))
    for _ in range(2):
        model = LogisticRegression().fit(inputs[["a", "b"]], inputs["fast, far"])
        last = save(registry, "farness", model, inputs[["a", "b"]])
        if last == "1.0.0":
            registry.transition("farness", last, "production", actor="ada", reason="x")
    code, _, err = run(
        "model", "evaluate", "farness@2.0.0", rows, "--target", "fast, far"
    )
    assert code == 0, err
    gates = policy(shop, "metric: f1, not_worse_than: production")
    code, out, err = run("gate", "farness@2.0.0", "--policy", gates)
    assert code == 0, out + err


@pytest.mark.parametrize(
    ("ref", "file", "gates", "sentences"),
    [
        (
            "kinds@2.0.0",
            "only.parquet",
            (
                "metric: recall, min: 0.1",
                "metric: auc, min: 0.5",
                "metric: foo, max: 1",
            ),
            (None, "roc_auc needs rows of every class", "no metric called 'foo'"),
        ),
        (
            "kinds@3.0.0",
            "three.parquet",
            ("metric: auc, not_worse_than: production", "metric: accuracy, min: 0.1"),
            ("roc_auc can't be compared: the two know different classes", None),
        ),
        (
            "kinds@2.0.0",
            "rows.parquet",
            ("metric: rmse, max: 1", "metric: accuracy, min: 0.1"),
            ("is a metric of regression tasks", None),
        ),
    ],
)
def test_a_gate_without_its_number_says_no_and_the_others_are_judged(
    run: Run,
    shop: Path,
    ref: str,
    file: str,
    gates: tuple[str, ...],
    sentences: tuple[str | None, ...],
) -> None:
    junit = shop / "gates.xml"
    junit.unlink(missing_ok=True)
    asked = ("--dataset", str(shop / file), "--target", "kind", "--junit", str(junit))
    code, out, err = run(
        "gate", ref, "--policy", policy(shop, *gates), *asked, "--json"
    )
    assert code == 3, out + err
    for outcome, sentence in zip(json.loads(out)["gates"], sentences, strict=True):
        assert outcome["passed"] == (sentence is None), outcome
        assert (sentence or "") in outcome["sentence"]
    failures = sum(sentence is not None for sentence in sentences)
    assert ElementTree.parse(junit).getroot().get("failures") == str(failures)


def test_production_of_three_classes_is_compared_by_means_and_told(
    run: Run, shop: Path
) -> None:
    """Of 2 against 3 classes, and of 3 against 2."""
    gates = policy(shop, "metric: f1, not_worse_than: production, margin: 1")
    registry = ModelRegistry(LocalStorageNode(shop))
    asked = ("--dataset", str(shop / "rows.parquet"), "--target", "kind")
    for candidate in ("3.0.0", "2.0.0"):
        code, out, err = run("gate", f"kinds@{candidate}", "--policy", gates, *asked)
        assert code == 0, out + err
        assert "the two know different classes" in out
        code, again, err = run("gate", f"kinds@{candidate}", "--policy", gates)
        assert (code, again) == (0, out), err
        if candidate == "3.0.0":
            registry.transition("kinds", "3.0.0", "production", actor="ada", reason="x")
    registry.rollback("kinds", actor="ada", reason="the others need it so")


def test_a_version_that_can_not_be_judged_is_refused_with_a_test_case_a_gate(
    run: Run, shop: Path
) -> None:
    junit = shop / "refused.xml"
    gates = policy(shop, "metric: f1, min: 0.1", "metric: auc, min: 0.5")
    registry = ModelRegistry(LocalStorageNode(shop))
    inputs = pd.read_parquet(shop / "rows.parquet")
    model = LogisticRegression().fit(inputs[["a", "b"]], inputs["cheap"])
    save(registry, "new", model, inputs[["a", "b"]])
    asked = ("gate", "new", "--policy", gates, "--junit", str(junit))
    code, out, _ = run(*asked)
    assert code == 3 and "was never evaluated" in out
    assert ElementTree.parse(junit).getroot().get("failures") == "2"
    junit.unlink()
    code, _, err = run(
        *asked, "--dataset", str(shop / "gone.parquet"), "--target", "cheap"
    )
    assert code == 1 and "there is no file" in err
    assert ElementTree.parse(junit).getroot().get("failures") == "2"
    code, out, _ = run(
        *asked, "--dataset", str(shop / "rows.parquet"), "--target", "kind"
    )
    assert code == 3 and "none of the" not in out and "no label of the dataset" in out


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("a", 7, np.nan), r"column 'a' is NaN or infinite in 1 of 400 rows .*row 7"),
        (("b", 9, "x"), r"'b' holds text in 400 of 400 rows .*, but was float64 in tr"),
    ],
)
def test_rows_that_the_model_refuses_are_named_in_each_gate(
    run: Run, shop: Path, given: tuple[str, int, Any], sentence: str
) -> None:
    column, row, value = given
    rows = pd.read_parquet(shop / "rows.parquet")
    if isinstance(value, str):
        rows[column] = rows[column].astype(str)
    rows.loc[row, column] = value
    rows.to_parquet(shop / "odd.parquet")
    gates = policy(shop, "metric: f1, min: 0.1", "metric: auc, min: 0.5")
    junit = shop / "odd.xml"
    asked = ("--dataset", str(shop / "odd.parquet"), "--target", "kind")
    code, out, err = run(
        *("gate", "kinds@2.0.0", "--policy", gates, "--junit", str(junit)), *asked
    )
    assert code == 3, out + err
    assert re.search(sentence, out) and "the LogisticRegression refused" in out
    assert ElementTree.parse(junit).getroot().get("failures") == "2"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--threshold", "7", "a threshold is between 0 and 1, not 7.0"),
        ("--positive", "9", "the positive label '9' is none of the classes"),
    ],
)
def test_an_option_that_can_not_be_is_no_word_of_a_gate(
    run: Run, shop: Path, option: str, value: str, sentence: str
) -> None:
    gates = policy(shop, "metric: f1, min: 0.1")
    rows = ("--dataset", str(shop / "rows.parquet"), "--target", "kind")
    code, _, err = run("gate", "kinds@2.0.0", "--policy", gates, *rows, option, value)
    assert code == 1 and sentence in err
