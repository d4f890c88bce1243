"""prefect.yaml on a server with a worker, while whatever runs it is killed.

The server's database is PostgreSQL where that is installed. Servers, workers and runs
die by SIGKILL, a server and a worker with all their processes, as with their machine.
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
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from packaging.version import Version
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from sklearn.linear_model import LogisticRegression

from brixa_flows.blocks import BrixaDriftPolicy
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

NAME, DEPLOYMENT = "stormy", "stormy-production"
MONTHS = ["2013-01", "2013-02", "2013-03"]
WATCHER = "Watch every window that closes"
KEPT = {"Start again what died", "Tell of an automation that failed", WATCHER}
KEPT |= {"Roll back after an alarm"}
WAIT_SECONDS = 400.0  # a machine with much else to do
SILENT_SECONDS = 5.0
EVENTS = ["training.completed", "model.registered", "model.evaluated"]
EVENTS += ["model.promoted", "model.deployed"]
OURS = {"deployments": {"tags": {"all_": ["brixa"]}}}

pytestmark = [
    pytest.mark.slow(seconds=110),
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
    """A server with the project deployed, a worker and some flights.

    Args:
        home: Its folder.
    """

    def __init__(self, home: DemoHome) -> None:
        self.home = home
        self.keeper = ProcessKeeper(home)
        self.stack = PrefectStack(home, self.keeper, project_files())
        storage = open_storage(str(home.storage))
        self.registry = ModelRegistry(storage, tracking_uri=home.tracking_uri)
        self.deployer = ModelDeployer(self.registry)
        self._http = httpx.Client(timeout=20)
        self.deployments: list[int] = []
        self.automations_made: list[str] = []

    def close(self) -> None:
        """End all of it."""
        for name in self.deployer.list():
            self.deployer.delete(name)
        self._http.close()
        self.stack.close()
        self.keeper.stop_all()

    def deploy_again(self) -> None:
        """``prefect deploy --all`` a second time."""
        self.deployments.append(self.ask("/deployments/count", **OURS))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        subprocess.run(
            command,
            cwd=project_files(),
            env=self.stack.environment,
            check=True,
            timeout=WAIT_SECONDS,
            stdout=subprocess.DEVNULL,
        )
        self.deployments.append(self.ask("/deployments/count", **OURS))
        self.automations_made = [each["name"] for each in self.automations()]

    def start_server(self) -> None:
        """Start it, or start it again on the same port and database."""
        self.stack.start_server()
        self.stack.wait_for_server()

    def call(self, method: str, path: str, **json: Any) -> Any:
        """Ask the server."""
        url = self.stack.api.url + path
        answer = self._http.request(method, url, json=json or None)
        return answer.raise_for_status().json() if answer.content else None

    def ask(self, path: str, **query: Any) -> Any:
        """``POST`` a filter."""
        return self.call("POST", path, **query)

    def automations(self) -> list[dict[str, Any]]:
        """All of them."""
        return list(self.ask("/automations/filter", limit=200))

    def run(self, flow: str, request: dict[str, Any], deployment: str = "brixa") -> str:
        """Start a deployment as a person would; the run's id."""
        whole = {"request": request}
        return self.stack.api.run_deployment(f"{flow}/{deployment}", whole)

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

    def state(self, run_id: str) -> str:
        """Name of the state of a run."""
        return str(self.call("GET", f"/flow_runs/{run_id}")["state"]["name"])

    def states(self, run_id: str) -> set[str]:
        """Names of all the states it was in."""
        found = self.call("GET", f"/flow_run_states/?flow_run_id={run_id}")
        return {state["name"] for state in found}

    def wait(self, run_id: str, name: str = "Completed") -> None:
        """Return when the run is in a state."""
        arrived = lambda: self.state(run_id) == name  # noqa: E731
        wait_until(arrived, WAIT_SECONDS, f"{run_id} to be {name}")

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
        return any(self._processes())

    def _processes(self, run_id: str = "") -> Iterator[psutil.Process]:
        """Those that work on runs of this server, or on one of them."""
        wanted = {"PREFECT_API_URL": self.stack.api.url}
        if run_id:
            wanted["PREFECT__FLOW_RUN_ID"] = run_id
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                variables, command = process.environ(), " ".join(process.cmdline())
                is_run = "PREFECT__FLOW_RUN_ID" in variables
                if is_run and wanted.items() <= variables.items():
                    if "prefect.engine" in command:
                        yield process

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

    def kill(self, process: str) -> None:
        """SIGKILL a process of the stack and all that it started."""
        recorded = json.loads((self.home.path / "processes.json").read_text())
        top = psutil.Process(recorded[process][0])
        for each in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(each.pid, signal.SIGKILL)
        top.wait(20)

    def kill_run(self, run_id: str, ready: Callable[[], bool]) -> None:
        """SIGKILL the process of a run as soon as the run got somewhere."""
        wait_until(ready, WAIT_SECONDS, f"the middle of {run_id}", 0.01)
        [process] = self._processes(run_id)
        os.kill(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> str:
    """URL of an empty database; none where PostgreSQL is not installed."""
    try:
        uri = empty_database(request.getfixturevalue("postgres_uri"))
    except pytest.skip.Exception:
        return ""
    return "postgresql+asyncpg" + uri[uri.index("://") :]


@pytest.fixture(scope="module")
def loop(
    tmp_path_factory: pytest.TempPathFactory, database: str, mlflow_template_db: Path
) -> Iterator[Loop]:
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
        loop.deploy_again()
        yield loop
    finally:
        loop.close()
        gc.collect()  # sockets that Prefect's clients left, met where that is forgiven


class Story(NamedTuple):
    """What the loop did with a model while it was killed."""

    version: str
    events: Counter[str]
    stages: list[str]
    evaluation: dict[str, Any]
    deploying: set[str]
    left_to_do: int


@pytest.fixture(scope="module")
def story(loop: Loop) -> Story:
    """A training goes through the loop while worker, server and a run die."""
    root, layout = loop.home.storage, loop.registry.layout
    changes = root / layout.model_prefix(NAME) / "_journal" / "changes"
    serving = root / layout.deployment_prefix(DEPLOYMENT)
    training = {"name": NAME, "data": str(loop.home.data), "last_month": MONTHS[0]}
    loop.run("train", training, "flights-delay")
    loop.until(lambda: loop.is_running(NAME, "evaluate_model"), "the evaluation")
    loop.kill("prefect worker")
    loop.stack.start_worker()
    loop.until(lambda: any(changes.rglob("*.json")), "the promotion")
    loop.kill("prefect server")
    loop.start_server()
    loop.until(lambda: loop.is_running(NAME, "deploy_model"), "the roll-out")
    [deploying] = loop.runs(NAME)["deploy_model"]
    loop.kill_run(deploying["id"], serving.exists)
    loop.until(lambda: {*EVENTS} <= loop.events(NAME).keys(), "every event")
    # Its event may be there before anybody started it again.
    loop.until(lambda: loop.state(deploying["id"]) == "Completed", "its end")
    [sealed] = loop.registry.list_versions(NAME)
    [evaluation] = loop.runs(NAME)["evaluate_model"]
    return Story(
        str(sealed.version),
        loop.events(NAME),
        [str(change.target) for change in loop.registry.stage_history(NAME)],
        evaluation,
        loop.states(deploying["id"]),
        loop.reconcile(),
    )


@pytest.fixture(scope="module")
def served(loop: Loop, story: Story) -> str:
    """The version that is served; few automations are left, single flows follow."""
    for automation in loop.automations():
        if automation["name"] not in KEPT:
            loop.call("DELETE", f"/automations/{automation['id']}")
    return story.version


def test_the_project_is_deployed_twice_and_each_automation_is_there_once(
    loop: Loop,
) -> None:
    written = yaml.safe_load((project_files() / "prefect.yaml").read_text())
    names = [
        trigger["name"]
        for deployment in written["deployments"]
        for trigger in deployment.get("triggers", ())
    ]
    assert sorted(loop.automations_made) == sorted(names)
    assert loop.deployments == [len(written["deployments"])] * 2


def test_what_a_loop_leaves_is_in_postgresql_where_that_is(database: str) -> None:
    require("PostgreSQL (initdb, pg_ctl)", bool(database))
    assert database.startswith("postgresql")


def test_a_schedule_makes_runs(loop: Loop) -> None:
    old = Version(version("sqlalchemy")) < Version("2.1")
    require("SQLAlchemy below 2.1, which pyproject.toml asks for,", old)
    [reconcile] = loop.ask("/deployments/filter", **_named("flows", "reconcile"))
    page = f"/deployments/{reconcile['id']}"
    loop.call("POST", f"{page}/resume_deployment")

    def is_planned() -> bool:
        return bool(loop.ask("/flow_runs/filter", **_named("flows", "reconcile")))

    wait_until(is_planned, 30, "a scheduled run")
    loop.call("POST", f"{page}/pause_deployment")


def _named(kind: str, name: str) -> dict[str, Any]:
    return {kind: {"name": {"any_": [name]}}}


def test_server_worker_and_run_die_in_the_middle_and_nothing_is_lost_or_done_twice(
    loop: Loop, story: Story
) -> None:
    assert story.events == Counter(EVENTS)
    assert (story.version, story.stages) == ("1.0.0", ["production"])
    assert loop.deployer.list() == [DEPLOYMENT]
    assert loop.deployer.config(DEPLOYMENT).version == story.version
    assert story.evaluation["run_count"] == 2  # the second worker went on with it
    assert {"Crashed", "AwaitingRestart"} <= story.deploying
    assert story.left_to_do == 0


def test_flows_that_are_killed_go_on_and_their_effects_are_there_once(
    loop: Loop, served: str
) -> None:
    registry, root = loop.registry, loop.home.storage
    claims = root / registry.layout.meta_prefix / "retrainings" / NAME
    reports = root / registry.layout.model_prefix(NAME) / "_journal" / "drift"

    who = {"name": NAME, "version": served}
    training = loop.run("retrain", {**who, "end": "2013-03-01"})
    loop.kill_run(training, lambda: any(claims.rglob("*.json")))
    rows = str(loop.home.data / f"{MONTHS[1]}.parquet")
    window = {"start": "2013-02-01", "end": "2013-03-01", "kind": "sample"}
    about = {"name": NAME, "deployment": DEPLOYMENT, "data_uri": rows, **window}
    watching = loop.run("monitor_drift", about)
    loop.kill_run(watching, lambda: any(reports.rglob("*.json")))
    for run_id in (training, watching):
        loop.wait(run_id)
        assert {"Crashed", "AwaitingRestart"} <= loop.states(run_id)
    [report] = registry.drift_reports(NAME, served)

    told = "drift.detected" if report["alarm"] else "window.checked"
    wanted = Counter({"training.completed": 2, told: 1})
    wait_until(lambda: wanted <= loop.events(NAME), 60, "the events")
    assert {name: loop.events(NAME)[name] for name in wanted} == wanted


def test_a_reconcile_that_is_killed_is_followed_by_the_next_one(
    loop: Loop, served: str
) -> None:
    request = {"registry": "brixa", "older_than_seconds": 0}
    killed = loop.run("reconcile", request)
    loop.kill_run(killed, lambda: loop.state(killed) == "Running")
    loop.wait(killed, "Crashed")
    for stage in ("archived", "staging"):  # by hand, so nobody announced it
        loop.registry.transition(NAME, served, stage)
    loop.wait(loop.run("reconcile", request))
    wait_until(lambda: loop.events(NAME)["model.promoted"] == 2, 60, "the promotion")
    assert loop.state(killed) == "Crashed"


def test_an_automation_that_could_not_start_its_run_is_told(
    loop: Loop, served: str
) -> None:
    event = {
        "id": str(uuid4()),
        "event": "brixa.window.closed",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": "brixa.model.any"},
        "payload": {"name": "no other key"},
    }
    httpx.post(f"{loop.stack.api.url}/events", json=[event]).raise_for_status()
    wanted = f"The automation {WATCHER} could not act"

    def told() -> bool:
        runs = loop.ask("/flow_runs/filter", **_named("flows", "tell"))
        return wanted in [run["parameters"]["request"]["subject"] for run in runs]

    wait_until(told, WAIT_SECONDS, "the run of tell")


def test_an_alarm_whose_policy_says_so_brings_the_version_before_back(
    loop: Loop, served: str
) -> None:
    registry, name = loop.registry, "swaying"
    values = np.random.default_rng(0).normal(size=(400, 2))
    rows = pd.DataFrame(values, columns=["a", "b"])
    model = LogisticRegression().fit(rows, rows["a"] > 0)
    for _ in range(2):
        version = registry.register_model(name, "classification", "sklearn").version
        registry.save_model(name, version, model, reference=rows)
        registry.transition(name, version, "production")
    source = loop.home.data / "warmer.parquet"
    (rows + 3).to_parquet(source)
    with temporary_settings({PREFECT_API_URL: loop.stack.api.url}):
        BrixaDriftPolicy(response="roll_back").save("rolls-back")
    asked = {"name": name, "source": str(source), "output": f"{source}.csv"}
    window = {"start": "2026-01-01", "end": "2026-01-02", "policy": "rolls-back"}
    loop.wait(loop.run("predict_batch", {**asked, **window}))
    wait_until(lambda: "roll_back" in loop.runs(name), WAIT_SECONDS, "the run")
    [run] = loop.runs(name)["roll_back"]
    loop.wait(run["id"])
    assert run["created_by"]["type"] == "AUTOMATION"
    [*_, back] = registry.stage_history(name)
    assert (str(back.version), str(back.replaced)) == ("1.0.0", "1.0.1")
    assert back.actor == "flow run roll swaying 1.0.1 back"
    assert "Drift in 2 of 2 columns over 400 rows" in back.reason
