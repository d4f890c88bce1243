"""What holds when processes are killed or race, on real files and a real MLflow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import empty_database
from tests.registry.mlflow_picture import picture_of

DRIVER = Path(__file__).with_name("process_driver.py")
WRITERS = 16


def run(scenario: str, tmp_path: Path, *uris: str) -> list[dict[str, Any]]:
    """What the driver tells of each backend; it says nothing else."""
    places = [
        word
        for index, uri in enumerate(uris)
        for word in (str(tmp_path / f"storage-{index}"), uri)
    ]
    done = subprocess.run(
        [sys.executable, str(DRIVER), scenario, *places],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    slow = ("takes long to show this", "by now; trying again")  # on a busy machine
    told = [x for x in done.stderr.splitlines() if not any(each in x for each in slow)]
    assert told == [], done.stderr[-5000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_kill_minus_9_at_each_step_leaves_a_version_whole_or_absent(
    tmp_path: Path, tracking_uri: str
) -> None:
    [found] = run("crash", tmp_path, tracking_uri)
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
    actions = {
        action["name"]: action["action"]
        for action in found["first"]
        if action["action"] != "staging removed"  # if they are some seconds old
    }
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
    assert [each for each in found["second"] if "staging removed" not in each] == []
    for version, aliases, stages in found["stages"].values():
        assert version == "1.0.1"
        assert aliases == {"production": "1.0.1"}
        assert stages == {"1.0.0": "archived", "1.0.1": "production"}


@pytest.mark.slow(seconds=30)
def test_sixteen_processes_get_numbers_of_their_own_and_one_winner_on_each_backend(
    tmp_path: Path, mlflow_server_uri: str, postgres_uri: str
) -> None:
    """Both databases are new ones, so they all make their tables at once, too."""
    new = f"sqlite:///{tmp_path}/new/mlflow.db"
    empty = empty_database(postgres_uri)
    for found in run("race", tmp_path, new, mlflow_server_uri, empty):
        assert found["codes"] == [0] * WRITERS
        answers = found["answers"]
        numbers = [number for each in answers for number in each["numbers"]]
        assert sorted(numbers, key=lambda text: int(text.rpartition(".")[2])) == [
            f"1.0.{patch}" for patch in range(3 * WRITERS)
        ]
        assert sum(each["won"] for each in answers) == 1
        assert sum(each["saved"] for each in answers) == 1
        assert sorted(each["f1"] for each in found["metrics"]) == list(range(WRITERS))
        assert found["found"] == found["recovered"] == []
        check_one_holder_at_any_time(found)
    assert {path.name for path in tmp_path.iterdir()} == {
        "new",
        "storage-0",
        "storage-1",
        "storage-2",
    }


def check_one_holder_at_any_time(found: dict[str, Any]) -> None:
    """Replay the history; MLflow shows and the index says what it ends with."""
    stages: dict[str, str] = {}
    for version, source, target in found["moves"]:
        assert stages.get(version) == source
        stages[version] = target
        assert list(stages.values()).count("production") <= 1
    assert len(found["moves"]) == 2 * WRITERS - 1  # all but the last archived
    [holder] = [version for version in stages if stages[version] == "production"]
    assert found["alias"] == {"production": holder}
    assert found["shown"] == stages
    [staged] = [each for name, each in found["index"].items() if "staged" in name]
    assert staged["stages"] == {"production": holder}
    [shared] = [each for name, each in found["index"].items() if "shared" in name]
    assert shared["versions"] == 3 * WRITERS


def test_a_rebuild_that_is_killed_at_each_step_ends_as_one_that_was_not(
    tmp_path: Path, tracking_uri: str
) -> None:
    [found] = run("rebuild", tmp_path, tracking_uri)
    assert found["killed"] == [signal.SIGKILL] * 8
    assert (found["first"], found["second"]) == ([], [])
    digest = ("brixa.digest",)
    before = picture_of(tracking_uri, "m", without=digest)
    assert before["m"]["aliases"] == {"staging": "1.0.0", "production": "1.0.1"}
    assert picture_of(f"{tracking_uri}.new", "m", without=digest) == before


def test_a_save_that_was_stopped_until_its_lease_expired_does_no_harm(
    tmp_path: Path, tracking_uri: str
) -> None:
    [found] = run("stopped", tmp_path, tracking_uri)
    assert found["answers"] == {
        "writing": ["done", "VersionExistsError"],
        "recording": ["done", "TrackingError"],
        "publishing": ["done", "VersionExistsError"],
        "published": ["VersionExistsError", "done"],  # recovery completed it
        "shown": ["VersionExistsError", "done"],
        "both": ["done", "VersionExistsError"],
    }
    first, second = [0, 1], [1, 0]
    assert found["found"] == {
        "writing": second,
        "recording": second,
        "publishing": second,
        "published": first,
        "shown": first,
        "both": second,
    }
    assert [each for each in found["left"] if "staging removed" not in each] == []
