"""Run as a script: real processes that race or are killed, on a real MLflow backend.

``python process_driver.py SCENARIO STORAGE_ROOT TRACKING_URI`` prints one JSON object.
It imports everything heavy once and forks then, and opens MLflow itself only after its children are gone,
because a database connection does not survive a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.store.model_registry.sqlalchemy_store  # noqa: F401  (see above)
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
from sklearn.linear_model import LogisticRegression

import brixa_flows.tracking.mlflow_store  # noqa: F401
from brixa_flows.errors import BrixaError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

warnings.simplefilter("ignore")

MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
PROCESSES = 4


def fork(work: Callable[[], Any], result: Path | None = None) -> int:
    """Run ``work`` in a child, which leaves its answer in a file."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        answer = work()
        if result is not None:
            result.write_text(json.dumps(answer))
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around(owner: Any, method: str, *, after: bool) -> None:
    """End the process, as by a power cut, before or after a method."""
    original = getattr(owner, method)

    def killed(*args: Any, **kwargs: Any) -> None:
        if after:
            original(*args, **kwargs)
        die()

    setattr(owner, method, killed)


def open_registry(root: str, uri: str) -> ModelRegistry:
    return ModelRegistry(LocalStorageNode(root), tracking_uri=uri)


# Where a save is killed: which part, which method, after it (or before).
SAVE_POINTS = {
    "claimed": ("journal", "claim", True),
    "registered": ("leases", "hold", False),
    "staged": ("tracking", "open_run", False),
    "run-made": ("tracking", "open_run", True),
    "metadata-written": ("storage", "publish", False),
    "published": ("storage", "publish", True),
    "shown": ("tracking", "create_version", True),
    "sealed": ("journal", "seal", True),
}
STAGE_POINTS = {
    "change-written": ("journal", "append_change", True),
    "alias-set": ("tracking", "set_alias", True),
}


def arm(registry: ModelRegistry, point: tuple[str, str, bool]) -> None:
    part, method, after = point
    kill_around(getattr(registry._backends, part), method, after=after)


def crash(root: str, uri: str) -> dict[str, Any]:
    """Kill a save or promotion at each point, then recover twice."""
    for name, point in SAVE_POINTS.items():

        def save(name: str = name, point: tuple[str, str, bool] = point) -> None:
            registry = open_registry(root, uri)
            arm(registry, point)
            registry.register_model(name, "t", metrics={"f1": 0.5})
            registry.save_model(name, "1.0.0", MODEL)

        os.waitpid(fork(save), 0)
    for name, point in STAGE_POINTS.items():

        def promote(name: str = name, point: tuple[str, str, bool] = point) -> None:
            registry = open_registry(root, uri)
            for _ in range(2):
                version = registry.register_model(name, "t").version
                registry.save_model(name, version, MODEL)
            registry.transition(name, "1.0.0", "production")
            arm(registry, point)
            registry.transition(name, "1.0.1", "production")

        os.waitpid(fork(promote), 0)
    registry = open_registry(root, uri)
    before = {name: registry.get_metadata(name, "1.0.0").state for name in SAVE_POINTS}
    first = [action.model_dump(mode="json") for action in registry.recover()]
    second = [str(action) for action in registry.recover()]
    points = {}
    for name in SAVE_POINTS:
        state = registry.get_metadata(name, "1.0.0").state
        if state == "registered":
            registry.save_model(name, "1.0.0", MODEL)
        registry.verify(name, "1.0.0")
        predicted = registry.load_model(name).predict([[0.0], [1.0]]).tolist()
        metrics = registry.get_metadata(name).metrics
        points[name] = [before[name], state, predicted, metrics]
    stages = {
        name: [
            str(registry.resolve(name)),
            registry.tracking.aliases(name),
            {v.version: v.stage for v in registry.tracking.list_versions(name)},
        ]
        for name in STAGE_POINTS
    }
    return {"points": points, "stages": stages, "first": first, "second": second}


def race(root: str, uri: str) -> dict[str, Any]:
    """Several processes do the same at once, on a backend nobody has opened."""
    folder = Path(root)
    go = folder / "go"

    def compete(number: int) -> dict[str, Any]:
        registry = open_registry(root, uri)
        while not go.exists():
            time.sleep(0.001)
        numbers = [
            str(registry.register_model("shared", "t").version) for _ in range(5)
        ]
        try:
            registry.register_model("wanted", "t", version="3.1.4")
            won = True
        except BrixaError as err:
            won = False
            assert type(err).__name__ == "VersionExistsError", err
        try:
            registry.save_model("waiting", "1.0.0", MODEL)
            saved = True
        except BrixaError as err:
            saved = False
            assert type(err).__name__ == "VersionExistsError", err
        own = f"1.0.{number}"
        registry.register_model("staged", "t", version=own)
        registry.save_model("staged", own, MODEL)
        registry.transition("staged", own, "production", actor=str(number))
        return {"numbers": numbers, "won": won, "saved": saved}

    open_registry(root, uri).register_model("waiting", "t")
    results = [folder / f"result-{number}.json" for number in range(PROCESSES)]
    children = [
        fork(lambda number=number: compete(number), result)
        for number, result in enumerate(results)
    ]
    go.write_text("")
    codes = [os.waitpid(child, 0)[1] for child in children]
    registry = open_registry(root, uri)
    holders = registry.list_versions("staged", stage="production")
    history = registry.stage_history("staged")
    registry.verify("waiting", "1.0.0")
    return {
        "codes": codes,
        "answers": [json.loads(result.read_text()) for result in results],
        "holders": [str(each.version) for each in holders],
        "alias": registry.tracking.aliases("staged"),
        "last": str([r for r in history if r.target == "production"][-1].version),
        "records": len(history),
        "index": json.loads(registry.storage.read("models/_meta/_registry.json")[0]),
        "recovered": [str(action) for action in registry.recover()],
    }


if __name__ == "__main__":
    scenario = {"crash": crash, "race": race}[sys.argv[1]]
    print(json.dumps(scenario(*sys.argv[2:])))
