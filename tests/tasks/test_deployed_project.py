"""prefect.yaml on a real server with a worker: deployed twice, and its runs killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from brixa_flows.demo import traffic
from brixa_flows.demo.project import project_files
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.deployment import ModelDeployer
from brixa_flows.outbox import Outbox
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage import open_storage
from tests.backends import copy_template

NAME = "killed"
WATCHER = "Watch every window that closes"
KEPT = {"Start again what died", "Tell of an automation that failed", WATCHER}
MONTHS = ["2013-01", "2013-02", "2013-03"]
OURS = {"deployments": {"tags": {"all_": ["brixa"]}}}
WAIT_SECONDS = 180.0

pytestmark = [
    pytest.mark.slow(seconds=90),
    pytest.mark.timeout(600),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
]


class Server:
    """The server with the project deployed and a worker."""

    def __init__(self, stack: PrefectStack) -> None:
        self.stack = stack
        self._http = httpx.Client(base_url=stack.api.url, timeout=20)
        self.deployments: list[int] = []
        self.found: list[str] = []

    def deploy_again(self) -> None:
        """``prefect deploy --all`` a second time; then only one automation is left."""
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
        for automation in self.automations():
            self.found.append(automation["name"])
            if automation["name"] not in KEPT:  # other tests are about single flows
                self.delete("automations", automation["id"])

    def ask(self, path: str, **query: Any) -> Any:
        """``POST`` a filter."""
        return self._http.post(path, json=query).raise_for_status().json()

    def automations(self) -> list[dict[str, Any]]:
        """All of them."""
        return list(self.ask("/automations/filter", limit=200))

    def delete(self, kind: str, each: str) -> None:
        """Delete one thing."""
        self._http.delete(f"/{kind}/{each}").raise_for_status()

    def emit(self, name: str, payload: dict[str, Any]) -> None:
        """Send an event about a model."""
        event = {
            "id": str(uuid4()),
            "event": name,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": "brixa.model.any"},
            "payload": payload,
        }
        self._http.post("/events", json=[event]).raise_for_status()

    def run(self, flow: str, request: dict[str, Any]) -> str:
        """Start a deployment as a person would; the run's id."""
        return self.stack.api.run_deployment(f"{flow}/brixa", {"request": request})

    def kill(self, run_id: str, ready: Callable[[], bool]) -> None:
        """SIGKILL the process of a run as soon as the run got somewhere."""
        wait_until(ready, WAIT_SECONDS, f"the middle of {run_id}", 0.01)
        [process] = filter(lambda each: _works_on(each, run_id), psutil.process_iter())
        os.kill(process.pid, signal.SIGKILL)

    def state(self, run_id: str) -> dict[str, Any]:
        """The state of a run."""
        found = self._http.get(f"/flow_runs/{run_id}").raise_for_status().json()
        return dict(found["state"])

    def states(self, run_id: str) -> list[str]:
        """Names of all the states it was in."""
        found = self._http.get("/flow_run_states/", params={"flow_run_id": run_id})
        return [state["name"] for state in found.raise_for_status().json()]

    def wait(self, run_id: str, name: str = "Completed") -> None:
        """Return when the run is in a state."""
        arrived = lambda: self.state(run_id)["name"] == name  # noqa: E731
        wait_until(arrived, WAIT_SECONDS, f"{run_id} to be {name}")

    def events(self, about: str) -> Counter[str]:
        """How often each of our events about a model is in the database."""
        query = {"resource": {"id": [f"brixa.model.{about}"]}}
        found = self.ask("/events/filter", filter=query, limit=50)["events"]
        return Counter(event["event"] for event in found)


def _works_on(process: psutil.Process, run_id: str) -> bool:
    try:
        variables = process.environ()
    except (psutil.Error, OSError):
        return False
    command = " ".join(process.cmdline())
    return (
        variables.get("PREFECT__FLOW_RUN_ID") == run_id and "prefect.engine" in command
    )


def _end_worker(stack: PrefectStack) -> None:
    home = Path(stack.environment["PREFECT_HOME"]).parent
    recorded = json.loads((home / "processes.json").read_text())
    worker = psutil.Process(recorded["prefect worker"][0])
    worker.terminate()
    worker.wait(20)


@pytest.fixture(scope="module")
def server(stack: PrefectStack, mlflow_template_db: Path) -> Iterator[Server]:
    """Everything of prefect.yaml is there, once; other tests find nothing of it."""
    storage = Path(stack.environment["BRXA_STORAGE_PATH"])
    database = storage / "models" / "_meta" / "mlflow.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    copy_template(mlflow_template_db, database)
    stack.deploy()
    server = Server(stack)
    server.deploy_again()
    yield server
    for automation in server.automations():
        server.delete("automations", automation["id"])
    for deployment in server.ask("/deployments/filter", **OURS):
        server.delete("deployments", deployment["id"])
    _end_worker(stack)
    server.delete("work_pools", "brixa")


