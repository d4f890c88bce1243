"""A demo that is interrupted, killed or in the way leaves no process behind."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.running import Demo
from brixa_flows.errors import OrchestrationError

pytestmark = pytest.mark.slow(seconds=30)

BRIXA = [sys.executable, "-m", "brixa_flows.cli", "demo", "--home"]
# A child in a session of its own, as a deployment's supervisor is, that ignores SIGTERM.
STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True)
pathlib.Path(__file__).with_name(f"{os.getpid()}.ready").touch()
time.sleep(300)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DemoHome]:
    folder = DemoHome(tmp_path / "home")
    yield folder
    ProcessKeeper(folder).stop_all(grace_seconds=0.5)


@pytest.fixture
def demo(home: DemoHome) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `brixa demo` and returns when its Prefect server is a process."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*BRIXA, str(home.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        wait_for(lambda: _is_led_by(process.pid, home))
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _is_led_by(pid: int, home: DemoHome) -> bool:
    keeper = ProcessKeeper(home)
    owner = keeper.owner()
    return owner is not None and owner.pid == pid and len(keeper.survivors()) > 1


def _servers(home: DemoHome) -> list[int]:
    """Pids of the demo's servers, found by their arguments and not by its record."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "brixa_flows.demo.prefect_server" in (process.info["cmdline"] or [])
        and process.environ().get("PREFECT_HOME") == str(home.prefect)
    ]


def test_a_demo_is_interrupted_and_the_next_is_killed_and_nothing_is_left(
    home: DemoHome, demo: Callable[[], subprocess.Popen[str]]
) -> None:
    first = demo()
    assert len(_servers(home)) == 1
    with pytest.raises(OrchestrationError, match=f"process {first.pid}"):
        Demo(home, Console(file=io.StringIO())).run()
    first.send_signal(signal.SIGINT)
    # It first ends reading a year of flights, which on a busy machine takes a minute.
    _, err = first.communicate(timeout=120)
    assert first.returncode == 130
    assert "ended by SIGINT; nothing was left running" in err
    assert "Traceback" not in err
    assert _servers(home) == [] and ProcessKeeper(home).survivors() == []

    second = demo()  # in the folder that the first left as it was
    second.kill()
    second.wait(20)
    assert len(_servers(home)) == 1
    stopped = subprocess.run(
        [*BRIXA, str(home.path), "--stop"], capture_output=True, text=True, timeout=60
    )
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.startswith("stopped 1 process")
    assert _servers(home) == [] and ProcessKeeper(home).survivors() == []


def test_a_child_that_left_its_session_and_ignores_sigterm_ends_too(
    home: DemoHome, tmp_path: Path
) -> None:
    home.make_fresh()
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    keeper = ProcessKeeper(home)
    command = [sys.executable, str(script)]
    keeper.start("stubborn", command, environment={}, directory=tmp_path)
    wait_for(lambda: len(list(tmp_path.glob("*.ready"))) == 2)
    assert len(keeper.survivors()) == 2
    assert keeper.stop_all(grace_seconds=0.5) == 2
    assert keeper.survivors() == []


def test_a_process_that_fails_is_named_and_its_log_quoted(home: DemoHome) -> None:
    home.make_fresh()
    keeper = ProcessKeeper(home)
    code = "import sys; print('no such pool'); sys.exit(3)"
    command = [sys.executable, "-c", code]
    keeper.start("a step", command, environment={}, directory=home.path)
    with pytest.raises(OrchestrationError, match="(?s)a step ended .* 3.*no such pool"):
        keeper.wait("a step", timeout_seconds=20)


def test_a_folder_that_is_no_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OrchestrationError, match="not a demo's folder and not empty"):
        Demo(DemoHome(tmp_path), Console(file=io.StringIO())).run()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
