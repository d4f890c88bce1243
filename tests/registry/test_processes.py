"""What holds when processes are killed or race, on real files and a real MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("process_driver.py")


def run(scenario: str, tmp_path: Path, tracking_uri: str) -> dict[str, Any]:
    root = tmp_path / "storage"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, str(DRIVER), scenario, str(root), tracking_uri],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_kill_minus_9_at_each_step_leaves_a_version_whole_or_absent(
    tmp_path: Path, tracking_uri: str
) -> None:
    found = run("crash", tmp_path, tracking_uri)
    good = [[0, 1], {"f1": 0.5}]
    back = ["registered", "registered", *good]
    assert found["points"] == {
        "claimed": back,
        "registered": back,
        "staged": back,
        "run-made": back,
        "metadata-written": back,
        "published": ["registered", "ready", *good],
        "shown": ["registered", "ready", *good],
        "sealed": ["ready", "ready", *good],
    }
    actions = {action["name"]: action["action"] for action in found["first"]}
    assert actions == {
        "claimed": "metadata written",
        "staged": "discarded",
        "run-made": "discarded",
        "metadata-written": "discarded",
        "published": "completed",
        "shown": "completed",
        "change-written": "stages shown",
        "alias-set": "stages shown",
        "models/_meta/_registry.json": "index rebuilt",
    }
    assert found["second"] == []
    for version, aliases, stages in found["stages"].values():
        assert version == "1.0.1"
        assert aliases == {"production": "1.0.1"}
        assert stages == {"1.0.0": "archived", "1.0.1": "production"}


def test_processes_that_race_get_distinct_numbers_and_one_winner_each(
    tmp_path: Path, tracking_uri: str
) -> None:
    found = run("race", tmp_path, tracking_uri)
    assert found["codes"] == [0, 0, 0, 0]
    answers = found["answers"]
    numbers = [number for each in answers for number in each["numbers"]]
    assert sorted(numbers, key=lambda text: int(text.rpartition(".")[2])) == [
        f"1.0.{patch}" for patch in range(20)
    ]
    assert sum(each["won"] for each in answers) == 1
    assert sum(each["saved"] for each in answers) == 1
    assert found["holders"] == [found["last"]]
    assert found["alias"] == {"production": found["last"]}
    assert found["records"] == 4 + 3  # each promoted, all but the last archived
    assert found["index"]["models"]["shared"]["versions"] == 20
    assert found["index"]["models"]["staged"]["stages"] == {"production": found["last"]}
    assert found["recovered"] == []
