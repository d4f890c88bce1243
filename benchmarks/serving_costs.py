"""What serving costs above the model: the request log, the HTTP server, start and memory.

    python benchmarks/serving_costs.py                # about ten minutes
    python benchmarks/serving_costs.py --rounds 5 --pairs 2

A logistic regression of ten columns. What is compared takes turns (A B B A ...) within one
run, under 32 keep-alive clients in a process of their own, so read the ratios: of requests
a second, and of the server's CPU for one request. Two processes of one program may differ
by some percent as long as they live, so the request log is judged on many pairs of fresh
deployments. Start and memory are compared with a process that does nothing but import what
it needs and load the same version.
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
from typing import NamedTuple, TypeAlias

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
CONNECTIONS = 32
DRAWS = 4000
STARTS = 5
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
        aside_ms: What of that its threads beside the event loop's used.
    """

    per_second: float
    cpu_ms: float
    aside_ms: float = 0.0


@contextlib.contextmanager
def asked(endpoint: str, pid: int, seconds: float) -> Iterator[Callable[[], Rate]]:
    """Clients that ask for so long, about, whenever what this gives is called."""
    server = psutil.Process(pid)

    def used() -> np.ndarray:
        loop = next(each for each in server.threads() if each.id == pid)
        return np.array([sum(server.cpu_times()[:2]), sum(loop[1:])])

    with clients(endpoint, CONNECTIONS) as load:
        load.pause()

        def turn() -> Rate:
            load.go_on()
            (before, began), cpu = load.count(), used()
            time.sleep(seconds)
            (answered, ended), spent = load.count(), used() - cpu
            load.pause()
            count = answered - before
            whole, loop = 1000 * spent / max(count, 1)
            return Rate(count / (ended - began), whole, whole - loop)

        try:
            yield turn
        finally:
            load.go_on()
    if load.failed:
        sys.exit(f"requests failed: {load.seen['failed']}")


Turns: TypeAlias = tuple[Callable[[], Rate], Callable[[], Rate]]


def taking_turns(turns: Turns, n: int) -> list[list[Rate]]:
    """Of n rounds, each in the order that the one before did not have."""
    rates: list[list[Rate]] = [[], []]
    for number in range(n):
        for place in (number % 2, 1 - number % 2):
            rates[place].append(turns[place]())
    return rates


def compare(titles: tuple[str, str], pairs: np.ndarray) -> None:
    """Print both, and the ratio of the second to the first with its interval.

    Args:
        titles: Of both.
        pairs: Of shape (n_pairs, 2, n_rounds, 3).
    """
    medians, means = np.median(pairs, axis=(0, 2)), np.mean(pairs, axis=(0, 2))
    # Clocks of threads are too coarse for one turn.
    told = np.column_stack((medians[:, :2], means[:, 2]))
    for title, (per_second, cpu_ms, aside_ms) in zip(titles, told, strict=True):
        print(
            f"{title:28} {per_second:7.0f} requests/s   {cpu_ms:.3f} ms CPU a request, "
            f"{aside_ms:.3f} of it beside the event loop"
        )
    random = np.random.default_rng(0)
    draws = np.array([ratios(drawn(pairs, random)) for _ in range(DRAWS)])
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    for place, words in enumerate(("requests/s", "CPU a request")):
        print(
            f"    ratio {ratios(pairs)[place]:.3f} of the {words}, "
            f"95 % interval {low[place]:.3f} to {high[place]:.3f}"
        )
    print(flush=True)


def ratios(pairs: np.ndarray) -> np.ndarray:
    """Of each fact: the mean over pairs of the median of the rounds' ratios.

    Turns of a round follow one another within a second, so what else the machine does
    meets both of them more often than not.
    """
    of_rounds = pairs[:, 1, :, :2] / pairs[:, 0, :, :2]
    return np.mean(np.median(of_rounds, axis=1), axis=0)


def drawn(pairs: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A bootstrap draw of pairs, and within each of both of rounds."""
    n_pairs, _, n_rounds, _ = pairs.shape
    chosen = pairs[random.integers(n_pairs, size=n_pairs)]
    rounds = random.integers(n_rounds, size=(n_pairs, 1, n_rounds, 1))
    return np.take_along_axis(chosen, rounds, axis=2)


def request_log(deployer: ModelDeployer, arguments: argparse.Namespace) -> None:
    """Deployments that keep every request, beside some that keep none."""

    def ask(name: str) -> contextlib.AbstractContextManager[Callable[[], Rate]]:
        [replica] = deployer.status(name).replicas
        return asked(deployer.get_endpoint(name), replica.pid, arguments.seconds)

    names, pairs, kept = ("silent", "logging"), [], np.zeros(3)
    for number in range(arguments.pairs):
        for place in (number % 2, 1 - number % 2):
            done, message = deployer.deploy(
                NAME, "1.0.0", names[place], request_log=float(place)
            )
            if not done:
                sys.exit(message)
        with ask("silent") as first, ask("logging") as second:
            pairs.append(taking_turns((first, second), arguments.rounds))
        log = deployer.status("logging").request_log
        rows = log.written_rows + log.waiting_rows
        kept += (rows, log.dropped_rows, log.lost_rows)
        for name in names:
            deployer.delete(name)
    print("{:.0f} rows kept, {:.0f} dropped, {:.0f} lost".format(*kept))
    compare(("no request log", "request log of all"), np.array(pairs))


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
            place = (f"http://127.0.0.1:{port}", process.pid)
            turns.append(stack.enter_context(asked(*place, seconds)))
        pair = taking_turns((turns[0], turns[1]), rounds)
        compare(("asyncio and h11", "uvloop and httptools"), np.array([pair]))


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
    parser.add_argument("--seconds", type=float, default=0.4, help="Of one turn.")
    parser.add_argument("--rounds", type=int, default=30, help="Turns of each.")
    parser.add_argument("--pairs", type=int, default=8, help="To judge the log on.")
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
            request_log(deployer, arguments)
            http_servers(Path(folder), arguments.seconds, arguments.rounds)
            start_and_memory(deployer, root, STARTS)
        finally:
            for name in deployer.list():
                deployer.delete(name)


if __name__ == "__main__":
    main()
