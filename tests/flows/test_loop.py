"""The loop end to end on a real Prefect server and worker, with less of the year."""

from __future__ import annotations

import gc
import io
import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import httpx
import psutil
import pytest
from rich.console import Console

from brixa_flows.demo import stack as stack_room
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.running import Demo
from brixa_flows.demo.scenario import MODEL, Plan
from brixa_flows.demo.summary import Summary
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage import open_storage

SHORT = Plan(last_scored="2013-05", weeks=0, weak_candidate=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DemoHome:
    return DemoHome(tmp_path_factory.mktemp("loop") / "home")


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """The port that the server was to have, and that somebody took meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def summary(home: DemoHome, taken_port: int) -> Iterator[Summary]:
    demo = Demo(home, Console(file=io.StringIO(), width=120), SHORT)
    ports = chain([taken_port], iter(stack_room.free_port, -1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack_room, "free_port", lambda: next(ports))
        summary = demo.run(keep=True)
    yield summary
    demo.keeper.stop_all()
    del demo
    gc.collect()  # sockets that Prefect's clients left, met where that is forgiven


@pytest.fixture(scope="module")
def registry(home: DemoHome, summary: Summary) -> ModelRegistry:
    storage = open_storage(str(home.storage))
    return ModelRegistry(storage, tracking_uri=home.tracking_uri)


pytestmark = [
    pytest.mark.slow(seconds=120),
    pytest.mark.timeout(900),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_events_carry_the_first_version_into_production_and_an_alarm_its_successor(
    summary: Summary, registry: ModelRegistry
) -> None:
    story = summary.story
    assert story.first_version == "1.0.0"
    assert story.new_version == "1.0.1"
    assert story.alarm_month == "2013-04"
    assert "temp" in story.alarm
    stages = {str(v.version): v.stage for v in registry.list_versions(MODEL)}
    assert stages == {"1.0.0": "archived", "1.0.1": "production"}


def _after_degradation(registry: ModelRegistry) -> int:
    """Alarms on months, each of which starts a retrain beside the one of drift."""
    found = registry.performance_reports(MODEL, "1.0.0")
    return sum(each["alarm"] and each["window"] == "month" for each in found)


def test_automations_and_not_a_script_started_every_flow_but_the_first(
    summary: Summary, registry: ModelRegistry
) -> None:
    by_person = [run for run in summary.runs if run.automation == "(a person)"]
    assert len(by_person) == 1
    assert len(summary.runs) - _after_degradation(registry) == 13


def test_the_successor_is_better_on_the_month_after_its_data(summary: Summary) -> None:
    [march, april, may] = summary.story.months
    assert march.new is None and april.new is None
    assert may.new is not None and may.new > may.old + 0.01


def test_each_version_tells_what_went_into_it(registry: ModelRegistry) -> None:
    metadata = registry.get_metadata(MODEL, "production")
    lineage = metadata.lineage
    assert lineage.datasets[0].rows and lineage.datasets[0].digest
    assert lineage.run_id and lineage.flow_run_id
    assert "scikit-learn" in lineage.environment
    assert metadata.input_schema and metadata.hyperparameters["last_month"] == "2013-04"
    assert metadata.has_reference
    nodes = registry.lineage(MODEL, metadata.version).to_dict()
    assert "deployment" in str(nodes)


def test_the_reports_of_the_loop_are_kept(
    summary: Summary, registry: ModelRegistry, home: DemoHome
) -> None:
    assert summary.png.stat().st_size > 10_000
    assert "<img" in summary.html.read_text()
    checks = registry.drift_reports(MODEL, "1.0.0")
    assert [check["status"] for check in checks] == ["ok", "ok", "drift"]
    judged = registry.performance_reports(MODEL, "1.0.0")
    assert {each["start"] for each in judged} == {each["start"] for each in checks}
    assert registry.evaluations(MODEL, "1.0.1")
    assert [str(r.version) for r in registry.stage_history(MODEL)][0] == "1.0.0"


def test_a_server_whose_port_was_taken_meanwhile_starts_on_another(
    summary: Summary, home: DemoHome, taken_port: int
) -> None:
    assert f":{taken_port}" not in summary.links["prefect"]
    log = (home.logs / "prefect-server.log").read_text()
    assert f"Port {taken_port} is already in use" in log


def test_no_write_of_prefect_was_refused(summary: Summary, home: DemoHome) -> None:
    log = (home.logs / "prefect-server.log").read_text()
    assert "Check out the dashboard" in log
    assert "locked" not in log


def test_what_is_kept_answers_and_stop_ends_it_all(
    summary: Summary, home: DemoHome
) -> None:
    links = summary.links
    for page in (links["prefect"], links["mlflow"], f"{links['endpoint']}/docs"):
        assert httpx.get(page, timeout=20).status_code == httpx.codes.OK
    command = shlex.split(links["curl"])
    asked = httpx.post(
        command[2], content=command[-1], headers=dict([command[4].split(": ")])
    )
    assert asked.json()["model_version"] == "1.0.1"
    running = {process.pid for process in ProcessKeeper(home).survivors()}
    recorded = json.loads((home.path / "processes.json").read_text())
    worker, server = recorded["prefect worker"][0], recorded["prefect server"][0]
    assert {worker, server} < running and len(running) >= 5  # supervisor, replica, UI

    command = [sys.executable, "-m", "brixa_flows.cli", "demo", "--stop"]
    command += ["--home", str(home.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stopped ")
    assert ProcessKeeper(home).survivors() == []
    assert [pid for pid in running if _runs(pid)] == []


def _runs(pid: int) -> bool:
    """Whether it does; one of ours that ended is a zombie, as nobody waited for it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_mlflow_alone_predicts_with_the_version_in_production(
    registry: ModelRegistry, home: DemoHome
) -> None:
    may: Path = home.data / "2013-05.parquet"
    script = (
        "import sys, mlflow, pandas\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        f"model = mlflow.pyfunc.load_model('models:/{MODEL}@production')\n"
        "rows = pandas.read_parquet(sys.argv[2]).head(50)\n"
        "columns = model.metadata.get_input_schema().input_names()\n"
        "print(len(model.predict(rows[columns])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, home.tracking_uri, str(may)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("50")
