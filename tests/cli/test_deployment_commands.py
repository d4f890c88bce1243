"""``brixa deployment`` against a deployment that serves."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from rich.console import Console

from brixa_flows.cli.deployment_status import watch_status
from brixa_flows.deployment import CanaryStatus, DeploymentStatus
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.kept_requests import keep_requests


def test_a_deployment_is_created_told_and_deleted(run, storage):
    code, out, err = run(
        *("deployment", "create", "delays", "--name", "live"),
        *("--autoscale", "1-2", "--target-cpu", "50"),
    )
    assert code == 0, err
    try:
        assert "live serves delays 1.0.0 with 1 replica at http://" in out
        code, out, _ = run("deployment", "status", "live")
        cells = (line.split(maxsplit=1) for line in out.splitlines()[3:])
        facts = {cell[0]: cell[1].strip() for cell in cells if len(cell) == 2}
        assert facts["state"] == "ready" and facts["serves"] == "delays 1.0.0"
        assert facts["ready"] == "1 of 1" and facts["restarts"] == "0"
        damaged = storage / "models/deployments/ghost/config.json"
        damaged.parent.mkdir()
        damaged.write_bytes(b"{")
        code, out, err = run("deployment", "list")
        assert code == 1 and "live" in out and "ghost: " in err
        code, out, _ = run("deployment", "list", "--json")
        assert code == 1 and [each["name"] for each in json.loads(out)] == ["live"]
        shutil.rmtree(damaged.parent)
        code, out, _ = run("lineage", "show", "delays", "--json")
        assert "deployment:live" in out
        refused = [
            (("canary", "live", "1.0.0", "--share", "0.1"), "serves delays 1.0.0"),
            (("canary", "live", "1.0.0"), "give either share="),
            (("promote", "live"), "tries no version"),
            (("abort", "live"), "tries no version"),
            (("judge", "live"), "tries no version"),
        ]
        create = ("create", "delays", "--name", "live")
        refused += [
            ((*create, "--port", "9"), "port = 9: live has"),
            ((*create, "--grpc-port", "9"), "grpc_port = 9: live serves REST alone"),
        ]
        for arguments, words in refused:
            code, _, err = run("deployment", *arguments)
            assert (code, words in err) == (1, True), err
        code, key, err = run("deployment", "keys", "add", "live", "ada")
        assert code == 0 and key.startswith("brixa_") and key.strip() not in err
        out = run("deployment", "keys", "list", "live")[1]
        assert "ada" in out and key.strip() not in out
        code, _, err = run("deployment", "keys", "revoke", "live", "ada")
        assert code == 0 and "nobody is let in" in err
        assert "answers nobody" in run("deployment", "keys", "list", "live")[2]
        assert run("deployment", "keys", "open", "live")[0] == 0
        code, out, err = run("deployment", "keys", "list", "live")
        assert (out, "whoever reaches it can ask it" in err) == ("", True)
        code, _, err = run(
            *("deployment", "create", "delays", "--name", "live", "--host", "0.0.0.0"),
        )
        assert code == 2 and "live binds 127.0.0.1" in err
        code, out, _ = run(
            *("deployment", "create", "delays", "--name", "live", "--api-key", "eve"),
        )
        assert code == 0 and "key eve, shown this once: brixa_" in out
        seen = json.loads(run("deployment", "status", "live", "--json")[1])
        assert seen["ready_replicas"] == 1 and seen["canary"] is None
    finally:
        assert run("deployment", "delete", "live")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "delays", "--name", "d", "--autoscale", "4"), "is not MIN-MAX"),
        (("create", "delays", "--name", "d", "--target-cpu", "4"), "goes with"),
        (("status", "d", "--watch", "--json"), "leave one of"),
        (("judge", "d", "--max-time-ratio", "nan"), "nan is no number"),
        (("create", "delays", "--name", "d", "--api-key", "a", "--json"), "leave one"),
        (("create", "delays", "--name", "d", "--certificate", "c"), "go together"),
        (("create", "delays", "--name", "d", "--request-log-size", "1Gi"), "goes with"),
        (
            ("create", "delays", "--name", "d", "--no-tls", "--certificate", "c"),
            "leave one out",
        ),
    ],
)
def test_options_that_do_not_go_together_are_told(run, arguments, words):
    code, _, err = run("deployment", *arguments)
    assert code == 2 and words in err


def test_what_a_deployment_was_asked_is_compared_with_the_reference(
    run, storage, tmp_path
):
    registry = ModelRegistry(LocalStorageNode(storage))
    moved = pd.read_parquet(storage / "moved.parquet")
    keep_requests(registry, tmp_path, "asked", "delays", moved)
    check = ("drift", "check", "delays")
    code, out, _ = run(*check, "--deployment", "asked", "--since", "2026-01-01")
    assert code == 3 and "a drifted" in out
    for words, arguments in (
        (
            "no rows of that version and time",
            ("--deployment", "asked", "--until", "2026-01-01"),
        ),
        ("no rows of that version and time", ("--deployment", "never")),
    ):
        code, _, err = run(*check, *arguments)
        assert (code, words in err) == (1, True), err
    for arguments in ((), ("rows.parquet", "--deployment", "asked")):
        code, _, err = run(*check, *arguments)
        assert code == 2 and "give either DATA, or --deployment" in err


def test_watching_shows_what_is_new_until_nobody_watches():
    now = datetime.now(UTC)
    seen = DeploymentStatus(
        name="live",
        state="degraded",
        model_name="delays",
        version="1.0.0",
        endpoint="http://127.0.0.1:1",
        desired_replicas=2,
        ready_replicas=1,
        restarts=3,
        requests_total=7,
        request_rate=1.5,
        error_rate=0.25,
        p50_ms=2,
        p99_ms=40.25,
        last_error="replica 1 ended with signal 9",
        since=now - timedelta(minutes=5),
        observed_at=now,
        canary=CanaryStatus(version="1.1.0", share=0.1, shadow=False, since=now),
    )
    answers = iter([seen, seen.model_copy(update={"requests_total": 1234})])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    watch_status(lambda: next(answers), iter([None]), console)
    text = screen.getvalue()
    for words in (
        *("delays 1.0.0", "degraded", "5 min ago", "1 of 2", "1234, 1.5 a second"),
        *("25.00 %", "2.0 ms, 40.2 ms", "replica 1 ended with signal 9"),
        "live tries 1.1.0 on 0.1 of the requests",
    ):
        assert words in text, words
