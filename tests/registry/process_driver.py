"""Run as a script: real processes that race or are killed, on a real MLflow backend.

``python process_driver.py SCENARIO STORAGE_ROOT TRACKING_URI ...`` prints a JSON object
for each pair. It imports everything heavy once and forks then, and opens a backend itself
only after its children are gone, because a connection does not survive a fork.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow.store.model_registry.sqlalchemy_store  # noqa: F401  (see above)
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
from sklearn.linear_model import LogisticRegression

import brixa_flows.tracking.mlflow_store  # noqa: F401
from brixa_flows.errors import BrixaError, VersionExistsError
from brixa_flows.registry import CodeRef, ModelRegistry, lineage_context
from brixa_flows.registry.journal import leases
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import mlflow_runs
from brixa_flows.tracking.memory_store import MemoryTrackingStore

warnings.simplefilter("ignore")

MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
OTHER = LogisticRegression().fit([[0.0], [1.0]], [1, 0])
PROCESSES = 16
_RUN = f"{os.getpid()}-{time.time_ns()}"  # servers are shared with other tests
SHARED, WANTED = f"shared-{_RUN}", f"wanted-{_RUN}"
WAITING, STAGED = f"waiting-{_RUN}", f"staged-{_RUN}"


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


def stop_around(owner: Any, method: str, *, after: bool) -> None:
    """Stop the process, as by a hypervisor, before or after a method."""
    original = getattr(owner, method)

    def stopped(*args: Any, **kwargs: Any) -> Any:
        if not after:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = original(*args, **kwargs)
        if after:
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    setattr(owner, method, stopped)


def open_registry(root: str, uri: str) -> ModelRegistry:
    return ModelRegistry(LocalStorageNode(root), tracking_uri=uri)


def take_number(root: str, name: str) -> None:
    """Register 1.0.0, which storage alone keeps, without opening the backend."""
    registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    registry.register_model(name, "t")


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


# Where a rebuild is killed, in this order on one backend.
REBUILD_POINTS = {
    "before-run": ("tracking", "open_run", False),
    "run-made": ("tracking", "open_run", True),
    "measured": ("runs", "log_measurement", True),
    "measured-all": ("tracking", "create_version", False),
    "shown": ("tracking", "create_version", True),
    "before-alias": ("tracking", "set_alias", False),
    "alias-set": ("tracking", "set_alias", True),
    "before-mark": ("journal", "mark_projected", False),
}
# Where a save is stopped, and what comes before it goes on.
STOP_POINTS = {
    "writing": (("journal", "read_metadata", False), "save"),
    "recording": (("tracking", "open_run", False), "save"),
    "publishing": (("storage", "publish", False), "save"),
    "published": (("storage", "publish", True), "recover"),
    "shown": (("tracking", "create_version", True), "save"),
}


def arm(
    registry: ModelRegistry,
    point: tuple[str, str, bool],
    around: Callable[..., None] = kill_around,
) -> None:
    part, method, after = point
    owner = mlflow_runs if part == "runs" else getattr(registry._backends, part)
    around(owner, method, after=after)


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
    """Many processes do the same at once, on a backend nobody has opened."""
    folder = Path(root)
    folder.mkdir()
    go = folder / "go"

    def compete(number: int) -> dict[str, Any]:
        registry = open_registry(root, uri)
        while not go.exists():
            time.sleep(0.001)
        with lineage_context(code=CodeRef(commit="c0ffee")):  # asks no git
            return _compete(registry, number)

    take_number(root, WAITING)
    results = [folder / f"result-{number}.json" for number in range(PROCESSES)]
    children = [
        fork(lambda number=number: compete(number), result)
        for number, result in enumerate(results)
    ]
    go.write_text("")
    codes = [os.waitpid(child, 0)[1] for child in children]
    if any(codes):
        return {"codes": codes}
    registry = open_registry(root, uri)
    history = registry.stage_history(STAGED)
    registry.verify(WAITING, "1.0.0")
    index = json.loads(registry.storage.read("models/_meta/_registry.json")[0])
    return {
        "codes": codes,
        "answers": [json.loads(result.read_text()) for result in results],
        "metrics": [v.metrics for v in registry.list_versions(STAGED)],
        "moves": [[str(r.version), r.source, r.target] for r in history],
        "alias": registry.tracking.aliases(STAGED),
        "shown": {v.version: v.stage for v in registry.tracking.list_versions(STAGED)},
        "index": index["models"],
        "found": registry.check(),
        "recovered": [str(action) for action in registry.recover()],
    }


def _compete(registry: ModelRegistry, number: int) -> dict[str, Any]:
    numbers = [str(registry.register_model(SHARED, "t").version) for _ in range(3)]
    won = _wins(lambda: registry.register_model(WANTED, "t", version="3.1.4"))
    saved = _wins(lambda: registry.save_model(WAITING, "1.0.0", MODEL))
    version = registry.register_model(STAGED, "t").version
    registry.save_model(STAGED, version, {"rule": number})
    data = {"name": f"month-{number % 4}", "digest": f"sha256:{number % 4}"}
    registry.log_metrics(STAGED, version, {"f1": number}, data)
    registry.transition(STAGED, version, "production", actor=str(number))
    return {"numbers": numbers, "won": won, "saved": saved}


def _wins(act: Callable[[], object]) -> bool:
    try:
        act()
    except VersionExistsError:
        return False
    return True


def rebuild(root: str, uri: str) -> dict[str, Any]:
    """Kill the rebuild of a lost MLflow at each step, then let it end, twice."""
    path = uri.removeprefix("sqlite:///")
    shutil.copy(path, f"{path}.new")

    def fill() -> None:
        registry = open_registry(root, uri)
        for _ in range(2):
            version = registry.register_model("m", "t", metrics={"f1": 0.5}).version
            registry.save_model("m", version, MODEL)
            found = {"metrics": {"f1": 0.75}, "dataset": {"name": "march"}}
            registry.record_evaluation("m", version, found)
            registry.log_metrics("m", version, found["metrics"], found["dataset"])
        registry.transition("m", "1.0.0", "staging")
        registry.transition("m", "1.0.1", "production")

    os.waitpid(fork(fill), 0)
    killed = []
    for point in REBUILD_POINTS.values():

        def begin(point: tuple[str, str, bool] = point) -> None:
            registry = open_registry(root, f"{uri}.new")
            arm(registry, point)
            registry.rebuild_tracking()

        killed.append(os.waitpid(fork(begin), 0)[1])
    registry = open_registry(root, f"{uri}.new")
    first = [str(action) for action in registry.rebuild_tracking()]
    second = [str(action) for action in registry.rebuild_tracking()]
    return {"killed": killed, "first": first, "second": second}


def outcome(call: Callable[[], Any]) -> str:
    try:
        call()
    except BrixaError as err:
        return type(err).__name__
    return "done"


def stopped_save(root: str, uri: str, name: str, point: Any, model: Any) -> Any:
    """Start a save that stops at a point; returns its process and its answer."""

    def save() -> str:
        registry = open_registry(root, uri)
        if point is not None:
            arm(registry, point, stop_around)
        return outcome(lambda: registry.save_model(name, "1.0.0", model))

    answer = Path(root) / f"answer-{time.monotonic_ns()}.json"
    pid = fork(save, answer)
    os.waitpid(pid, os.WUNTRACED)
    return pid, answer


def resume(pid: int, answer: Path) -> str:
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    return str(json.loads(answer.read_text()))


def stopped(root: str, uri: str) -> dict[str, Any]:
    """Saves that are stopped until their lease expired, and then wake."""
    leases.VALID_FOR = timedelta(seconds=0.5)
    answers = {}
    for name, (point, meanwhile) in STOP_POINTS.items():
        take_number(root, name)
        first = stopped_save(root, uri, name, point, MODEL)
        time.sleep(0.6)
        if meanwhile == "recover":
            os.waitpid(fork(lambda: open_registry(root, uri).recover()), 0)
        _, answer = stopped_save(root, uri, name, None, OTHER)
        answers[name] = [json.loads(answer.read_text()), resume(*first)]
    publishing = STOP_POINTS["publishing"][0]
    take_number(root, "both")
    first = stopped_save(root, uri, "both", publishing, MODEL)
    time.sleep(0.6)
    second = stopped_save(root, uri, "both", publishing, OTHER)
    woken = resume(*first)
    answers["both"] = [resume(*second), woken]
    registry = open_registry(root, uri)
    found = {}
    for name in answers:
        registry.verify(name, "1.0.0")
        found[name] = registry.load_model(name).predict([[0.0], [1.0]]).tolist()
    left = [str(action) for action in registry.recover()]
    return {"answers": answers, "found": found, "left": left}


if __name__ == "__main__":
    gc.freeze()  # else each child copies the pages of all that was imported
    scenarios = {"crash": crash, "race": race, "rebuild": rebuild, "stopped": stopped}
    scenario = scenarios[sys.argv[1]]
    places = iter(sys.argv[2:])
    for place in places:
        print(json.dumps(scenario(place, next(places))), flush=True)
