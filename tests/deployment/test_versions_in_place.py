"""Versions are exchanged and tried inside of running replicas."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import tiny_models
from deployment_world import save_version
from tiny_models import Constant, Moody, Unloadable

from brixa_flows.deployment import CanaryGate, CanaryStatus, ModelDeployer
from brixa_flows.errors import DeploymentError, VersionInUseError
from brixa_flows.registry import ModelRegistry

pytestmark = pytest.mark.slow(seconds=45)

NAME = "in-place"
ONE_ROW = {"records": [{"a": 1.0}]}


@pytest.fixture(scope="module")
def models(registry: ModelRegistry) -> ModelRegistry:
    """1.0.0 answers 1, 2.0.0 answers 2 or raises, 3.0.0 can't load, 4.0.0 is 1.0.0."""
    save_version(registry, "swapped", Constant(1.0), version="1.0.0")
    save_version(registry, "swapped", Moody(2.0), version="2.0.0")
    save_version(registry, "swapped", Unloadable(3.0), version="3.0.0")
    save_version(registry, "swapped", Constant(1.0), version="4.0.0")
    return registry


@pytest.fixture(scope="module")
def endpoint(models: ModelRegistry, deployer: ModelDeployer) -> str:
    success, message = deployer.deploy("swapped", "1.0.0", NAME, replicas=1)
    assert success, message
    return deployer.get_endpoint(NAME)


@pytest.fixture
def client(endpoint: str, deployer: ModelDeployer) -> Iterator[httpx.Client]:
    """A client that keeps its connection; 1.0.0 is served, and nothing is tried."""
    if deployer.config(NAME).canary:
        deployer.abort_canary(NAME)
    success, message = deployer.deploy("swapped", "1.0.0", NAME)
    assert success, message
    with httpx.Client(base_url=endpoint) as client:
        yield client


def version_of(client: httpx.Client) -> str:
    answer = client.post("/predict", json=ONE_ROW)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model_version"])


def pids(deployer: ModelDeployer) -> list[int | None]:
    return [each.pid for each in deployer.status(NAME).replicas]


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_another_version_needs_no_other_process(client, deployer):
    before = pids(deployer)
    assert version_of(client) == "1.0.0"
    assert deployer.deploy("swapped", "2.0.0", NAME)[0]
    assert version_of(client) == "2.0.0"
    deployer.scale(NAME, 2)
    assert deployer.rollback(NAME).version == "1.0.0"
    assert (
        deployer.status(NAME).ready_replicas == 2
    ), "a rollback leaves what scale chose"
    assert version_of(client) == "1.0.0"
    deployer.scale(NAME, 1)
    assert pids(deployer) == before


def test_a_version_that_fails_its_trial_never_reaches_a_replica(client, deployer):
    before = pids(deployer)
    success, message = deployer.deploy("swapped", "3.0.0", NAME)
    assert not success and "the licence file is missing" in message
    success, message = deployer.start_canary(NAME, "3.0.0", share=0.5)
    assert not success and "1.0.0 with 3.0.0 did not become ready" in message
    assert deployer.config(NAME).canary is None
    assert version_of(client) == "1.0.0" and pids(deployer) == before


def test_a_replica_that_crashes_after_an_exchange_comes_back_with_the_new_version(
    client, deployer
):
    assert deployer.deploy("swapped", "4.0.0", NAME)[0]
    (pid,) = pids(deployer)
    psutil.Process(pid).kill()
    wait_until(lambda: pids(deployer) not in ([pid], [None]))
    wait_until(lambda: deployer.status(NAME).state == "ready")
    client.close()
    with httpx.Client(base_url=deployer.get_endpoint(NAME)) as fresh:
        assert version_of(fresh) == "4.0.0"


def test_code_that_changed_on_disk_asks_for_a_fresh_process(client, deployer):
    """The module of the replicas' model is written again, as an installer would."""
    file = Path(tiny_models.__file__)
    before = pids(deployer)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert deployer.deploy("swapped", "2.0.0", NAME)[0]
    client.close()
    with httpx.Client(base_url=deployer.get_endpoint(NAME)) as fresh:
        assert version_of(fresh) == "2.0.0"
    assert pids(deployer) != before


def test_a_canary_answers_its_share_and_is_promoted(client, deployer, registry):
    before = pids(deployer)
    success, message = deployer.start_canary(NAME, "2.0.0", share=0.3)
    assert success, message
    assert message == f"{NAME} tries swapped 2.0.0 on 0.3 of the requests beside 1.0.0"
    seen = Counter(version_of(client) for _ in range(200))
    assert 30 <= seen["2.0.0"] <= 95 and seen["1.0.0"] == 200 - seen["2.0.0"]
    edges = registry.lineage("swapped", "2.0.0").edges
    assert ("model:swapped/2.0.0", f"deployment:{NAME}", "tries") in {
        (each.source, each.target, each.relation) for each in edges
    }
    with pytest.raises(VersionInUseError, match="serves it"):
        registry.delete_version("swapped", "2.0.0", reason="too early", actor="ada")
    tried = deployer.status(NAME).canary
    assert tried.version == "2.0.0" and tried.requests == seen["2.0.0"]
    path = "/v2/models/swapped/versions/{}/infer"
    tensor = {"name": "a", "shape": [1], "datatype": "FP64", "data": [1.0]}
    for version in ("1.0.0", "2.0.0"):
        answer = client.post(path.format(version), json={"inputs": [tensor]})
        assert answer.json()["model_version"] == version
    few = CanaryGate(min_requests=10_000)
    assert deployer.judge_canary(NAME, few).decision == "wait"
    assert deployer.judge_canary(NAME, CanaryGate(min_requests=20)).decision == (
        "promote"
    )
    assert {version_of(client) for _ in range(20)} == {"2.0.0"}
    assert pids(deployer) == before and deployer.config(NAME).canary is None
    assert deployer.rollback(NAME).version == "1.0.0"


