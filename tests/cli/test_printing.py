"""What a person reads on a terminal: every text as it is, and no line too long."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

Run = Callable[..., tuple[int, str, str]]

_REASON = "passed every gate of [v2] and was read by three people on a rainy afternoon"


@pytest.fixture(scope="module")
def told(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose version has a description, metrics, data and a history."""
    root = tmp_path_factory.mktemp("told") / "storage"
    shutil.copytree(storage, root)
    registry = ModelRegistry(LocalStorageNode(root))
    registry.update(
        "delays", "1.0.0", description="[/b] is no [red]markup[/red] :smile:"
    )
    metrics = {"roc_auc": 0.71234, "average_precision": 0.5, "log_loss": 0.4}
    registry.log_metrics("delays", "1.0.0", metrics)
    registry.transition(
        "delays", "1.0.0", "production", actor="ada lovelace", reason=_REASON
    )
    sentence = "the column temperature moved " + "by very much " * 12
    found = {"start": "2013-03-01", "end": "2013-04-01", "kind": "month", "rows": 1000}
    registry.record_drift(
        "delays", "1.0.0", {**found, "status": "drift", "sentence": sentence}
    )
    return root


_COMMANDS = (
    ("model", "list"),
    ("model", "show", "delays"),
    ("model", "history", "delays"),
    ("drift", "history", "delays"),
    ("lineage", "show", "delays"),
    ("deployment", "list"),
)


@pytest.mark.parametrize("command", _COMMANDS)
def test_no_line_is_wider_than_the_terminal(
    run: Run, told: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("--storage", str(told), *command)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80


def test_short_columns_are_never_folded(
    run: Run, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("--storage", str(told), "model", "list")
    for word in ("delays", "1.0.0", "production", "sklearn"):
        assert word in out


def test_lines_into_a_pipe_are_left_whole(
    run: Run, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    _, out, _ = run("--storage", str(told), "model", "history", "delays")
    assert "none -> production, by ada lovelace\n" in out
    assert f"    {_REASON}\n" in out
    _, out, _ = run("--storage", str(told), "drift", "history", "delays")
    assert "by very much " * 12 in out


def test_a_text_that_looks_like_markup_is_shown_as_it_is(run: Run, told: Path) -> None:
    code, out, _ = run("--storage", str(told), "model", "show", "delays")
    assert code == 0
    assert "[/b] is no [red]markup[/red] :smile:" in out


def test_a_user_without_a_name_may_change_stages(
    run: Run, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "storage"
    shutil.copytree(storage, root)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)  # as in a bare container
    move = ("model", "transition", "delays", "staging", "--reason", "tried")
    assert run("--storage", str(root), *move)[0] == 0
    _, out, _ = run("--storage", str(root), "model", "history", "delays")
    assert "by unknown" in out
