"""A deployment that speaks REST and gRPC: real replicas, real clients, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pandas as pd
import psutil
import pytest
from certificates import make_certificate
from deployment_world import save_version
from tiny_models import Described

from brixa_flows.deployment import (
    EndpointClient,
    ModelDeployer,
    grpc_messages,
    new_api_key,
    predict_frame,
)
from brixa_flows.deployment.engines.doorkeeping import Doorkeeper
from brixa_flows.deployment.engines.reserving import ReservedPort
from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE
from brixa_flows.errors import BadRequestError, DeploymentError
from brixa_flows.registry import ModelRegistry
from tests.requirements_present import require

HERE = Path(__file__).parent
CLIENTS = HERE / "clients"
PYTHON = HERE.parents[1] / ".venv-clients/bin/python"
BOTH, ALONE, CHOSEN = "both-ways", "grpc-alone", "chosen-port"
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


def sockets_of(process: psutil.Process) -> dict[int, str]:
    """What socket each descriptor of a process is."""
    found = {}
    for each in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[int(each.name)] = str(each.readlink())
    return {number: told for number, told in found.items() if "socket" in told}


def test_a_killed_replica_costs_our_client_no_call_and_others_those_it_held(
    deployed, deployer
):
    address = deployer.get_endpoint(deployed, "grpc")
    frame = pd.DataFrame({"carrier": ["AA"]})
    before = deployer.scale(deployed, 2)
    with calls(address) as seen, EndpointClient(address) as ours:
        wait_for(seen, "1.0.0")
        ours.predict("described", frame)
        killed = psutil.Process(before.replicas[0].pid)
        # The kernel closes from the highest down: its listener has to go first, or the
        # clients of its connections come back to it and are refused.
        listening = [
            sockets_of(killed)[each.fd]
            for each in killed.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
            and address.endswith(f":{each.laddr.port}")
        ]
        assert listening and max(sockets_of(killed).items())[1] in listening
        killed.kill()
        ours.predict("described", frame)
        wait_for(seen, "1.0.0")
    held = sum(count for told, count in seen.items() if "Stream removed" in told)
    assert held <= 4, "one of each connection"
    deadline = time.monotonic() + 30
    while deployer.status(deployed).restarts == before.restarts:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # The killed one is being started again: the other one stays, which can be asked.
    [left] = deployer.scale(deployed, 1).replicas
    assert (left.pid, left.state) == (before.replicas[1].pid, "ready")


def test_clients_of_the_only_replica_wait_until_it_is_back(deployed, deployer):
    with calls(deployer.get_endpoint(deployed, "grpc")) as seen:
        wait_for(seen, "1.0.0")
        killed = deployer.status(deployed).replicas[0].pid
        psutil.Process(killed).kill()
        wait_for(seen, "1.0.0", more=200)
    failed = {told: count for told, count in seen.items() if told != "1.0.0"}
    assert sum(failed.values()) <= 4, failed
    assert deployer.status(deployed).replicas[0].pid != killed


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_doorkeeper_stands_behind_the_listeners_of_grpc_and_never_before(host):
    async def is_kept(*late: str) -> bool:
        door, port, server = Doorkeeper(), ReservedPort(), grpc.aio.server()
        try:
            number = port.hold(host, 0)
            if not late:
                await door.listen(port.bound)
            shown = f"[{host}]" if ":" in host else host
            server.add_insecure_port(f"{shown}:{number}")
            await server.start()
            await door.listen(port.bound)
            door.expect(1)
            await door.prove()
            return door._server is not None
        finally:
            door.close()
            await server.stop(0)
            port.close()

    assert asyncio.run(is_kept())
    assert not asyncio.run(is_kept("it would be the first that is asked"))


def test_the_port_of_grpc_is_told_and_kept(deployed, deployer):
    address = deployer.get_endpoint(deployed, "grpc")
    status, config = deployer.status(deployed), deployer.config(deployed)
    assert status.grpc_endpoint == address == f"127.0.0.1:{config.grpc_port}"
    assert (status.protocol, config.protocol) == ("both", "both")
    assert status.predict_endpoint == status.endpoint != address
    with pytest.raises(OSError), socket.create_server(("127.0.0.1", config.grpc_port)):
        pass


def test_a_busy_port_is_refused_and_changes_nothing(deployed, deployer, storage):
    with contextlib.ExitStack() as stack:
        # Bound, but not listening: that, too, is somebody else's.
        busy = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in busy:
            each.bind(("127.0.0.1", 0))
        port, grpc_port = (each.getsockname()[1] for each in busy)

        def serve(**asked: Any) -> tuple[bool, str]:
            return deployer.deploy("described", "1.0.0", CHOSEN, **asked)

        for number, asked in (
            (port, {"port": port}),
            (grpc_port, {"protocol": "both", "grpc_port": grpc_port}),
        ):
            success, message = serve(**asked)
            assert not success
            assert f"port {number} of 127.0.0.1 can't be used" in message
            assert "choose another port" in message and CHOSEN not in deployer.list()
            folder = storage.root / "models/_meta/serving" / CHOSEN
            assert not folder.exists()
        busy[0].close()
        stack.callback(deployer.delete, CHOSEN)
        assert serve(port=port)[0]
        assert deployer.get_endpoint(CHOSEN) == f"http://127.0.0.1:{port}"
        before, pid = deployer.config(CHOSEN), deployer.status(CHOSEN).replicas[0].pid
        success, message = serve(protocol="both", grpc_port=grpc_port)
        assert not success and f"port {grpc_port} of 127.0.0.1 can't be" in message
        assert deployer.config(CHOSEN) == before
        assert deployer.status(CHOSEN).replicas[0].pid == pid
        busy[1].close()
        assert serve(protocol="both", grpc_port=grpc_port)[0]
        address = deployer.get_endpoint(CHOSEN, "grpc")
        assert address == f"127.0.0.1:{grpc_port}"
        predict_frame(address, "described", pd.DataFrame({"carrier": ["AA"]}))
        success, message = serve(grpc_port=port)
        assert not success and f"has {grpc_port}, and a deployment keeps" in message


def test_a_kept_port_is_exchanged_for_one_that_can_be_had_and_shared_by_listeners():
    kept, other = ReservedPort(), ReservedPort()  # their processes would end with them
    first, taken = kept.hold("127.0.0.1", 0), other.hold("127.0.0.1", 0)
    assert kept.hold("127.0.0.1", 0) == first
    with pytest.raises(OSError):
        kept.hold("127.0.0.1", taken)
    with pytest.raises(OSError), socket.create_server(("127.0.0.1", first)):
        pass
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        second = free.getsockname()[1]
    assert kept.hold("127.0.0.1", second) == second
    with socket.create_server(("127.0.0.1", first)):
        pass
    with socket.create_server(("127.0.0.1", second), reuse_port=True):
        pass
    for each in (kept, other):
        each.close()


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
        lacking = "1 NoneType=None float64=nan float64=nan float32=nan"
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
            shown = {"authorization": f"Bearer {key}"}
            assert 'code="401"} 2' in http.get("/metrics", headers=shown).text
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


def expected_rows(half: str = "float32") -> list[str]:
    """What the model says that it got from the clients."""
    return [
        f"1 bool=True int32=-5 uint8=0 {half}=1.5 float64=0.25 str=AA "
        "bytes=b'\\xff\\xd8\\x00'",
        f"1 bool=False int32=6 uint8=255 {half}=-2.0 float64=nan str=Zürich "
        "bytes=b'text'",
    ]


def run_client(script: str, *arguments: str) -> str:
    """What a client prints that runs in an environment of its own."""
    found = (PYTHON.parents[1] / ".created").is_file()
    require("tritonclient, kserve and schemathesis (make clients-environment)", found)
    done = subprocess.run(
        [str(PYTHON), str(CLIENTS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def check_facts(facts: dict[str, Any], *forms: str) -> None:
    assert facts["live"] and facts["ready"] and facts["model_ready"]
    assert facts["rows"] == dict.fromkeys(forms, expected_rows())


SHAPE = "input 'small': shape [2] does not fit; this request needs [1]"
NOT_HERE = "this deployment serves the model 'described' in version 1.0.0"


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_triton_s_client_is_served(deployed, deployer, kind):
    protocol = "rest" if kind == "http" else "grpc"
    address = deployer.get_endpoint(deployed, protocol).removeprefix("http://")
    facts = json.loads(run_client("of_triton.py", kind, address, "described"))
    forms = ["plain", "of a version", "half as FP16", "half as BF16", "not waited for"]
    check_facts(facts, *forms, *(["in JSON"] if kind == "http" else []))
    assert (facts["server"], facts["id"]) == ("brixa-flows", "seven")
    assert [tuple(each) for each in facts["inputs"]] == [
        ("flag", "BOOL", [-1]),
        ("small", "INT32", [-1]),
        ("count", "UINT8", [-1]),
        ("half", "FP32", [-1]),
        ("gust", "FP64", [-1]),
        ("carrier", "BYTES", [-1]),
        ("photo", "BYTES", [-1]),
    ]
    errors = facts["errors"]
    bad, absent = (
        ("400", "404")
        if kind == "http"
        else ("StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND")
    )
    assert errors["shape"].startswith(f"{bad}: {SHAPE}")
    for error in (errors["model"], errors["version"]):
        assert error.startswith(f"{absent}: ") and error.endswith(NOT_HERE)


def test_kserve_s_clients_are_served(deployed, deployer):
    addresses = deployer.get_endpoint(deployed), deployer.get_endpoint(deployed, "grpc")
    facts = json.loads(run_client("of_kserve.py", *addresses, "described"))
    check_facts(facts["rest"], "binary", "in JSON")
    check_facts(facts["grpc"], "raw", "typed")
    rest, rpc = facts["rest"]["errors"], facts["grpc"]["errors"]
    assert SHAPE in rest["shape"] and rest["shape"].startswith("400: ")
    assert NOT_HERE in rest["model"] and rest["model"].startswith("404: ")
    assert rpc["shape"].startswith(f"INVALID_ARGUMENT: {SHAPE}")
    assert rpc["model"].startswith("NOT_FOUND: ") and rpc["model"].endswith(NOT_HERE)


def test_curl_is_served(deployed, deployer):
    require("curl", shutil.which("curl") is not None)
    endpoint = deployer.get_endpoint(deployed)
    tensor = {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["AA"]}
    asked = {
        "/v2/models/described/infer": {"inputs": [tensor]},
        "/predict": {"records": [{"carrier": "AA"}]},
        "/v2/health/ready": None,
        "/v2/models/described/ready": None,
    }
    said = []
    for path, body in asked.items():
        data = [] if body is None else ["-d", json.dumps(body)]  # sent as a form's
        done = subprocess.run(
            ["curl", "-s", "--max-time", "20", endpoint + path, *data],
            capture_output=True,
            check=True,
        )
        said.append(json.loads(done.stdout))
    assert said[0]["outputs"][0]["data"] == said[1]["predictions"]
    assert "float32=nan float64=nan str=AA" in said[1]["predictions"][0]
    assert said[2:] == [{"ready": True}, {"name": "described", "ready": True}]


@pytest.mark.parametrize(
    "stubs",
    ["tritonclient/grpc/service_pb2.py", "kserve/protocol/grpc/grpc_predict_v2_pb2.py"],
)
def test_our_messages_live_beside_the_stubs_of_others(stubs):
    ours = str(Path(grpc_messages.__file__))
    assert run_client("beside_stubs.py", stubs, ours) == "they agree"


@pytest.mark.slow(seconds=15)
def test_schemathesis_finds_no_fault_of_ours(deployed, deployer, tmp_path):
    require("schemathesis (make clients-environment)", PYTHON.is_file())
    command = [str(PYTHON.with_name("schemathesis")), "run"]
    command += [f"{deployer.get_endpoint(deployed)}/openapi.json", "--no-color"]
    command += ["--checks", "not_a_server_error", "--generation-deterministic"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "3"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Tested: 11" in done.stdout
