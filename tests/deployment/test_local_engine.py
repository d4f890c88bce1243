"""Deployments of this machine: real supervisors, real replicas, real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
from deployment_world import none_left, save_version, wait_until
from sklearn.linear_model import LogisticRegression
from tiny_models import Constant, FromEnvironment, Unloadable

from brixa_flows.deployment import ModelDeployer, ServedAgain, predict_frame
from brixa_flows.errors import (
    BadRequestError,
    DeploymentError,
    DeploymentNotFoundError,
    InvalidDeploymentError,
)
from brixa_flows.registry import ModelRegistry, infer_schemas
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

ONE_ROW = {"records": [{"a": 1.0}]}
LIVE = "steady"


@pytest.fixture(scope="module")
def models(registry: ModelRegistry) -> ModelRegistry:
    """``numbers`` 1.0.0 answers 1, 2.0.0 answers 2, 3.0.0 can't be loaded."""
    save_version(registry, "numbers", Constant(1.0), version="1.0.0")
    save_version(registry, "numbers", Constant(2.0), version="2.0.0")
    save_version(registry, "numbers", Unloadable(3.0), version="3.0.0")
    save_version(registry, "environment", FromEnvironment(0.0))
    return registry


@pytest.fixture(scope="module")
def steady(models: ModelRegistry, deployer: ModelDeployer) -> str:
    """A deployment that the tests of this module share; each sets what it needs."""
    success, message = deployer.deploy("numbers", "1.0.0", LIVE, replicas=1)
    assert success, message
    return LIVE


def serve(deployer: ModelDeployer, version: str) -> str:
    """Have the shared deployment serve that version; returns its endpoint."""
    success, message = deployer.deploy("numbers", version, LIVE)
    assert success, message
    return deployer.get_endpoint(LIVE)


def answer_of(endpoint: str) -> float:
    return httpx.post(f"{endpoint}/predict", json=ONE_ROW).json()["predictions"][0]


@contextlib.contextmanager
def traffic(endpoint: str, clients: int = 4) -> Iterator[Counter]:
    """Keep-alive clients that never try a request twice; counts their answers."""
    seen: Counter = Counter()
    stop = threading.Event()
    host = endpoint.removeprefix("http://")
    body = json.dumps(ONE_ROW)

    def ask() -> None:
        connection = http.client.HTTPConnection(host, timeout=20)
        while not stop.is_set():
            try:
                connection.request("POST", "/predict", body)
                response = connection.getresponse()
                time.sleep(0.005)
                content = json.loads(response.read())
                seen[content.get("model_version", response.status)] += 1
            except (OSError, http.client.HTTPException) as err:
                seen[f"failed: {err!r}"] += 1
                connection.close()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def test_an_upgrade_and_a_rollback_lose_no_request(steady, deployer):
    endpoint = serve(deployer, "1.0.0")
    with traffic(endpoint) as seen:
        wait_until(lambda: seen["1.0.0"] > 50)
        success, message = deployer.deploy("numbers", "2.0.0", steady)
        assert success, message
        assert "instead of 1.0.0" in message and "1 replica" in message
        before = seen["1.0.0"]
        now = seen["2.0.0"]
        wait_until(lambda: seen["2.0.0"] > now + 50)
        assert seen["1.0.0"] - before <= 4, "when deploy returns, only the new answers"
        assert deployer.rollback(steady).version == "1.0.0"
        back = seen["1.0.0"]
        wait_until(lambda: seen["1.0.0"] > back + 50)
    assert set(seen) == {"1.0.0", "2.0.0"}, seen
    assert deployer.get_endpoint(steady) == endpoint


def test_a_version_that_does_not_load_leaves_the_old_one_serving(steady, deployer):
    endpoint = deployer.get_endpoint(steady)
    before = deployer.config(steady)
    answer = answer_of(endpoint)
    success, message = deployer.deploy("numbers", "3.0.0", steady)
    assert not success
    assert "numbers 3.0.0 did not become ready" in message
    assert "the licence file is missing" in message
    assert answer_of(endpoint) == answer
    assert deployer.status(steady).version == before.version
    assert deployer.config(steady) == before


class OvertakenNode(LocalStorageNode):
    """Lets somebody act right after a deployment's config was read."""

    def __init__(self, path: Path, act: Callable[[], object]) -> None:
        super().__init__(path)
        self._act: Callable[[], object] | None = act

    def read(self, key: str) -> tuple[bytes, str]:
        found = super().read(key)
        if self._act is not None and key.endswith(f"{LIVE}/config.json"):
            act, self._act = self._act, None
            act()
        return found


