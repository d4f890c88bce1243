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
    assert "delays 1.0.0: the file 'model." in sentence
    assert "Restore the file from a backup, or roll back" in sentence
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


def test_doctor_names_a_prefect_server_that_does_not_answer(
    storage: Path, tmp_path: Path
) -> None:
    done = _brixa(
        *("--storage", str(storage), "doctor", "--project", str(tmp_path), "--json"),
        before="pass",
        PREFECT_API_URL="http://127.0.0.1:9/api",
    )
    assert done.returncode == 1
    [broken] = [item for item in json.loads(done.stdout) if not item["ok"]]
    assert broken["check"] == "prefect server"
    assert "http://127.0.0.1:9/api can't be reached" in broken["detail"]
    assert "prefect server start" in broken["detail"]
