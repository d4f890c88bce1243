"""Run as a script: steps of the loop in processes that are killed, then done again.

``python loop_driver.py STORAGE_ROOT TRACKING_URI LOGGED_MODEL`` prints one JSON object. As the
driver in tests/registry it imports everything heavy once and forks then.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.sklearn  # noqa: F401  (see above)
import mlflow.store.model_registry.sqlalchemy_store  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import pandas as pd

import brixa_flows.evaluation._plots  # noqa: F401
import brixa_flows.evaluation._sklearn  # noqa: F401
import brixa_flows.tracking.mlflow_store  # noqa: F401
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.outbox import (
    Outbox,
    Reconciler,
    announces,
    concluded_alike,
    evaluated,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))
from process_driver import arm, fork  # noqa: E402

warnings.simplefilter("ignore")

Step = Callable[..., None]
Point = tuple[str, str, bool]
ROWS = pd.DataFrame({"a": [0.0, 1.0] * 20, "late": [0, 1] * 20})
# Where a step is killed: which part of the registry, which method, after it (or before).
ADOPTION_POINTS = {
    "claimed": ("journal", "claim", True),
    "recorded": ("leases", "hold", False),
    "published": ("storage", "publish", True),
    "sealed": ("journal", "seal", True),
}
EVALUATION_POINT = ("journal", "add_record", True)
PROMOTION_POINT = ("journal", "append_change", True)


def adopt(uri: str, name: str, registry: ModelRegistry) -> None:
    facts = {"evaluations": [{"name": "held-out", "uri": "rows"}], "target": "late"}
    registry.register_run(uri, name=name, once=True, event_facts=facts)


def promote(name: str, registry: ModelRegistry) -> None:
    if registry.get_metadata(name, "1.0.0").stage != "production":
        registry.transition(name, "1.0.0", "production", actor="loop")


def evaluate(name: str, registry: ModelRegistry) -> None:
    evaluator = ModelEvaluator(registry)
    result = evaluator.evaluate(
        name, "1.0.0", ROWS, ["accuracy"], target="late", record=False
    )
    if concluded_alike(registry, result, "") is None:
        evaluator.keep(result, announces(evaluated(result, None)))


def killed_and_repeated(
    root: str,
    uri: str,
    step: Callable[[ModelRegistry], None],
    point: Point,
) -> None:
    """Do a step in a process that is killed in it, and again in one that is not."""

    def once(armed: bool) -> None:
        registry = ModelRegistry(LocalStorageNode(root), tracking_uri=uri)
        if armed:
            arm(registry, point)
        step(registry)

    for armed in (True, False):
        _, status = os.waitpid(fork(lambda armed=armed: once(armed)), 0)
        assert bool(status) is armed, (point, armed, status)


def main(root: str, uri: str, logged: str) -> dict[str, Any]:
    Outbox(ModelRegistry(LocalStorageNode(root), tracking_uri=uri)).begin()
    names = [*ADOPTION_POINTS]
    steps: list[tuple[Step, list[str], list[Point]]] = [
        (partial(adopt, logged), names, [*ADOPTION_POINTS.values()]),
        (evaluate, names[:1], [EVALUATION_POINT]),
        (promote, names[:1], [PROMOTION_POINT]),
    ]
    for step, models, points in steps:
        for name, point in zip(models, points, strict=True):
            killed_and_repeated(root, uri, partial(step, name), point)

    registry = ModelRegistry(LocalStorageNode(root), tracking_uri=uri)
    heard: list[tuple[str, str, str]] = []

    def deliver(payload: Any, event_id: Any) -> None:
        heard.append((payload.name, payload.event, str(event_id)))

    first = Reconciler(registry, deliver, older_than=timedelta(0)).run()
    second = Reconciler(registry, deliver, older_than=timedelta(0)).run()
    return {
        "versions": {
            name: [(str(v.version), v.state) for v in registry.list_versions(name)]
            for name in names
        },
        "changes": {n: len(registry.stage_history(n)) for n in names},
        "aliases": {n: registry.tracking.aliases(n) for n in names},
        "evaluations": {n: len(registry.evaluations(n, "1.0.0")) for n in names},
        "heard": sorted(heard),
        "repaired": [str(action) for action in first.repaired],
        "again": [len(second.delivered), len(second.repaired)],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