def test_who_deploys_at_the_same_time_and_loses_leaves_the_winner_serving(
    steady, models, storage, deployer
):
    serve(deployer, "2.0.0")
    node = OvertakenNode(storage.root, lambda: serve(deployer, "1.0.0"))
    slower = ModelDeployer(models, node, ready_timeout_seconds=60)
    success, message = slower.deploy("numbers", "2.0.0", steady)
    assert not success
    assert "was changed by somebody else meanwhile" in message
    assert deployer.config(steady).version == "1.0.0"
    assert deployer.status(steady).version == "1.0.0"
    assert answer_of(deployer.get_endpoint(steady)) == 1.0


def test_a_killed_replica_comes_back(steady, deployer):
    endpoint = deployer.get_endpoint(steady)
    answer = answer_of(endpoint)
    before = deployer.status(steady)
    psutil.Process(before.replicas[0].pid).kill()
    wait_until(lambda: deployer.status(steady).restarts > before.restarts)
    wait_until(lambda: deployer.status(steady).state == "ready")
    after = deployer.status(steady)
    assert after.replicas[0].pid != before.replicas[0].pid
    assert "signal 9" in after.last_error
    assert answer_of(endpoint) == answer


def test_scaling_restarts_nobody_who_stays(steady, deployer):
    (stays,) = deployer.status(steady).replicas
    two = deployer.scale(steady, 2)
    assert two.ready_replicas == 2 and two.replicas[0].pid == stays.pid
    leaves = psutil.Process(two.replicas[1].pid)
    one = deployer.scale(steady, 1)
    assert [each.pid for each in one.replicas] == [stays.pid]
    assert not leaves.is_running()
    assert deployer.config(steady).replicas == 1
    with pytest.raises(InvalidDeploymentError, match="replicas"):
        deployer.scale(steady, 0)


def test_another_process_sees_and_scales_what_this_one_deployed(
    steady, deployer, storage
):
    program = """
import sys
from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
registry = ModelRegistry(LocalStorageNode(sys.argv[1]), tracking=MemoryTrackingStore())
print(ModelDeployer(registry).status(sys.argv[2]).model_dump_json())
"""
    command = [sys.executable, "-c", program, str(storage.root), steady]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    mine = deployer.status(steady)
    assert seen["version"] == mine.version and seen["pid"] == mine.pid
    assert seen["state"] == "ready"


def test_status_counts_the_requests_of_all_replicas(steady, deployer):
    endpoint = deployer.get_endpoint(steady)
    before = deployer.status(steady).requests_total
    for _ in range(5):
        answer_of(endpoint)
    status = deployer.status(steady)
    assert status.requests_total - before == 5
    assert status.p50_ms is not None and 0 < status.p50_ms <= status.p99_ms
    assert status.healthy and status.error_rate == 0


def test_status_json_follows_what_is_observed(steady, deployer, storage):
    status = deployer.status(steady)
    key = f"models/deployments/{steady}/status.json"

    def written() -> set[int]:
        if storage.stat(key) is None:
            return set()
        content = json.loads(storage.read(key)[0])
        return {content["pid"], *(each["pid"] for each in content["replicas"])}

    wait_until(lambda: written() == {status.pid, status.replicas[0].pid})


def test_a_deployment_whose_file_is_damaged_can_be_deleted(deployer, storage):
    storage.create("models/deployments/ghost/config.json", b"{")
    with pytest.raises(DeploymentError, match="delete the deployment and deploy again"):
        deployer.status("ghost")
    deployer.delete("ghost")
    assert "ghost" not in deployer.list()
    with pytest.raises(DeploymentNotFoundError, match="ghost"):
        deployer.delete("ghost")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model_name": "nothing"}, "there is no model 'nothing'"),
        ({"version": "9.9.9"}, "9.9.9"),
        ({"version": 7}, "version is a int"),
        ({"name": "../up"}, "can't be the name of a deployment"),
        ({"replicas": 0}, "replicas"),
        ({"resources": {"gpu": 99}}, "this machine has"),
        ({"resources": {"cpu": "10000"}}, "cores of this machine"),
        ({"resources": {"memory": "9000Ti"}}, "this machine has only"),
        (
            {"model_name": "environment", "version": "1.0.0"},
            "serves the model 'numbers'",
        ),
        ({"autoscaling": {"min_replicas": 2, "max_replicas": 1}}, "min_replicas (2)"),
        ({"env_vars": {"LOG_LEVEL": "loud"}}, "env_vars.LOG_LEVEL = 'loud': "),
        ({"api_keys": ""}, "api_keys is a str"),
        ({"tls": []}, "tls = '[]': give {'certificate': PATH"),
    ],
)
def test_what_can_not_be_deployed_is_a_sentence_and_changes_nothing(
    steady, deployer, asked, words
):
    before = deployer.config(steady)
    success, message = deployer.deploy(
        **{"model_name": "numbers", "version": "1.0.0", "name": steady, **asked}
    )
    assert (success, words in message) == (False, True), message
    assert deployer.config(steady) == before


