"""A deployment that speaks REST and gRPC: real replicas, real clients, nothing lost."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import httpx
import pandas as pd
import pytest
from certificates import make_certificate
from deployment_world import save_version
from tiny_models import Described

from brixa_flows.deployment import (
    EndpointClient,
    ModelDeployer,
    new_api_key,
    predict_frame,
)
from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE
from brixa_flows.errors import BadRequestError, DeploymentError
from brixa_flows.registry import ModelRegistry

BOTH, ALONE = "both-ways", "grpc-alone"
COLUMNS = {
    "flag": {"type": "boolean"},
    "small": {"type": "integer", "x-dtype": "int32"},
    "count": {"type": "integer", "x-dtype": "uint8"},
    "half": {"type": "number", "x-dtype": "float32"},
    "gust": {"type": ["number", "null"]},
    "carrier": {"type": "string"},
    "photo": {"type": "string", "contentEncoding": "base64"},
}
SCHEMA = {"type": "object", "properties": COLUMNS, "required": ["carrier"]}


@pytest.fixture(scope="module")
def deployed(registry: ModelRegistry, deployer: ModelDeployer) -> str:
    """A deployment that the tests of this module share; each sets what it needs."""
    for version, number in (("1.0.0", 1.0), ("2.0.0", 2.0)):
        save_version(
            registry,
            "described",
            Described(number),
            version=version,
            input_schema=SCHEMA,
        )
    success, message = deployer.deploy("described", "1.0.0", BOTH, protocol="both")
    assert success, message
    assert message.endswith(f"{deployer.get_endpoint(BOTH, 'grpc')} (gRPC)")
    return BOTH


def request_for(carrier: str):
    request = MESSAGES["ModelInferRequest"](model_name="described")
    tensor = request.inputs.add(name="carrier", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(carrier.encode())
    return request


@contextlib.contextmanager
def calls(address: str, clients: int = 4) -> Iterator[Counter]:
    """Clients with a connection each that never try a call twice; counts their answers."""
    seen: Counter = Counter()
    stop = threading.Event()
    data = request_for("AA").SerializeToString()

    def ask() -> None:
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        with grpc.insecure_channel(address, options) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            while not stop.is_set():
                try:
                    answer = infer(data, timeout=20)
                    got = MESSAGES["ModelInferResponse"].FromString(answer)
                    seen[got.model_version] += 1
                except grpc.RpcError as err:
                    seen[f"failed: {err.code()} {err.details()}"] += 1
                time.sleep(0.005)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def wait_for(seen: Counter, version: str, more: int = 50) -> None:
    deadline = time.monotonic() + 20
    enough = seen[version] + more
    while seen[version] < enough:
        assert time.monotonic() < deadline, dict(seen)
        time.sleep(0.02)


def test_an_upgrade_and_a_rollback_lose_no_call(deployed, deployer):
    with calls(deployer.get_endpoint(deployed, "grpc")) as seen:
        wait_for(seen, "1.0.0")
        success, message = deployer.deploy("described", "2.0.0", deployed)
        assert success, message
        wait_for(seen, "2.0.0")
        deployer.rollback(deployed)
        wait_for(seen, "1.0.0")
    assert set(seen) == {"1.0.0", "2.0.0"}
    status = deployer.status(deployed)
    assert status.requests_total >= sum(seen.values()) and not status.errors_total


def test_a_replica_that_comes_is_asked_and_one_that_leaves_loses_no_call(
    deployed, deployer
):
    address = deployer.get_endpoint(deployed, "grpc")
    with calls(address) as seen:
        wait_for(seen, "1.0.0")
        deployer.scale(deployed, 2)
        wait_for(seen, "1.0.0")
        deployer.scale(deployed, 1)
        wait_for(seen, "1.0.0")
    assert set(seen) == {"1.0.0"}


def test_the_port_of_grpc_is_told_and_kept(deployed, deployer):
    address = deployer.get_endpoint(deployed, "grpc")
    status, config = deployer.status(deployed), deployer.config(deployed)
    assert status.grpc_endpoint == address == f"127.0.0.1:{config.grpc_port}"
    assert (status.protocol, config.protocol) == ("both", "both")
    assert status.predict_endpoint == status.endpoint != address
    with pytest.raises(OSError), socket.create_server(("127.0.0.1", config.grpc_port)):
        pass


def test_grpc_alone_is_asked_by_our_client_with_a_key_over_tls(
    deployed, deployer, tmp_path
):
    files, key = make_certificate(tmp_path, "mine"), new_api_key()
    frame = pd.DataFrame({"carrier": ["AA", "UA"], "gust": [1.5, None]})
    try:
        success, message = deployer.deploy(
            "described",
            "1.0.0",
            ALONE,
            protocol="grpc",
            api_keys={"ada": key},
            tls=files,
        )
        assert success, message
        with pytest.raises(DeploymentError, match="serves grpc only, not 'rest'"):
            deployer.get_endpoint(ALONE)
        status = deployer.status(ALONE)
        assert status.predict_endpoint == f"grpcs://{status.grpc_endpoint}"
        trust = {"ca_file": files["certificate"]}
        endpoint = deployer.get_endpoint(ALONE, "grpc")
        got = predict_frame(endpoint, "described", frame, api_key=key, **trust)
        lacking = "1 NoneType=None" + " float64=nan" * 3
        assert got.values.tolist() == [
            f"{lacking} float64=1.5 str=AA NoneType=None",
            f"{lacking} float64=nan str=UA NoneType=None",
        ]
        for wrong in (None, new_api_key()):
            with pytest.raises(DeploymentError, match="UNAUTHENTICATED: authorization"):
                predict_frame(endpoint, "described", frame, api_key=wrong, **trust)
        unknown, lacking = frame.assign(wind=1), pd.DataFrame({"carrier": ["AA", None]})
        with pytest.raises(BadRequestError, match="no column 'wind'"):
            predict_frame(endpoint, "described", unknown, api_key=key, **trust)
        with pytest.raises(
            BadRequestError, match="a text is missing, which gRPC can't"
        ):
            predict_frame(endpoint, "described", lacking, api_key=key, **trust)
        pages = ssl.create_default_context(cafile=files["certificate"])
        with httpx.Client(base_url=status.endpoint, verify=pages) as http:
            assert http.get("/v2/health/ready").json() == {"ready": True}
            refused = http.post("/predict", json={})
        assert refused.status_code == 404 and "over gRPC" in refused.json()["error"]
        with pytest.raises(DeploymentError, match="does not answer|UNAVAILABLE"):
            predict_frame(status.grpc_endpoint, "described", frame, api_key=key)
    finally:
        deployer.delete(ALONE)


@pytest.mark.parametrize("endpoint", ["ftp://x:1", "127.0.0.1", "x:port", ":80", ""])
def test_what_is_no_endpoint_is_told(endpoint):
    with pytest.raises(DeploymentError, match="nor host:port of gRPC"):
        EndpointClient(endpoint)
