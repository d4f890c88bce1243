"""CPU that a call over gRPC costs its server, beside KServe's own server.

    make clients-environment                 # for the peer; without it, ours alone
    python benchmarks/grpc_cpu.py

A logistic regression of ten columns, one row a call, raw contents; at 1 client and at 32
(``_load_grpc.py``). CPU is what the serving process used, by the kernel's account; servers
take turns, three times, and the median of the three is told.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import joblib
import numpy as np
import psutil
from deployment_life import clients, done, saved

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry

SECONDS = 5.0
ROUNDS = 3
PEER = Path(__file__).parents[1] / ".venv-clients/bin/python"


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ours(registry: ModelRegistry) -> Iterator[tuple[str, psutil.Process]]:
    """A deployment of one replica; its address and process."""
    deployer = ModelDeployer(registry)
    done(deployer.deploy("lr", "1.0.0", "cpu", replicas=1, protocol="both"))
    try:
        process = psutil.Process(deployer.status("cpu").replicas[0].pid)
        yield deployer.get_endpoint("cpu", "grpc"), process
    finally:
        deployer.delete("cpu")


@contextlib.contextmanager
def theirs(
    registry: ModelRegistry, folder: Path
) -> Iterator[tuple[str, psutil.Process]]:
    """KServe's server with the same model."""
    port, path = free_port(), folder / "model.joblib"
    joblib.dump(registry.load_model("lr", "1.0.0"), path)
    program = Path(__file__).with_name("_kserve_server.py")
    command = [str(PEER), str(program), str(free_port()), str(port), str(path)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"127.0.0.1:{port}"
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        yield address, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(20)


def measured(
    address: str, process: psutil.Process, connections: int
) -> tuple[float, float]:
    """Milliseconds of CPU a call, and calls a second."""
    with clients(address, connections) as load:
        began, before = time.monotonic(), process.cpu_times()
        answered = load.answered
        time.sleep(SECONDS)
        after, seconds = process.cpu_times(), time.monotonic() - began
        count = load.answered - answered
    if load.failed or not count:
        sys.exit(f"calls failed: {load.seen}")
    used = after.user + after.system - before.user - before.system
    return 1000 * used / count, count / seconds


def main() -> None:
    """Print one line for each server and number of clients."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        registry = saved(Path(folder))
        servers = {"brixa-flows": stack.enter_context(ours(registry))}
        if PEER.exists():
            servers["KServe SDK"] = stack.enter_context(theirs(registry, Path(folder)))
        for connections in (1, 32):
            seen: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
            for _ in range(ROUNDS):
                for name, server in servers.items():
                    seen[name].append(measured(*server, connections))
            for name, results in seen.items():
                cpu, rate = np.median(np.array(results), axis=0)
                print(
                    f"{name:12} {connections:3} clients  {cpu:.3f} ms CPU a call  "
                    f"{rate:6.0f} calls/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
