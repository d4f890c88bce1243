"""The loop on a Prefect server with PostgreSQL, while what runs it is killed.

Servers and workers die by SIGKILL with all their processes, as with their machine.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest
import yaml
from packaging.version import Version
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.demo import traffic
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.project import project_files
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.deployment import ModelDeployer
from brixa_flows.outbox import Outbox, Reconciler
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage import open_storage
from brixa_flows.tasks.announcing import deliver
from brixa_flows.tasks.event_feed import look_up
from brixa_flows.tasks.restarting import restart_dead_runs
from tests.backends import copy_template
from tests.postgres import empty_database
from tests.requirements_present import require

MONTHS = ["2013-01", "2013-02"]
WAIT_SECONDS = 400.0  # a machine with much else to do
SILENT_SECONDS = 5.0
EVENTS = ["training.completed", "model.registered", "model.evaluated"]
EVENTS += ["model.promoted", "model.deployed"]
OURS = {"deployments": {"tags": {"all_": ["brixa"]}}}

pytestmark = [
    pytest.mark.slow(seconds=90),
    pytest.mark.timeout(1200),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
]


@flow
def looking() -> None:
    """Stands for reconcile."""


class Loop:
    """A server on PostgreSQL with the project deployed, a worker and some flights.

    Args:
        home: Its folder.
    """

    def __init__(self, home: DemoHome) -> None:
        self.home = home
        self.keeper = ProcessKeeper(home)
        self.stack = PrefectStack(home, self.keeper, project_files())
        storage = open_storage(str(home.storage))
        self.registry = ModelRegistry(storage, tracking_uri=home.tracking_uri)

    def deploy(self) -> None:
        """``prefect deploy --all`` and no more."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        subprocess.run(
            command,
            cwd=project_files(),
            env=self.stack.environment,
            check=True,
            timeout=WAIT_SECONDS,
            stdout=subprocess.DEVNULL,
        )

    def start_server(self) -> None:
        """Start it, or start it again on the same port and database."""
        self.stack.start_server()
        self.stack.wait_for_server()

    def ask(self, path: str, **query: Any) -> Any:
        """``POST`` a filter."""
        answer = httpx.post(self.stack.api.url + path, json=query, timeout=20)
        return answer.raise_for_status().json()

    def train(self, name: str) -> None:
        """Start the training of a model as a person would."""
        request = {"name": name, "data": str(self.home.data), "last_month": "2013-01"}
        self.stack.api.run_deployment("train/flights-delay", {"request": request})

    def runs(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """Runs about a model by the name of their flow."""
        flows = {each["id"]: each["name"] for each in self.ask("/flows/filter")}
        found: dict[str, list[dict[str, Any]]] = {}
        for run in self.ask("/flow_runs/filter"):
            if (run["parameters"].get("request") or {}).get("name") == name:
                found.setdefault(flows[run["flow_id"]], []).append(run)
        return found

    def is_running(self, name: str, step: str) -> bool:
        """Whether a step of a model's way is running."""
        found = self.runs(name).get(step, ())
        return any(run["state_type"] == "RUNNING" for run in found)

    def events(self, name: str) -> Counter[str]:
        """How often each of our events about a model is in the database."""
        query = {"resource": {"id": [f"brixa.model.{name}"]}}
        found = self.ask("/events/filter", filter=query, limit=50)["events"]
        return Counter(event["event"].removeprefix("brixa.") for event in found)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Return when something happened; what died meanwhile goes on as by reconcile.

        With its patience of minutes cut short: dead is what has no process here.
        """

        def happened() -> bool:
            if not done() and not self.is_at_work():
                self.reconcile()
            return done()

        wait_until(happened, WAIT_SECONDS, what, 0.05)

    def is_at_work(self) -> bool:
        """Whether any process works on a run."""
        return any(map(_has_a_run, psutil.process_iter()))

    def reconcile(self) -> int:
        """What the flow does; how much there was to do."""
        with temporary_settings({PREFECT_API_URL: self.stack.api.url}):
            with get_client(sync_client=True) as client, disable_run_logger():
                me = client.create_flow_run(looking)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(me.id))
                    dead = restart_dead_runs.fn(SILENT_SECONDS)
                client.delete_flow_run(me.id)
            reconciler = Reconciler(
                self.registry, deliver, look_up, older_than=timedelta(seconds=10)
            )
            return len(dead) + len(reconciler.run().delivered)

    def kill_server(self) -> None:
        """SIGKILL it and start it again."""
        self.kill("prefect server")
        self.start_server()

    def kill(self, process: str) -> None:
        """SIGKILL a process and all that it started."""
        recorded = json.loads((self.home.path / "processes.json").read_text())
        top = psutil.Process(recorded[process][0])
        for each in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(each.pid, signal.SIGKILL)
        top.wait(20)


def _has_a_run(process: psutil.Process) -> bool:
    try:
        return "PREFECT__FLOW_RUN_ID" in process.environ() and (
            "prefect.engine" in " ".join(process.cmdline())
        )
    except (psutil.Error, OSError):
        return False


@pytest.fixture(scope="module")
def loop(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_uri: str,
    mlflow_template_db: Path,
) -> Iterator[Loop]:
    database = empty_database(postgres_uri)
    database = "postgresql+asyncpg" + database[database.index("://") :]
    home = DemoHome(tmp_path_factory.mktemp("loop") / "home", database)
    home.make_fresh()
    home.registry_folder.mkdir(parents=True)
    copy_template(mlflow_template_db, home.registry_folder / "mlflow.db")
    traffic.write_months(home.data, MONTHS)
    for month in MONTHS:
        path = home.data / f"{month}.parquet"
        pd.read_parquet(path).iloc[::2].to_parquet(path)
    loop = Loop(home)
    Outbox(loop.registry).begin()
    try:
        loop.start_server()
        loop.stack.deploy()
        loop.stack.wait_for_worker()
        yield loop
    finally:
        loop.stack.close()
        loop.keeper.stop_all()
        gc.collect()  # sockets that Prefect's clients left, met where that is forgiven


def test_the_project_is_deployed_twice_and_each_automation_is_there_once(
    loop: Loop,
) -> None:
    loop.deploy()
    written = yaml.safe_load((project_files() / "prefect.yaml").read_text())
    triggers = [
        trigger["name"]
        for deployment in written["deployments"]
        for trigger in deployment.get("triggers", ())
    ]
    made = [each["name"] for each in loop.ask("/automations/filter", limit=200)]
    assert sorted(made) == sorted(triggers)
    assert loop.ask("/deployments/count", **OURS) == len(written["deployments"])


def test_a_schedule_makes_runs(loop: Loop) -> None:
    old = Version(version("sqlalchemy")) < Version("2.1")
    require("SQLAlchemy below 2.1, which pyproject.toml asks for,", old)
    [reconcile] = loop.ask("/deployments/filter", **_named("flows", "reconcile"))
    page = f"{loop.stack.api.url}/deployments/{reconcile['id']}"
    httpx.post(f"{page}/resume_deployment", timeout=20).raise_for_status()

    def is_planned() -> bool:
        return bool(loop.ask("/flow_runs/filter", **_named("flows", "reconcile")))

    wait_until(is_planned, 30, "a scheduled run")
    httpx.post(f"{page}/pause_deployment", timeout=20).raise_for_status()


def _named(kind: str, name: str) -> dict[str, Any]:
    return {kind: {"name": {"any_": [name]}}}


def test_server_and_worker_die_in_the_middle_and_nothing_is_lost_or_done_twice(
    loop: Loop,
) -> None:
    name, root, layout = "stormy", loop.home.storage, loop.registry.layout
    changes = root / layout.model_prefix(name) / "_journal" / "changes"
    served = root / layout.deployment_prefix(f"{name}-production") / "config.json"
    loop.train(name)
    loop.until(lambda: loop.is_running(name, "train"), "the training")
    loop.kill_server()
    loop.until(lambda: loop.is_running(name, "evaluate_model"), "the evaluation")
    loop.kill("prefect worker")
    loop.stack.start_worker()
    loop.until(lambda: any(changes.rglob("*.json")), "the promotion")
    loop.kill_server()
    loop.until(served.exists, "the roll-out")
    loop.kill_server()
    loop.until(lambda: {*EVENTS} <= loop.events(name).keys(), "every event")
    assert loop.events(name) == Counter(EVENTS)

    [sealed] = loop.registry.list_versions(name)
    [change] = loop.registry.stage_history(name)
    assert (str(sealed.version), change.target) == ("1.0.0", "production")
    deployer = ModelDeployer(loop.registry)
    assert deployer.list() == [f"{name}-production"]
    assert deployer.config(f"{name}-production").version == "1.0.0"
    [evaluation] = loop.runs(name)["evaluate_model"]
    assert evaluation["run_count"] == 2  # the second worker went on with it
    assert loop.reconcile() == 0
