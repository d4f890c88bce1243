"""What serving costs above the model: the request log, the HTTP server, start and memory.

    python benchmarks/serving_costs.py                # about three minutes
    python benchmarks/serving_costs.py --seconds 3 --rounds 2

A logistic regression of ten columns. What is compared takes turns (A B A B ...) within one
run, under 16 keep-alive clients in a process of their own, so read the ratios: of requests
a second, and of the server's CPU for one request. Start and memory are compared with a
process that does nothing but import what it needs and load the same version.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import psutil
from deployment_life import COLUMNS, clients
from sklearn.linear_model import LogisticRegression

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

NAME = "costs"
CONNECTIONS = 16
LOAD_ONLY = """
import logging
import sys

logging.disable()
from brixa_flows.prediction import ModelPredictor
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
storage = LocalStorageNode(sys.argv[1])
registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
ModelPredictor.from_registry(registry, "costs", "1.0.0", trust="code")
print("loaded", flush=True)
sys.stdin.read()
"""
SERVE = """
import sys
import numpy as np, uvicorn
from pathlib import Path
from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.served import ServedModel
from brixa_flows.serializers.base import Prediction
folder, port, loop, http = sys.argv[1:]
columns = [f"c{place}" for place in range(10)]
schema = {"type": "object", "required": columns}
schema["properties"] = {name: {"type": "number"} for name in columns}
served = ServedModel(
    deployment="d", name="m", version="1.0.0", platform="", input_schema=schema,
    predict=lambda inputs: Prediction(inputs["c0"]),
)
metrics = MetricsFile(Path(folder) / "metrics.bin")
application = PredictorApplication(served, Limits(), metrics, slot=0)
uvicorn.run(
    application, port=int(port), loop=loop, http=http, log_config=None,
    access_log=False, lifespan="off", ws="none",
)
"""


class Rate(NamedTuple):
    """What one turn measured.

    Attributes:
        per_second: Requests answered a second.
        cpu_ms: CPU of the server for one of them.
    """

    per_second: float
    cpu_ms: float


def measured(endpoint: str, pids: list[int], seconds: float) -> Rate:
    """Ask for so long."""
    servers = [psutil.Process(pid) for pid in pids]

    def used() -> float:
        return sum(sum(server.cpu_times()[:2]) for server in servers)

    with clients(endpoint, CONNECTIONS) as load:
        before, cpu, began = load.answered, used(), time.monotonic()
        time.sleep(seconds)
        count, spent = load.answered - before, used() - cpu
        elapsed = time.monotonic() - began
    if load.failed:
        sys.exit(f"requests failed: {load.seen['failed']}")
    return Rate(count / elapsed, 1000 * spent / max(count, 1))


def compare(
    titles: tuple[str, str],
    turns: tuple[Callable[[], Rate], Callable[[], Rate]],
    n: int,
) -> None:
    """Let two take turns, and print both with the ratio of the second to the first."""
    rates: tuple[list[Rate], list[Rate]] = ([], [])
    for _ in range(n):
        for place, turn in enumerate(turns):
            rates[place].append(turn())
    medians = [np.median(np.array(each), axis=0) for each in rates]
    for title, (per_second, cpu_ms) in zip(titles, medians, strict=True):
        print(
            f"{title:28} {per_second:7.0f} requests/s   {cpu_ms:.3f} ms CPU a request"
        )
    pairs = np.array(rates[1]) / np.array(rates[0])
    speed, cpu = np.median(pairs, axis=0)
    print(f"    ratio: {speed:.3f} of the requests/s, {cpu:.3f} of the CPU a request\n")


def request_log(deployer: ModelDeployer, seconds: float, rounds: int) -> None:
    """A deployment that keeps every request, beside one that keeps none."""

    def turn(name: str) -> Callable[[], Rate]:
        pids = [each.pid for each in deployer.status(name).replicas if each.pid]
        return lambda: measured(deployer.get_endpoint(name), pids, seconds)

    for name, share in (("silent", 0.0), ("logging", 1.0)):
        done, message = deployer.deploy(NAME, "1.0.0", name, request_log=share)
        if not done:
            sys.exit(message)
    titles = ("no request log", "request log of all")
    compare(titles, (turn("silent"), turn("logging")), rounds)
    log = deployer.status("logging").request_log
    print(
        f"    {log.written_rows + log.waiting_rows} rows kept, "
        f"{log.dropped_rows} dropped, {log.lost_rows} lost\n"
    )
    deployer.delete("logging")


def wait_until_open(port: int) -> None:
    """Return when somebody listens there."""
    for _ in range(600):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    sys.exit(f"nobody listens at port {port}")


def http_servers(folder: Path, seconds: float, rounds: int) -> None:
    """The pure Python loop and parser of uvicorn, beside those in C."""
    with contextlib.ExitStack() as stack:
        turns = []
        for loop, http in (("asyncio", "h11"), ("uvloop", "httptools")):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [sys.executable, "-c", SERVE, str(folder), str(port), loop, http]
            process = subprocess.Popen(command)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_until_open(port)
            turns.append((f"http://127.0.0.1:{port}", [process.pid]))
        first, second = (
            lambda place=place: measured(*turns[place], seconds) for place in (0, 1)
        )
        compare(("asyncio and h11", "uvloop and httptools"), (first, second), rounds)


@contextlib.contextmanager
def loaded_only(root: Path) -> Iterator[tuple[float, int]]:
    """Seconds that it takes to import and load, and a process that did."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", LOAD_ONLY, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    yield time.monotonic() - began, process.pid
    process.stdin.close()
    process.wait()


def start_and_memory(deployer: ModelDeployer, root: Path, rounds: int) -> None:
    """From deploy() to ready, and what an idle replica holds."""
    loads, starts, extra = [], [], []
    for _ in range(rounds):
        with loaded_only(root) as (seconds, pid):
            loads.append(seconds)
            alone = psutil.Process(pid).memory_full_info().uss
            began = time.monotonic()
            done, message = deployer.deploy(NAME, "1.0.0", "started")
            starts.append(time.monotonic() - began)
            if not done:
                sys.exit(message)
            [replica] = deployer.status("started").replicas
            held = psutil.Process(replica.pid).memory_full_info().uss
            extra.append((held - alone) / 2**20)
            deployer.delete("started")
    ratio = np.median(np.array(starts) / np.array(loads))
    print(
        f"deploy to ready   {np.median(starts):.2f} s, import and load alone "
        f"{np.median(loads):.2f} s: ratio {ratio:.2f}"
    )
    print(
        f"an idle replica   {np.median(extra):.0f} MB beyond a process that only loads"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="Of one turn.")
    parser.add_argument("--rounds", type=int, default=4, help="Turns of each.")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "storage"
        storage = LocalStorageNode(root)
        registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
        random = np.random.default_rng(0)
        frame = pd.DataFrame(random.normal(size=(500, len(COLUMNS))), columns=COLUMNS)
        model = LogisticRegression().fit(frame, frame["c0"] > 0)
        registry.register_model(NAME, "classification", "sklearn", version="1.0.0")
        registry.save_model(NAME, "1.0.0", model, frame.head())
        deployer = ModelDeployer(registry, storage)
        try:
            request_log(deployer, arguments.seconds, arguments.rounds)
            http_servers(Path(folder), arguments.seconds, arguments.rounds)
            start_and_memory(deployer, root, arguments.rounds)
        finally:
            for name in deployer.list():
                deployer.delete(name)


if __name__ == "__main__":
    main()
