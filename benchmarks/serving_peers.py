"""Requests a second and CPU a request of a deployment beside servers of others.

    python benchmarks/serving_peers.py                # about ten minutes
    python benchmarks/serving_peers.py --seconds 2 --rounds 2

A logistic regression of ten columns under 16 keep-alive clients over REST and gRPC, and a
forest of 100 trees under 32 and under one, one row a request. All servers run at the same
time and take turns within a round, so read the ratios, which are medians over the rounds:
of a deployment to a peer, CPU of all of a server's processes. Peers are installed by pip
into ``.venv-peers`` at the first run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import _peers
import joblib
import numpy as np
import pandas as pd
import psutil
from _peers import COLUMNS, ROW, Endpoint
from deployment_life import clients
from serving_costs import Rate
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore


def cpu_seconds(pid: int) -> float:
    """Of a process and all below it."""
    parent = psutil.Process(pid)
    used = 0.0
    for each in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(each.cpu_times()[:2])
    return used


def measured(endpoint: Endpoint, connections: int, seconds: float) -> Rate:
    """Ask for so long."""
    asked = (endpoint.url, connections, endpoint.body, endpoint.path)
    if "://" not in endpoint.url:
        asked = asked[:3]
    with clients(*asked) as load:
        (before, began), cpu = load.count(), cpu_seconds(endpoint.pid)
        time.sleep(seconds)
        (answered, ended), spent = load.count(), cpu_seconds(endpoint.pid) - cpu
    if load.failed:
        sys.exit(f"requests failed: {load.seen['failed']}")
    count = answered - before
    return Rate(count / (ended - began), 1000 * spent / max(count, 1))


def table(
    title: str,
    servers: Mapping[str, Endpoint],
    connections: int,
    arguments: argparse.Namespace,
) -> None:
    """Let all take turns; the first is ours, and the others are told beside it."""
    rates: dict[str, list[Rate]] = {name: [] for name in servers}
    for _ in range(arguments.rounds):
        for name, endpoint in servers.items():
            rates[name].append(measured(endpoint, connections, arguments.seconds))
    print(f"\n{title}, {connections} clients")
    turns = {
        name: np.array([(rate.per_second, rate.cpu_ms) for rate in each])
        for name, each in rates.items()
    }
    ours = next(iter(turns.values()))
    for place, (name, each) in enumerate(turns.items()):
        speed, cpu = np.median(each, axis=0)
        line = f"  {name:24} {speed:7.0f} requests/s   {cpu:6.3f} ms CPU a request"
        if place:
            more, less = np.median(ours / each, axis=0)
            line += f"   ours: {more:5.2f} of the requests/s, {less:.2f} of the CPU"
        print(line, flush=True)


class Ours:
    """A deployment of a model, beside the same model as a file.

    Args:
        root: A folder.
    """

    def __init__(self, root: Path) -> None:
        storage = LocalStorageNode(root / "storage")
        self.registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
        self.deployer = ModelDeployer(self.registry, storage)
        random = np.random.default_rng(0)
        self.frame = pd.DataFrame(random.normal(size=(2000, 10)), columns=COLUMNS)

    def save(self, name: str, model: ClassifierMixin, folder: Path) -> None:
        """Fit and save it in the registry and in a folder."""
        values, labels = self.frame.to_numpy(), self.frame["c0"] + self.frame["c1"] > 0
        folder.mkdir()
        joblib.dump(model.fit(values, labels), folder / "model.joblib")
        model.fit(self.frame, labels)
        self.registry.register_model(name, "classification", version="1.0.0")
        self.registry.save_model(name, "1.0.0", model, self.frame.head())

    def serve(self, model: str, name: str, **given: object) -> Endpoint:
        """One replica."""
        done, message = self.deployer.deploy(model, "1.0.0", name, replicas=1, **given)
        if not done:
            sys.exit(message)
        [replica] = self.deployer.status(name).replicas
        body = json.dumps({"records": [ROW]})
        return Endpoint(self.deployer.get_endpoint(name), replica.pid, body)


def regression(ours: Ours, root: Path, arguments: argparse.Namespace) -> None:
    """A model that costs nothing, so that what is around it is seen."""
    folder = root / "regression"
    ours.save("lr", LogisticRegression(), folder)
    with contextlib.ExitStack() as stack:
        mine = ours.serve("lr", "lr", protocol="both")
        tensors = mine._replace(
            path="/v2/models/lr/infer", body=_peers.tensors(one=False)
        )
        servers = {"ours, records": mine, "ours, tensors": tensors}
        for name, start in _peers.PEERS.items():
            servers[name] = stack.enter_context(start(folder))
        kserve, address = stack.enter_context(_peers.kserve(folder))
        servers["KServe SDK"] = kserve
        table("logistic regression, REST", servers, 16, arguments)
        rpc = mine.over_grpc(ours.deployer.get_endpoint("lr", "grpc"))
        servers = {"ours": rpc, "KServe SDK": kserve.over_grpc(address)}
        table("logistic regression, gRPC", servers, 16, arguments)
    ours.deployer.delete("lr")


def forest(ours: Ours, root: Path, arguments: argparse.Namespace) -> None:
    """A model of which a batch costs as much as a row."""
    folder = root / "forest"
    ours.save("forest", RandomForestClassifier(100, random_state=0), folder)
    mine = ours.serve("forest", "forest")
    alone = ours.serve("forest", "alone", env_vars={"MAX_BATCH_SIZE": "1"})
    with _peers.mlserver(folder, batched=True) as peer:
        servers = {"ours": mine, "MLServer, batched": peer}
        table("forest of 100 trees, REST", servers, 32, arguments)
        servers = {"ours": mine, "ours, unbatched": alone, "MLServer, batched": peer}
        table("forest of 100 trees, REST", servers, 1, arguments)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="Of one turn.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of each.")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder))
        try:
            regression(ours, Path(folder), arguments)
            forest(ours, Path(folder), arguments)
        finally:
            for name in ours.deployer.list():
                ours.deployer.delete(name)


if __name__ == "__main__":
    main()