@pytest.fixture(scope="module")
def registry(server: Server) -> Iterator[ModelRegistry]:
    """What the project's documents describe."""
    environment = server.stack.environment
    registry = ModelRegistry(
        open_storage(environment["BRXA_STORAGE_PATH"]),
        tracking_uri=environment["BRXA_TRACKING_URI"],
    )
    yield registry
    deployer = ModelDeployer(registry)
    for name in deployer.list():
        deployer.delete(name)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet of inputs."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    numbers = np.random.default_rng(0).normal(size=(400, 2))
    pd.DataFrame(numbers, columns=["a", "b"]).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few labelled flights a month."""
    folder = tmp_path_factory.mktemp("flights")
    traffic.write_months(folder, MONTHS)
    for month in MONTHS:
        path = folder / f"{month}.parquet"
        pd.read_parquet(path).iloc[::20].to_parquet(path)
    return folder


@pytest.fixture(scope="module")
def promoted(registry: ModelRegistry, rows: Path, flights: Path) -> str:
    """A version in production that says what it was trained on."""
    Outbox(registry).begin()  # what happens from now on is announced
    inputs = pd.read_parquet(rows)
    version = registry.register_model(
        NAME,
        "classification",
        "sklearn",
        hyperparameters={"first_month": MONTHS[0], "last_month": MONTHS[0]},
        datasets=[{"name": "flights", "uri": str(flights)}],
    ).version
    model = LogisticRegression().fit(inputs, inputs["a"] > 0)
    registry.save_model(NAME, version, model, inputs.head(), inputs)
    registry.transition(NAME, version, "production")
    return str(version)


def test_the_project_is_deployed_twice_and_each_automation_is_there_once(
    server: Server,
) -> None:
    written = yaml.safe_load((project_files() / "prefect.yaml").read_text())
    triggers = [
        trigger["name"]
        for deployment in written["deployments"]
        for trigger in deployment.get("triggers", ())
    ]
    assert sorted(server.found) == sorted(triggers)
    assert server.deployments == [len(written["deployments"])] * 2


def test_flows_that_are_killed_go_on_and_their_effects_are_there_once(
    server: Server, registry: ModelRegistry, promoted: str, rows: Path
) -> None:
    who = {"name": NAME, "version": promoted}
    root = Path(registry.storage.root)  # type: ignore[attr-defined]
    serving = root / registry.layout.deployment_prefix(NAME)
    claims = root / registry.layout.meta_prefix / "retrainings" / NAME
    reports = root / registry.layout.model_prefix(NAME) / "_journal" / "drift"

    deploying = server.run("deploy_model", {**who, "deployment": NAME})
    server.kill(deploying, serving.exists)
    training = server.run("retrain", {**who, "end": "2013-03-01"})
    server.kill(training, lambda: any(claims.rglob("*.json")))
    server.wait(deploying)
    window = {"start": "2013-02-01", "end": "2013-03-01", "kind": "sample"}
    watching = server.run(
        "monitor_drift",
        {"name": NAME, "deployment": NAME, "data_uri": str(rows), **window},
    )
    server.kill(watching, lambda: any(reports.rglob("*.json")))
    for run_id in (training, watching):
        server.wait(run_id)
    for run_id in (deploying, training, watching):
        assert {"Crashed", "AwaitingRestart"} <= {*server.states(run_id)}
    assert ModelDeployer(registry).config(NAME).version == promoted
    assert len(registry.drift_reports(NAME, promoted)) == 1

    wanted = {f"brixa.{kind}" for kind in ("model.deployed", "window.checked")}
    wanted.add("brixa.training.completed")
    wait_until(lambda: wanted <= server.events(NAME).keys(), 60, "the events")
    events = server.events(NAME)
    assert {events[name] for name in wanted} == {1}


def test_a_reconcile_that_is_killed_is_followed_by_the_next_one(
    server: Server, promoted: str
) -> None:
    request = {"registry": "brixa", "older_than_seconds": 0}
    killed = server.run("reconcile", request)
    server.kill(killed, lambda: server.state(killed)["name"] == "Running")
    server.wait(killed, "Crashed")
    server.wait(server.run("reconcile", request))
    wait_until(
        lambda: server.events(NAME)["brixa.model.promoted"] == 1, 60, "the promotion"
    )
    assert server.state(killed)["name"] == "Crashed"


def test_an_automation_that_could_not_start_its_run_is_told(server: Server) -> None:
    server.emit("brixa.window.closed", {"name": "no other key"})
    wanted = f"The automation {WATCHER} could not act"

    def told() -> bool:
        runs = server.ask("/flow_runs/filter", flows={"name": {"any_": ["tell"]}})
        return wanted in [run["parameters"]["request"]["subject"] for run in runs]

    wait_until(told, WAIT_SECONDS, "the run of tell")