@pytest.mark.parametrize(
    ("call", "given", "words"),
    [
        ("scale", {"replicas": None}, "give the number of replicas that steady is"),
        ("scale", {"replicas": True}, "replicas = 'True'"),
        ("revoke_key", {"key_name": None}, "has no key 'None'"),
        ("add_key", {"key_name": []}, "'[]' can't be the name of a key"),
        ("judge_canary", {"gate": "strict"}, "gate is a str; give a CanaryGate"),
        ("logged_requests", {"since": "2026"}, "since = '2026' is no datetime"),
        (
            "start_canary",
            {"version": "2.0.0", "share": "x"},
            "share = 'x' is not above",
        ),
        ("start_canary", {"version": "2.0.0", "share": True}, "share = 'True' is not"),
        ("start_canary", {"version": "2.0.0", "shadow": 1}, "shadow = '1' is neither"),
    ],
)
def test_what_is_of_no_use_to_a_call_is_a_sentence_and_changes_nothing(
    steady, deployer, call, given, words
):
    before = deployer.config(steady)
    try:
        outcome = getattr(deployer, call)(steady, **given)
        message = next(outcome) if call == "logged_requests" else outcome[1]
    except DeploymentError as err:
        message = err.message
    assert words in message
    assert deployer.config(steady) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"engine": None}, "engine = 'None' is no text"),
        ({"host": b"127.0.0.1"}, "is no text"),
        ({"ready_timeout_seconds": "60"}, "give a number of seconds above 0"),
        ({"ready_timeout_seconds": float("nan")}, "ready_timeout_seconds = 'nan'"),
    ],
)
def test_a_deployer_that_could_serve_nothing_is_not_made(models, given, words):
    with pytest.raises(InvalidDeploymentError, match=re.escape(words)):
        ModelDeployer(models, **given)


def test_a_machine_without_gpus_says_so(models, deployer, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    success, message = deployer.deploy(
        "numbers", "1.0.0", "on-gpu", resources={"cpu": "1", "gpu": 1}
    )
    assert not success and "this machine has 0 GPUs" in message
    assert "on-gpu" not in deployer.list()


def test_deployments_stand_side_by_side_with_their_own_environment(models, deployer):
    levels = {"7": "debug", "8": "ERROR"}
    try:
        for answer in ("7", "8"):
            success, message = deployer.deploy(
                "environment",
                None,
                f"side-{answer}",
                env_vars={"ANSWER": answer, "LOG_LEVEL": levels[answer]},
            )
            assert success, message
        endpoints = [deployer.get_endpoint(f"side-{answer}") for answer in "78"]
        assert len(set(endpoints)) == 2
        assert [answer_of(endpoint) for endpoint in endpoints] == [7.0, 8.0]
        loud, silent = (
            Path(deployer.status(f"side-{answer}").log_path, "replica-0.log")
            for answer in "78"
        )
        assert "1.0.0 answered 200 for 1 rows in" in loud.read_text()
        assert silent.read_text() == ""
        pids = {
            pid
            for answer in "78"
            for status in [deployer.status(f"side-{answer}")]
            for pid in (status.pid, *(each.pid for each in status.replicas))
        }
    finally:
        for name in [each for each in deployer.list() if each.startswith("side-")]:
            deployer.delete(name)
    wait_until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
    with pytest.raises(DeploymentNotFoundError, match="side-7"):
        deployer.status("side-7")


def test_a_deployment_says_which_protocol_it_does_not_serve(steady, deployer):
    with pytest.raises(DeploymentError, match="serves rest only"):
        deployer.get_endpoint(steady, protocol="grpc")


def test_a_sklearn_model_on_mlflow_predicts_the_same_through_the_endpoint(
    tmp_path, tracking_uri
):
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"w": generator.normal(size=60), "n": np.arange(60)})
    labels = np.where(frame["w"] > 0, "late", "on time")
    model = LogisticRegression().fit(frame, labels)
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    schema, _ = infer_schemas(model, frame)
    save_version(registry, "delay", model, input_schema=schema)
    deployer = ModelDeployer(registry, storage)
    success, message = deployer.deploy(
        model_name="delay",
        version="1.0.0",
        name="delay-prod",
        env_vars={"LOG_LEVEL": "INFO", "MAX_BATCH_SIZE": "32"},
    )
    assert success, message
    try:
        endpoint = deployer.get_endpoint("delay-prod")
        got = predict_frame(endpoint, "delay", frame, batch_rows=25)
        assert got.values.tolist() == model.predict(frame).tolist()
        np.testing.assert_allclose(got.scores, model.predict_proba(frame))
        assert got.classes == ("late", "on time")
        with pytest.raises(BadRequestError, match="'n' is missing"):
            predict_frame(endpoint, "delay", frame[["w"]])
        log = storage.root / "models/_meta/serving/delay-prod/logs/replica-0.log"
        assert "delay 1.0.0 loaded" in log.read_text()
    finally:
        deployer.delete("delay-prod")
    assert none_left(tmp_path)


