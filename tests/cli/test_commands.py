"""The ``brixa`` command: data on standard output, one sentence and a code on failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from brixa_flows.cli import main
from brixa_flows.errors import ModelNotFoundError
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.evaluation.question import EXACT_ROWS
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

Run = Callable[..., tuple[int, str, str]]


def test_versions_are_listed_as_json(run: Run) -> None:
    code, out, _ = run("model", "list", "delays", "--json")
    assert code == 0
    assert [item["version"] for item in json.loads(out)] == ["1.0.0"]


def test_a_stage_or_constraint_picks_from_all_models(run: Run) -> None:
    for choice, expected in (("--stage", "staging"), 0), (("--constraint", "^1"), 1):
        code, out, _ = run("model", "list", *choice, "--json")
        assert code == 0
        assert len(json.loads(out)) == expected


def test_a_model_that_is_not_here_says_where_here_is(run: Run, storage: Path) -> None:
    code, _, err = run("model", "show", "nope")
    assert code == 1
    assert f"the registry at {storage.as_uri()}/models; it has: delays" in err


def test_schemas_are_shown_as_columns_and_types(run: Run) -> None:
    code, out, _ = run("model", "show", "delays")
    assert code == 0
    assert "a: float64" in out
    assert "prediction: int64 of 0, 1" in out
    assert "x-dtype" not in out


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_an_evaluation_is_printed_and_its_report_kept(
    run: Run, storage: Path, tmp_path: Path
) -> None:
    labelled = str(storage / "labelled.parquet")
    code, out, _ = run(
        *("model", "evaluate", "delays", labelled, "--target", "late"),
        *("--metric", "accuracy", "--json"),
    )
    assert code == 0
    exact = json.loads(out)
    assert exact["metrics"]["accuracy"] > 0.9
    code, out, _ = run(
        *("model", "evaluate", "delays", labelled, "--target", "late"),
        *("--metric", "accuracy", "--json", "--exact-rows", "10"),
    )
    assert code == 0
    streamed = json.loads(out)
    assert (exact["method"], streamed["method"]) == ("exact", "streamed")
    assert streamed["metrics"] == exact["metrics"]
    assert exact["asked"]["exact_rows"] == EXACT_ROWS
    code, out, _ = run("model", "report", "delays@1.0.0")
    assert code == 0
    assert "accuracy" in out
    frame = pd.read_parquet(labelled)
    frame["late"] = frame["late"] * 2 - 1  # -1 is no class of the model
    frame.to_parquet(tmp_path / "other.parquet")
    code, out, err = run(
        *("model", "evaluate", "delays", str(tmp_path / "other.parquet")),
        *("--target", "late", "--metric", "accuracy", "--slice", "side"),
    )
    assert code == 0
    assert "labels the model does not know" in err
    assert "side = left" in out and "side = right" in out


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_versions_are_ranked_and_those_left_out_are_told(
    run: Run, storage: Path
) -> None:
    labelled = str(storage / "labelled.parquet")
    code, out, _ = run(
        *("model", "leaderboard", "delays", labelled, "--target", "late"),
        *("--metric", "auc", "--metric", "f1", "--json"),
    )
    assert code == 0
    board = json.loads(out)
    assert board["by"] == "roc_auc"
    assert board["versions"][0]["version"] == "1.0.0"
    code, out, _ = run("model", "leaderboard", "delays", "--metric", "f1")
    assert code == 0
    assert "1.0.0" in out
    page = storage / "ranked.html"
    code, out, err = run(
        *("model", "leaderboard", "delays", labelled, "--target", "late"),
        *("--metric", "f1", "--html", str(page)),
    )
    assert code == 0 and "no other version to test against" in err
    assert "no other version to test against" in page.read_text()


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_a_comparison_is_shown_and_kept_with_its_candidate(
    run: Run, storage: Path
) -> None:
    page = storage / "compared.html"
    asked = ("model", "compare", "delays", "1.0.0", "latest")
    asked += (str(storage / "labelled.parquet"), "--target", "late", "--metric", "f1")
    kept = ModelEvaluator(ModelRegistry(LocalStorageNode(storage))).comparisons
    assert run(*asked, "--no-record")[0] == 0
    assert kept("delays", "1.0.0") == []
    code, out, _ = run(*asked, "--html", str(page))
    assert code == 0
    assert "not worse" in out and "same answers" in page.read_text()
    (found,) = kept("delays", "1.0.0")
    assert found.metrics["f1"].verdict == "not_worse"


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_a_metric_that_is_none_of_the_task_is_named(run: Run, storage: Path) -> None:
    asked = ("model", "leaderboard", "delays", str(storage / "labelled.parquet"))
    code, _, err = run(*asked, "--target", "late", "--metric", "rmse")
    assert code == 1
    assert "root_mean_squared_error is a metric of regression tasks" in err


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
@pytest.mark.parametrize(("least", "expected"), [(0.8, 0), (0.9999, 3)])
def test_a_gate_tells_by_its_exit_code_and_why(
    run: Run, storage: Path, tmp_path: Path, least: float, expected: int
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        f"name: release\ngates:\n"
        f"  - {{metric: balanced_accuracy, min: {least}}}\n"
        "  - {metric: auc, not_worse_than: production, margin: 0.01}\n"
        "  - {metric: accuracy, min: 0.5, slice: side}\n"
        "  - {metric: model_size, max: 10}\n"
        "  - {require: signature}\n"
        "  - {require: no_drift}\n"
    )
    rows = str(storage / "labelled.parquet")
    junit = tmp_path / "gates.xml"
    asked = ("gate", "delays@1.0.0", "--policy", str(policy))
    code, out, err = run(
        *(*asked, "--dataset", rows, "--target", "late"),
        *("--junit", str(junit), "--json"),
    )
    assert code == expected, out + err
    code, again, _ = run(*asked, "--json")
    assert (code, again) == (expected, out), "the last evaluation decides alike"
    decision = json.loads(out)
    sentences = [each["sentence"] for each in decision["gates"]]
    assert [each["passed"] for each in decision["gates"]][1:] == [True] * 5, sentences
    assert f"on 600 rows, {'at least' if expected == 0 else 'below'}" in sentences[0]
    suite = ElementTree.parse(junit).getroot()
    assert suite.get("failures") == ("1" if expected else "0")
    assert len(suite.findall("testcase")) == 6


@pytest.mark.parametrize(("data", "expected"), [("same", 0), ("moved", 3)])
def test_a_drift_check_tells_by_its_exit_code(
    run: Run, storage: Path, data: str, expected: int
) -> None:
    code, out, _ = run("drift", "check", "delays", str(storage / f"{data}.parquet"))
    assert code == expected
    assert "a" in out


def test_a_drift_check_follows_a_policy(
    run: Run, storage: Path, tmp_path: Path
) -> None:
    moved = str(storage / "moved.parquet")
    (tmp_path / "rules.yaml").write_text("thresholds: {ks: 1.1, wasserstein: 99}\n")
    lenient = ("--policy", str(tmp_path / "rules.yaml"))
    assert run("drift", "check", "delays", moved, *lenient)[0] == 0
    code, _, err = run("drift", "check", "delays", moved, "--policy", "no.yaml")
    assert (code, "no.yaml can't be read as a drift policy" in err) == (1, True)


def test_the_history_of_drift_is_a_table_and_a_plot_per_column(
    run: Run, storage: Path, tmp_path: Path
) -> None:
    root = tmp_path / "storage"
    shutil.copytree(storage, root)
    place = ("--storage", str(root))
    registry = ModelRegistry(LocalStorageNode(root))
    for day, data in ((1, "same"), (8, "moved")):
        rows = str(storage / f"{data}.parquet")
        _, out, _ = run(*place, "drift", "check", "delays", rows, "--json")
        window = {"deployment": "d", "window": "week"}
        times = {"start": f"2026-11-{day:02}", "end": f"2026-11-{day + 7:02}"}
        registry.record_drift("delays", "1.0.0", json.loads(out) | window | times)
    page = tmp_path / "history.html"
    code, out, err = run(*place, "drift", "history", "delays", "--html", str(page))
    assert code == 0, err
    assert "2026-11-08" in out
    assert "Columns over these windows" in out
    assert page.read_text().count("<figure>") >= 1
    code, out, _ = run(*place, "drift", "history", "delays", "--column", "a")
    assert code == 0
    assert out.count("2026-11-08") == 2
    code, _, err = run(*place, "drift", "history", "delays", "--column", "zz")
    assert (code, "no window was judged by the column 'zz'; there are:" in err) == (
        1,
        True,
    )


@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_performance_is_learned_checked_and_told_by_the_exit_code(
    run: Run, storage: Path, tmp_path: Path
) -> None:
    root = tmp_path / "storage"
    shutil.copytree(storage, root)
    place = ("--storage", str(root))
    labelled = str(storage / "labelled.parquet")
    code, _, err = run(*place, "performance", "check", "delays", labelled)
    assert code == 1
    assert "brixa performance learn delays@1.0.0 ROWS" in err
    code, out, err = run(
        *(*place, "performance", "learn", "delays", labelled, "--target", "late")
    )
    assert code == 0, err
    assert "roc_auc" in out
    code, out, _ = run(*place, "performance", "check", "delays", labelled)
    assert code == 0
    assert "measured" in out and "As good as the reference" in out
    frame = pd.read_parquet(labelled)
    frame["late"] = 1 - frame["late"]
    frame.to_csv(tmp_path / "turned.csv", index=False)
    turned = str(tmp_path / "turned.csv")
    code, out, _ = run(*place, "performance", "check", "delays", turned, "--json")
    assert code == 3
    found = json.loads(out)
    assert (found["status"], found["labelled"]) == ("degraded", len(frame))
    registry = ModelRegistry(LocalStorageNode(root))
    times = {"start": "2026-11-01", "end": "2026-11-08", "window": "week"}
    registry.record_performance("delays", "1.0.0", found | times)
    code, out, _ = run(*place, "performance", "history", "delays")
    assert code == 0
    assert "2026-11-01 to 2026-11-08" in out and "measured" in out


def test_files_verify_and_lineage_is_drawn(run: Run) -> None:
    assert run("model", "verify", "delays@1.0.0")[0] == 0
    code, out, _ = run("lineage", "show", "delays", "--mermaid")
    assert code == 0
    assert "delays" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("model", "show", "nope"), 1, "there is no model 'nope'"),
        (("model", "show", "delays@9.9.9"), 1, "answers to '9.9.9'"),
        (("model", "show", "delays@^3"), 1, "ready versions: 1.0.0"),
        (("model", "show", "delays@1.2.x.y"), 1, "is not a version constraint"),
        (("model", "show", "../etc"), 2, "can't be the name of a model"),
        (("model", "delete", "delays", "--reason", "x"), 2, "the exact version"),
        (("model", "register-run", "runs:/abc/model", "--name", "m"), 1, "abc"),
        (
            ("model", "register-run", "runs:/abc/m", "--name", "m", "--reference"),
            1,
            "abc",
        ),
        (("model", "evaluate", "delays", "none.csv"), 1, "there is no file"),
        (("drift", "check", "delays", "none.parquet"), 1, "there is no data"),
        (("deployment", "status", "nope"), 1, "there is no deployment 'nope'"),
        (
            ("deployment", "create", "delays", "--name", "d", "--gpu", "9999"),
            1,
            "resources.gpu",
        ),
        (("deployment", "create", "delays", "--name", "d", "--env", "A"), 2, "KEY="),
        (("model", "list", "delays", "--constraint", ">>1"), 1, "version constraint"),
        (("model", "list", "delays", "--stage", "prod"), 2, "is not one of"),
        (("model", "rollback", "delays", "--reason", "x"), 1, "no earlier version"),
        (("model", "verify", "delays@2.0.0"), 1, "answers to '2.0.0'"),
        (("gate", "delays", "--policy", "none.yaml"), 1, "can't be read as a policy"),
        (("gate", "delays"), 2, "Missing option '--policy'"),
        (("model", "history", "a/b"), 1, "can't be the name of a model"),
        (("model", "report", "delays", "--format", "pdf"), 2, "is not one of"),
        (("lineage", "show", "nope"), 1, "there is no model 'nope'"),
        (("drift", "history", "nope"), 1, "there is no model 'nope'"),
        (
            ("drift", "check", "delays", "same.parquet", "--html", "no/such/x.html"),
            1,
            "can't use 'no/such/x.html'",
        ),
        (("deployment", "create", "delays", "--name", "a/b"), 1, "of a deployment"),
        (("deployment", "scale", "nope", "2"), 1, "there is no deployment 'nope'"),
        (("deployment", "scale", "nope", "two"), 2, "not a valid integer"),
        (("deployment", "rollback", "nope"), 1, "there is no deployment 'nope'"),
        (("deployment", "delete", "nope"), 1, "there is no deployment 'nope'"),
        (("init", "/dev/null/x"), 1, "can't use"),
        (("--storage", "", "model", "list"), 1, "no storage is named"),
        (("--storage", "/dev/null", "model", "list"), 1, "is a file; name a folder"),
        (("--storage", "nope://x", "model", "list"), 1, "known: local"),
        (("--tracking-uri", "http://[x", "model", "show", "delays"), 1, "address of"),
        (
            ("--tracking-uri", "http://127.0.0.1:9", "model", "verify", "delays"),
            1,
            "can't be used (Connection refused); check BRXA_TRACKING_URI",
        ),
        (
            ("model", "transition", "delays@1.0.0", "archived", "--reason", "x"),
            1,
            "can't go from none to archived",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_bad_input_is_one_sentence_and_changes_nothing(
    run: Run,
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(storage)
    given, out, err = run(*arguments)
    assert (given, out) == (code, "")
    assert words in err
    said = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1 or code == 2  # click shows the usage first
    assert run("deployment", "list", "--json")[1].strip() == "[]"
    [only] = json.loads(run("model", "list", "--json")[1])
    assert (only["version"], only["stage"]) == ("1.0.0", None)


def test_debug_shows_the_trace(storage: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        main(["--storage", str(storage), "--debug", "model", "show", "nope"])


def test_doctor_names_an_mlflow_that_does_not_answer(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        *("--tracking-uri", "http://127.0.0.1:9"),
        *("doctor", "--project", str(tmp_path), "--json"),
    )
    broken = [item for item in json.loads(out) if not item["ok"]]
    assert code == 1
    assert [item["check"] for item in broken] == ["tracking", "registry"]
    assert all("can't be used" in item["detail"] for item in broken)
    assert "what MLflow shows was not compared" in broken[1]["detail"]


def test_doctor_names_an_event_that_nobody_can_send(
    run: Run, storage: Path, tmp_path: Path
) -> None:
    outbox = storage / "models" / "_meta" / "outbox"
    (outbox / "pending").mkdir(parents=True)
    (outbox / "started.json").write_text('{"at": "2026-01-01T00:00:00+00:00"}')
    (outbox / "pending" / "x.json").write_text("[NaN]")
    _, out, _ = run("doctor", "--project", str(tmp_path), "--json")
    shutil.rmtree(outbox)  # the other tests have this storage, too
    [told] = [item for item in json.loads(out) if item["check"] == "events"]
    assert not told["ok"]
    assert "models/_meta/outbox/pending/x.json" in told["detail"]
    assert "correct that file, or remove it and announce" in told["detail"]


def test_an_unknown_setting_is_refused(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("BRXA_NOPE", "1")
    code, _, err = run("model", "list")
    assert code == 1
    assert "BRXA_NOPE is not a setting" in err
