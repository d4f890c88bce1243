"""Damaged files, libraries that are not there, servers that don't answer: one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.postgres import free_port

Run = Callable[..., tuple[int, str, str]]


def _brixa(
    *arguments: str, before: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which first does ``before``."""
    code = f"import sys; {before}; from brixa_flows.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def damaged(storage: Path, tmp_path: Path) -> Path:
    root = tmp_path / "storage"
    shutil.copytree(storage, root)
    [file] = (root / "models" / "delays" / "1.0.0").glob("model.*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    return root


@pytest.mark.parametrize(
    "command",
    [
        ("model", "verify", "delays"),
        ("model", "evaluate", "delays", "labelled.parquet", "--target", "late"),
        ("drift", "check", "delays", "same.parquet"),
        ("deployment", "create", "delays", "--name", "d"),
    ],
)
def test_a_damaged_artifact_is_named_and_nothing_is_done(
    run: Run, damaged: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(damaged)
    code, out, err = run("--storage", str(damaged), *command)
    assert (code, out) == (1, "")
    [sentence] = err.splitlines()
    assert "models/delays/1.0.0: the file 'model." in sentence
    assert "Restore the file from a backup, or use another" in sentence
    registry = ModelRegistry(LocalStorageNode(damaged))
    assert registry.evaluations("delays", "1.0.0") == []
    assert registry.drift_reports("delays", "1.0.0") == []
    assert not (damaged / "models" / "deployments").exists()


_SAVE = """
import sys, torch
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
registry = ModelRegistry(LocalStorageNode(sys.argv[1]))
registry.register_model("net", "classification", "pytorch")
registry.save_model("net", "1.0.0", torch.nn.Linear(2, 1))
"""


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    tmp_path: Path, mlflow_template_db: Path
) -> None:
    root = tmp_path / "storage"
    (root / "models" / "_meta").mkdir(parents=True)
    shutil.copy(mlflow_template_db, root / "models" / "_meta" / "mlflow.db")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SAVE, str(root)],
        check=True,
        timeout=120,
    )
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,late\n1,2,0\n3,4,1\n")
    done = _brixa(
        *("--storage", str(root), "model", "evaluate", "net", str(rows)),
        *("--target", "late"),
        before="sys.modules['torch'] = None",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'brixa-flows[torch]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert ModelRegistry(LocalStorageNode(root)).evaluations("net", "1.0.0") == []


def test_doctor_names_a_prefect_server_that_is_away_and_a_bad_project_file(
    storage: Path, tmp_path: Path
) -> None:
    (tmp_path / "brixa.toml").write_text("[[trainings]]")
    done = _brixa(
        *("--storage", str(storage), "doctor", "--project", str(tmp_path), "--json"),
        before="pass",
        PREFECT_API_URL="http://127.0.0.1:9/api",
    )
    assert done.returncode == 1
    broken, rules = [item for item in json.loads(done.stdout) if not item["ok"]]
    assert rules["check"] == "brixa.toml"
    assert "unknown key 'trainings'; known: training" in rules["detail"]
    assert broken["check"] == "prefect server"
    assert "http://127.0.0.1:9/api can't be reached" in broken["detail"]
    assert "prefect server start" in broken["detail"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("model list", "there are no models in {uri}, which does not exist; check "),
        ("model list --stage production", "no versions like that in {uri}, which does"),
        ("model show delays", "no model 'delays' in the registry at {uri}/models"),
        ("model verify delays", "no model 'delays' in the registry at {uri}/models"),
        ("model history delays", "no model 'delays' in the registry at {uri}/models"),
        ("model search", "there are no versions like that in {uri}, which does"),
        ("lineage show delays", "no model 'delays' in the registry at {uri}/models"),
        ("drift history delays", "no model 'delays' in the registry at {uri}/models"),
        ("deployment list", "there are no deployments in {uri}, which does not exist"),
        ("deployment up", "there are no deployments in {uri}, which does not exist"),
        ("deployment status d", "there is no deployment 'd' in {uri}"),
    ],
)
def test_who_reads_a_storage_that_is_not_there_is_told_where_and_makes_none(
    tmp_path: Path, run: Run, command: str, words: str
) -> None:
    mistyped = tmp_path / "mistyped"
    _, out, err = run("--storage", str(mistyped), *command.split())
    assert words.format(uri=mistyped.as_uri()) in err
    assert "Traceback" not in out + err
    assert not mistyped.exists()


def test_a_list_without_entries_says_where_it_looked(tmp_path: Path, run: Run) -> None:
    code, out, err = run("--storage", str(tmp_path), "model", "list", "--json")
    assert (code, json.loads(out)) == (0, [])
    assert err == f"there are no models in {tmp_path.as_uri()}\n"


def test_a_storage_that_can_not_be_made_is_told_by_who_writes(run: Run) -> None:
    code, out, _ = run("--storage", "/proc/nope", "doctor", "--json")
    [told] = [item for item in json.loads(out) if item["check"] == "storage"]
    assert (code, told["ok"]) == (1, False)
    assert told["detail"] == (
        "can't make the storage root /proc/nope: no folder can be made there; name "
        "another storage root"
    )


def test_a_tracking_address_that_is_none_is_one_sentence_of_ours(run: Run) -> None:
    code, _, err = run("--tracking-uri", "nonsense", "model", "show", "delays")
    assert code == 1
    assert "is 'nonsense', which names neither a server nor a database" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        "model list",
        "model list delays",
        "model show delays",
        "model search stage='none'",
    ],
)
def test_who_reads_while_mlflow_is_away_gets_what_storage_has_and_a_note(
    run: Run, storage: Path, command: str
) -> None:
    registry = ModelRegistry(LocalStorageNode(storage))
    registry.log_metrics("delays", "1.0.0", {"f1": 0.75})
    away = f"http://127.0.0.1:{free_port()}"
    code, out, err = run("--tracking-uri", away, *command.split())
    assert code == 0
    assert "1.0.0" in out and "f1" in out and "0.75" in out
    [note] = err.splitlines()
    assert note.startswith(f"note: the MLflow backend at {away} can't be used")
    assert note.endswith("metrics, custom and owner are as storage has them")
    code, out, err = run("--tracking-uri", away, "model", "search", "metrics.f1 > 0.1")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: the MLflow backend at {away} can't be used")
