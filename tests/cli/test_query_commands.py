"""``brixa model search``, ``diff`` and ``history --at``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

Run = Callable[..., tuple[int, str, str]]

_START = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def grown(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a second version, metrics and a stage."""
    root = tmp_path_factory.mktemp("grown") / "storage"
    shutil.copytree(storage, root)
    registry = ModelRegistry(LocalStorageNode(root))
    registry.log_metrics("delays", "1.0.0", {"auc": 0.75})
    registry.transition("delays", "1.0.0", "production", actor="ada", reason="good")
    registry.set_alias("delays", "champion", "1.0.0", actor="ada", reason="best")
    registry.register_model(
        "delays",
        "classification",
        input_schema={"type": "object", "required": ["a", "b", "zip"]},
        hyperparameters={"a very long name of a parameter " * 3: "long " * 20},
    )
    return root


def test_search_prints_a_table_or_json_with_the_token_of_the_next_page(
    run: Run, grown: Path
) -> None:
    code, out, _ = run("--storage", str(grown), "model", "search", "metrics.auc > 0.7")
    assert code == 0
    assert "1.0.0" in out
    assert "2.0.0" not in out
    words = ("model", "search", "--order-by", "version DESC", "--max-results", "1")
    _, out, err = run("--storage", str(grown), *words, "--json")
    page = json.loads(out)
    assert [each["version"] for each in page["versions"]] == ["2.0.0"]
    _, _, err = run("--storage", str(grown), *words)
    assert page["next_page_token"] in err
    token = ("--page-token", page["next_page_token"])
    _, out, _ = run("--storage", str(grown), *words, *token, "--json")
    assert [each["version"] for each in json.loads(out)["versions"]] == ["1.0.0"]


def test_a_bad_filter_is_one_line_on_standard_error(run: Run, grown: Path) -> None:
    code, out, err = run("--storage", str(grown), "model", "search", "foo = 'x'")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "foo = 'x'" in err
    assert "metrics.KEY" in err


def test_diff_explains_the_bump_on_80_columns(
    run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ("model", "diff", "delays@1.0.0", "delays@2.0.0")
    code, out, _ = run("--storage", str(grown), *words)
    assert code == 0
    assert "major, because input column zip is required now" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = run("--storage", str(grown), *words, "--json")
    assert json.loads(out)["bump"] == "major"


def test_diff_of_two_models_is_a_usage_error(run: Run, grown: Path) -> None:
    code, _, err = run("--storage", str(grown), "model", "diff", "delays", "other@1")
    assert code == 2
    assert "two models" in err


def test_history_tells_who_stood_where_at_a_moment(run: Run, grown: Path) -> None:
    words = ("--storage", str(grown), "model", "history", "delays")
    _, out, _ = run(*words, "--at", _START)
    assert "nothing in any stage" in out
    later = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    _, out, _ = run(*words, "--at", later)
    assert "1.0.0  production" in out
    assert "1.0.0  champion" in out
    _, out, _ = run(*words, "--at", later, "--json")
    assert json.loads(out)["production"] == "1.0.0"
    code, _, err = run(*words, "--at", "yesterday")
    assert code == 2
    assert "2026-03-01" in err
    _, out, _ = run(*words, "--aliases")
    assert "champion  none -> 1.0.0, by ada\n    best" in out
