"""What the life of a deployment costs its clients: failed requests, and seconds.

    python benchmarks/deployment_life.py                    # about six minutes
    python benchmarks/deployment_life.py --requests 2000    # a short look

Two logistic regressions behind one endpoint, and 32 keep-alive clients in a process of
their own that never ask twice (``_load.py``). Each line is one kind of change, repeated
until so many requests were answered; a failed request is one that got no 200. ``kill -9``
may cost what the killed replica was holding: at most its connections. The same over gRPC,
canaries and autoscaling aside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import psutil
from sklearn.linear_model import LogisticRegression

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

NAME = "life"
COLUMNS = [f"c{place}" for place in range(10)]
CLIENTS = 32
BODY = json.dumps({"records": [dict.fromkeys(COLUMNS, 0.5)]})


class Clients:
    """The load, running.

    Args:
        process: Of ``_load.py``.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.seen: dict[str, Any] = {"answers": {}, "failed": {}, "slowest_ms": 0}
        self._told = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen = json.loads(line)
            self._told.set()

    @property
    def answered(self) -> int:
        """Requests with a 200 so far."""
        return sum(self.seen["answers"].values())

    @property
    def failed(self) -> int:
        """Requests with none."""
        return sum(self.seen["failed"].values())

    def count(self) -> tuple[int, float]:
        """Wait for news: requests with a 200, and the monotonic second of that count.

        ``answered`` is up to a quarter of a second old, which is much of a short turn.
        """
        self._told.clear()
        if not self._told.wait(30):
            sys.exit(f"the clients say nothing: {self.seen}")
        seen = self.seen
        return sum(seen["answers"].values()), seen["at_seconds"]

    def pause(self) -> None:
        """Have them ask nothing until ``go_on``; they keep their connections."""
        psutil.Process(self._process.pid).suspend()

    def go_on(self) -> None:
        """Have them ask again."""
        psutil.Process(self._process.pid).resume()

    def end(self) -> None:
        """Let every client finish its request."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reading.join()
        self._process.wait()


@contextlib.contextmanager
def clients(
    endpoint: str, connections: int = CLIENTS, body: str = BODY, *path: str
) -> Iterator[Clients]:
    """Clients at an endpoint, asking already."""
    place = urlsplit(endpoint if "://" in endpoint else f"grpc://{endpoint}")
    program = "_load_grpc.py" if place.scheme == "grpc" else "_load.py"
    command = [sys.executable, str(Path(__file__).with_name(program))]
    command += [str(place.hostname), str(place.port), str(connections), body, *path]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Clients(process)
    try:
        deadline = time.monotonic() + 60
        while running.answered < 10 * connections:
            if time.monotonic() > deadline:
                sys.exit(f"{endpoint} does not answer: {running.seen}")
            time.sleep(0.05)
        yield running
    finally:
        running.end()


def under_load(
    title: str,
    deployer: ModelDeployer,
    requests: int,
    change: Callable[[int], Any],
    protocol: str = "rest",
) -> None:
    """Make a change again and again while so many requests are answered."""
    times = []
    with clients(deployer.get_endpoint(NAME, protocol)) as load:
        began = time.monotonic()
        while load.answered < requests or not times:
            started = time.monotonic()
            change(len(times))
            times.append(time.monotonic() - started)
            time.sleep(0.3)
        seconds = time.monotonic() - began
    say(title, load, times, seconds)


def say(title: str, load: Clients, times: list[float], seconds: float) -> None:
    """One line of the table."""
    print(
        f"{title:38} {len(times):3} changes of {np.median(times):5.2f} s  "
        f"{load.answered:6} answered  {load.failed:4} failed  "
        f"{load.answered / seconds:6.0f}/s  slowest {load.seen['slowest_ms']:.0f} ms"
    )
    for reason, count in load.seen["failed"].items():
        print(f"    {count} x {reason}")


def done(outcome: tuple[bool, str]) -> None:
    """Stop at a change that failed."""
    if not outcome[0]:
        sys.exit(f"a change failed: {outcome[1]}")


def upgrades(deployer: ModelDeployer, requests: int, protocol: str = "rest") -> None:
    """There by deploy, back by rollback."""

    def change(number: int) -> None:
        if number % 2:
            deployer.rollback(NAME)
        else:
            done(deployer.deploy("lr", "2.0.0", NAME))

    title = f"upgrade, rollback ({protocol})"
    under_load(title, deployer, requests, change, protocol)


def environments(
    deployer: ModelDeployer, requests: int, protocol: str = "rest"
) -> None:
    """A new generation each time."""

    def change(number: int) -> None:
        variables = {"RUN": f"{protocol} {number}"}
        done(deployer.deploy("lr", name=NAME, env_vars=variables))

    title = f"change of env_vars ({protocol})"
    under_load(title, deployer, requests, change, protocol)


def scales(deployer: ModelDeployer, requests: int, protocol: str = "rest") -> None:
    """1, 4, 1."""
    deployer.scale(NAME, 1)
    under_load(
        f"scale 1-4-1 ({protocol})",
        deployer,
        requests,
        lambda number: deployer.scale(NAME, 1 if number % 2 else 4),
        protocol,
    )
    deployer.scale(NAME, 2)


def canaries(deployer: ModelDeployer, requests: int) -> None:
    """Start, promote, start a shadow, abort."""

    def change(number: int) -> None:
        other = "1.0.0" if deployer.config(NAME).version == "2.0.0" else "2.0.0"
        if number % 2:
            done(deployer.start_canary(NAME, other, shadow=True))
            done(deployer.abort_canary(NAME))
        else:
            done(deployer.start_canary(NAME, other, share=0.3))
            done(deployer.promote_canary(NAME))

    under_load("canary and promote, shadow and abort", deployer, requests, change)


def connections_of(process: psutil.Process) -> int:
    """How many clients are connected to a replica."""
    connections = process.net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in connections)


def kills(deployer: ModelDeployer, requests: int, protocol: str = "rest") -> None:
    """The one of two replicas with more clients, by SIGKILL."""
    times, held = [], 0
    with clients(deployer.get_endpoint(NAME, protocol)) as load:
        began = time.monotonic()
        while load.answered < requests or not times:
            pids = [each.pid for each in deployer.status(NAME).replicas]
            victim = max(map(psutil.Process, pids), key=connections_of)
            if protocol == "rest":
                # It takes no connection while they are counted. Clients of gRPC come
                # by a new one all the time, and would queue at who answers nobody.
                victim.suspend()
            held += connections_of(victim)
            started = time.monotonic()
            victim.kill()
            while victim.is_running():
                time.sleep(0.02)
            while not deployer.status(NAME).healthy:
                time.sleep(0.02)
            times.append(time.monotonic() - started)
        seconds = time.monotonic() - began
    say(f"kill -9 of a replica ({protocol})", load, times, seconds)
    verdict = "within" if load.failed <= held else "OVER"
    print(f"    the killed held {held} connections: {load.failed} failed, {verdict}")


def autoscaling(deployer: ModelDeployer) -> None:
    """Up under load, down after it, within 1 to 3."""
    deployer.scale(NAME, 1)
    limits = {
        "min_replicas": 1,
        "max_replicas": 3,
        "target_cpu_utilization": 30,
        "scale_down_window_seconds": 10,
    }
    done(deployer.deploy("lr", name=NAME, autoscaling=limits))

    def seconds_until(reached: Callable[[int], bool]) -> float:
        began = time.monotonic()
        while not reached(deployer.status(NAME).ready_replicas):
            if time.monotonic() - began > 120:
                sys.exit("the autoscaler did nothing in two minutes")
            time.sleep(0.1)
        return time.monotonic() - began

    with clients(deployer.get_endpoint(NAME)) as load:
        up = seconds_until(lambda ready: ready > 1)
    down = seconds_until(lambda ready: ready == 1)
    print(
        f"{'autoscaling on CPU, 1 to 3':38} up after {up:.1f} s of load, down to 1 "
        f"{down:.1f} s after it (window 10 s)  {load.answered} answered  "
        f"{load.failed} failed"
    )
    done(deployer.deploy("lr", name=NAME, autoscaling={}))


def saved(folder: Path) -> ModelRegistry:
    """``lr`` 1.0.0 and 2.0.0."""
    storage = LocalStorageNode(folder / "storage")
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    numbers = np.random.default_rng(0).normal(size=(500, len(COLUMNS)))
    frame = pd.DataFrame(numbers, columns=COLUMNS)
    for version, column in (("1.0.0", "c0"), ("2.0.0", "c1")):
        model = LogisticRegression().fit(frame, frame[column] > 0)
        registry.register_model("lr", "classification", version=version)
        with warnings.catch_warnings(action="ignore"):
            registry.save_model("lr", version, model, frame.head())
    return registry


def main() -> None:
    """Print one line for each kind of change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        deployer = ModelDeployer(saved(Path(folder)))
        done(deployer.deploy("lr", "1.0.0", NAME, replicas=2, protocol="both"))
        try:
            for part in (upgrades, environments, scales, canaries, kills):
                part(deployer, requests)
            for part in (upgrades, environments, scales, kills):
                part(deployer, requests, "grpc")
            autoscaling(deployer)
        finally:
            deployer.delete(NAME)


if __name__ == "__main__":
    main()