def test_a_canary_that_fails_where_it_answers_is_aborted(client, deployer):
    assert deployer.start_canary(NAME, "2.0.0", share=1.0)[0]
    answer = client.post("/predict", json={"records": [{"a": -1.0}]})
    assert answer.status_code == 500
    verdict = deployer.judge_canary(NAME)
    assert verdict.decision == "abort"
    assert verdict.reasons == ("1 failed at 2.0.0, more than the allowed share of 0",)
    assert {version_of(client) for _ in range(10)} == {"1.0.0"}


def test_a_shadow_answers_nobody_and_is_compared_row_by_row(client, deployer):
    assert deployer.start_canary(NAME, "2.0.0", shadow=True)[0]
    assert {version_of(client) for _ in range(10)} == {"1.0.0"}
    client.post("/predict", json={"records": [{"a": -1.0}]}).raise_for_status()

    def compared() -> CanaryStatus:
        return deployer.status(NAME).canary

    wait_until(lambda: compared().compared_rows + compared().failed_rows == 11)
    assert compared().agreement == 0 and compared().failed_rows == 1
    assert compared().requests == 0 and compared().time_ratio > 0
    assert deployer.start_canary(NAME, "4.0.0", shadow=True)[0]
    assert version_of(client) == "1.0.0"
    wait_until(lambda: compared().compared_rows == 1)
    assert compared().agreement == 1 and compared().version == "4.0.0"
    gate = CanaryGate(min_requests=1, min_agreement=0.99)
    assert deployer.judge_canary(NAME, gate).decision == "promote"
    assert version_of(client) == "4.0.0"


def held_by(pid: int | None) -> int:
    connections = psutil.Process(pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in connections)


def test_kept_connections_are_shared_with_replicas_that_come_later(client, deployer):
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=client.base_url))
            for _ in range(8)
        ]

        def ask() -> list[int]:
            for each in clients:
                version_of(each)
            return [held_by(pid) for pid in pids(deployer)]

        assert ask()[0] >= 8
        deployer.scale(NAME, 2)
        wait_until(lambda: min(ask()) >= 1)
        before = deployer.status(NAME).restarts
        psutil.Process(pids(deployer)[1]).kill()
        wait_until(lambda: deployer.status(NAME).restarts > before)
        wait_until(lambda: deployer.status(NAME).state == "ready")
        for each in clients:
            with contextlib.suppress(httpx.TransportError):  # those it held
                each.post("/predict", json=ONE_ROW)
        wait_until(lambda: min(ask()) >= 1)
    deployer.scale(NAME, 1)


def test_cpu_use_adds_a_replica_and_takes_it_away_again(models, deployer):
    """A replica that asked for a tenth of a core is busy with a few requests."""
    success, message = deployer.deploy(
        "swapped",
        "1.0.0",
        "busy",
        resources={"cpu": "100m"},
        autoscaling={
            "min_replicas": 1,
            "max_replicas": 2,
            "target_cpu_utilization": 20,
            "scale_down_window_seconds": 0,
        },
    )
    assert success, message
    try:
        with httpx.Client(base_url=deployer.get_endpoint("busy")) as busy:

            def grown() -> bool:
                for _ in range(20):
                    assert version_of(busy) == "1.0.0"
                time.sleep(0.2)
                return deployer.status("busy").ready_replicas == 2

            wait_until(grown)
            assert deployer.deploy("swapped", "4.0.0", "busy")[0]
            after = deployer.status("busy")
            assert after.desired_replicas == 2, "an upgrade leaves what CPU use chose"
            wait_until(lambda: deployer.status("busy").desired_replicas == 1)
            assert version_of(busy) == "4.0.0"
        assert deployer.config("busy").replicas == 1
    finally:
        deployer.delete("busy")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"version": "2.0.0"}, "give either share="),
        ({"version": "2.0.0", "share": 0.1, "shadow": True}, "give either share="),
        ({"version": "2.0.0", "share": 0}, "not above 0"),
        ({"version": "2.0.0", "share": 1.5}, "not above 0 and up to 1"),
        ({"version": "1.0.0", "share": 0.1}, "serves swapped 1.0.0 already"),
        ({"version": "9.9.9", "share": 0.1}, "9.9.9"),
    ],
)
def test_what_can_not_be_tried_is_a_sentence(client, deployer, asked, words):
    success, message = deployer.start_canary(NAME, **asked)
    assert not success and words in message
    assert deployer.config(NAME).canary is None


def test_where_nothing_is_tried_nothing_is_promoted(client, deployer):
    success, message = deployer.promote_canary(NAME)
    assert not success and "tries no version" in message
    assert not deployer.abort_canary(NAME)[0]
    with pytest.raises(DeploymentError, match="tries no version"):
        deployer.judge_canary(NAME)
