"""``brixa model delete`` puts a tombstone, ``brixa gc`` lists, then frees the bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_what_is_deleted_is_listed_then_freed(run: Run, storage: Path) -> None:
    code, out, err = run("gc")
    assert (code, out) == (0, "")
    assert err == "nothing to free\n"
    config = storage / "models" / "deployments" / "api" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"model_name": "delays", "version": "1.0.0"}))
    delete = ("model", "delete", "delays@1.0.0", "--reason", "wrong data", "--force")
    code, _, err = run(*delete)
    assert (code, "the deployment api serves it" in err) == (1, True)
    shutil.rmtree(config.parents[1])
    code, _, err = run(*delete)
    assert (code, err) == (0, "deleted delays 1.0.0\n")
    files = storage / "models" / "delays" / "1.0.0"
    assert run("gc", "--older-than", "1d")[1] == ""
    code, out, _ = run("gc", "--json")
    [found] = json.loads(out)
    assert (code, found["key"], found["removed"]) == (0, "models/delays/1.0.0", False)
    assert files.is_dir()
    code, out, err = run("gc", "--remove")
    assert code == 0
    assert out.startswith("removed models/delays/1.0.0 (")
    assert err.startswith("1 thing, ") and err.endswith(" bytes freed\n")
    assert not files.exists()
    assert run("gc", "--remove")[1] == ""


@pytest.mark.parametrize("age", ["soon", "5", "-1d", "1y"])
def test_an_age_that_is_none_is_a_usage_error(run: Run, age: str) -> None:
    code, _, err = run("gc", "--older-than", age)
    assert code == 2
    assert "write 45m, 12h, 30d or 8w" in err