def test_a_damaged_version_is_not_served_and_leaves_nothing(tmp_path):
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    save_version(registry, "numbers", Constant(1.0))
    artifact = storage.root / "models/numbers/1.0.0/model.pkl"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"x")
    deployer = ModelDeployer(registry, storage)
    success, message = deployer.deploy("numbers", "1.0.0", "d")
    assert not success and "model.pkl" in message
    assert deployer.list() == []
    assert none_left(tmp_path)


def test_a_storage_that_was_thrown_away_leaves_nothing_running(tmp_path):
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    save_version(registry, "numbers", Constant(1.0))
    deployer = ModelDeployer(registry, storage)
    success, message = deployer.deploy("numbers", "1.0.0", "short-lived")
    assert success, message
    shutil.rmtree(storage.root)
    assert none_left(tmp_path)


def test_a_killed_supervisor_takes_its_replicas_along_and_all_are_brought_back(
    models, deployer, monkeypatch
):
    try:
        success, message = deployer.deploy(
            "numbers", "1.0.0", "rebooted", protocol="both"
        )
        assert success, message
        endpoint = deployer.get_endpoint("rebooted")
        status = deployer.status("rebooted")
        psutil.Process(status.pid).kill()
        wait_until(lambda: not psutil.pid_exists(status.replicas[0].pid))
        stopped = deployer.status("rebooted")
        assert stopped.state == "stopped" and stopped.ready_replicas == 0
        assert "`brixa deployment up` serves it again" in stopped.last_error
        with pytest.raises(DeploymentError, match="is stopped"):
            deployer.scale("rebooted", 2)
        assert deployer.unserved() == {"rebooted": stopped.last_error}
        with monkeypatch.context() as patch:
            patch.setattr(platform, "node", lambda: "another machine")
            assert (deployer.unserved(), deployer.serve_again()) == ({}, [])
        port = int(endpoint.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            success, message = deployer.up()["rebooted"]
            tried = deployer.serve_again()
            again = deployer.serve_again()
        assert not success and f"port {port} of 127.0.0.1 can't be used" in message
        assert tried == [ServedAgain("rebooted", False, message, is_news=True)]
        assert again == [tried[0]._replace(is_news=False)]
        [served] = deployer.serve_again()
        assert served.served and served.is_news and endpoint in served.message
        assert deployer.up()["rebooted"] == (True, "rebooted is up already")
        assert (deployer.unserved(), deployer.serve_again()) == ({}, [])
        assert deployer.get_endpoint("rebooted") == endpoint
        assert answer_of(endpoint) == 1.0
        status = deployer.status("rebooted")
        lingering = psutil.Process(status.replicas[0].pid)
        lingering.suspend()  # it holds both ports
        psutil.Process(status.pid).kill()
        timer = threading.Timer(1.0, lingering.resume)
        timer.start()
        with ThreadPoolExecutor(2) as pool:  # as two people, or a timer and one
            ups = list(pool.map(lambda _: deployer.up()["rebooted"], range(2)))
        assert [success for success, _ in ups] == [True, True], ups
        assert any(f"at {endpoint} and " in message for _, message in ups), ups
        timer.join()
        assert answer_of(endpoint) == 1.0
    finally:
        deployer.delete("rebooted")


def test_storage_in_memory_can_not_be_served():
    from brixa_flows.storage.memory import MemoryStorageNode

    registry = ModelRegistry(MemoryStorageNode(), tracking=MemoryTrackingStore())
    save_version(registry, "numbers", Constant(1.0))
    success, message = ModelDeployer(registry).deploy("numbers")
    assert not success and "deploy from a storage on disk" in message
