"""CPU seconds of ``recover()`` on a model of 1,000 versions with 50 interrupted saves.

    python benchmarks/recover.py                    # two to four minutes
    python benchmarks/recover.py --versions 200 --interrupted 10

All versions are made by real saves of a small scikit-learn model, on an sqlite database
and a folder on the same disk. An interrupted one is a save whose process was killed
(SIGKILL) at one of eight points in turn, from the claim of its number to right after
its seal. The target is 10 CPU seconds, child processes included; what a second run
costs, which finds nothing to do, is told too.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import mlflow.store.model_registry.sqlalchemy_store  # noqa: F401, before forks
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
from sklearn.linear_model import LogisticRegression

import brixa_flows.tracking.mlflow_store  # noqa: F401
from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode

NAME = "many"
TARGET_CPU_SECONDS = 10.0
MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
# Part of the registry, its method, and whether the process dies after it or before.
POINTS = (
    ("journal", "claim", True),
    ("leases", "hold", False),
    ("tracking", "open_run", False),
    ("tracking", "open_run", True),
    ("storage", "publish", False),
    ("storage", "publish", True),
    ("tracking", "create_version", True),
    ("journal", "seal", True),
)


def in_a_process(work: Callable[[], object]) -> None:
    """Run it in a child, as a database connection does not survive a fork."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except Exception:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit("a child failed, see above")


def save(registry: ModelRegistry) -> None:
    version = registry.register_model(NAME, "t", "sklearn", metrics={"f1": 0.5}).version
    registry.save_model(NAME, version, MODEL)


def save_and_die(root: Path, point: tuple[str, str, bool]) -> None:
    part, method, after = point
    registry = ModelRegistry(LocalStorageNode(root))
    owner = getattr(registry._backends, part)
    original = getattr(owner, method)

    def killed(*args: Any, **kwargs: Any) -> None:
        if after:
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, method, killed)
    save(registry)


def build(root: Path, versions: int, interrupted: int) -> None:
    def finished() -> None:
        registry = ModelRegistry(LocalStorageNode(root))
        for _ in range(versions - interrupted):
            save(registry)

    in_a_process(finished)
    for point in islice(cycle(POINTS), interrupted):
        in_a_process(lambda point=point: save_and_die(root, point))


def cpu_seconds() -> float:
    spent = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def measured(registry: ModelRegistry) -> tuple[float, Counter[str]]:
    started = cpu_seconds()
    actions = registry.recover()
    return cpu_seconds() - started, Counter(each.action for each in actions)


def main() -> None:
    """Build, recover, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--interrupted", type=int, default=50)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="brixa-bench-") as folder:
        root, started = Path(folder), time.monotonic()
        build(root, given.versions, given.interrupted)
        print(f"built in {time.monotonic() - started:.0f} s")
        registry = ModelRegistry(LocalStorageNode(root))
        registry.tracking.ping()
        first, actions = measured(registry)
        second, left = measured(registry)
    print(", ".join(f"{count} {action}" for action, count in actions.items()))
    verdict = "pass" if first < TARGET_CPU_SECONDS else "FAIL"
    print(
        f"recover() of {given.versions} versions, {given.interrupted} interrupted: "
        f"{first:.2f} CPU s (target < {TARGET_CPU_SECONDS:g}): {verdict}"
    )
    print(f"a second run: {second:.2f} CPU s, {sum(left.values())} things to do")


if __name__ == "__main__":
    main()
