"""Register + save + load of a small scikit-learn model: ours against MLflow's own.

    python benchmarks/small_model.py                # about two minutes
    python benchmarks/small_model.py --rounds 3

Both sides are in one process, warm, each on an sqlite database and a folder of its own
on the same disk, and take turns. The peer is ``mlflow.sklearn.log_model`` with
``registered_model_name=`` and ``mlflow.sklearn.load_model``, once at their defaults and
once with ``pip_requirements`` given, which saves it a subprocess. A ratio is the median
of the peer's rounds over the median of ours; CPU seconds include child processes.
"""

from __future__ import annotations

import argparse
import logging
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF
from statistics import median
from typing import Any, NamedTuple

import mlflow
import numpy as np
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode

NAME = "small"
Round = Callable[[], Any]


class Cost(NamedTuple):
    """What a round took, in seconds."""

    wall: float
    cpu: float


def ours(folder: Path, model: Any) -> Round:
    """Register, save and load by a registry that is open already."""
    registry = ModelRegistry(LocalStorageNode(folder / "brixa"))

    def run() -> Any:
        version = registry.register_model(NAME, "classification", "sklearn").version
        registry.save_model(NAME, version, model)
        return registry.load_model(NAME, version)

    return run


def mlflows(folder: Path, model: Any, **options: Any) -> Round:
    """The same by MLflow's functions, on a backend of the same kind."""
    folder.mkdir()
    uri = f"sqlite:///{folder / 'mlflow.db'}"

    def run() -> Any:
        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(NAME) is None:
            mlflow.create_experiment(NAME, (folder / "artifacts").as_uri())
        mlflow.set_experiment(NAME)
        with mlflow.start_run():
            logged = mlflow.sklearn.log_model(
                model, name="model", registered_model_name=NAME, **options
            )
        return mlflow.sklearn.load_model(
            f"models:/{NAME}/{logged.registered_model_version}"
        )

    return run


def _cpu_seconds() -> float:
    usages = [resource.getrusage(w) for w in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(run: Round, model: Any, inputs: Any) -> Cost:
    """One round; what it loaded must predict as the model does."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    loaded = run()
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    np.testing.assert_array_equal(loaded.predict(inputs), model.predict(inputs))
    return Cost(wall, cpu)


def main() -> None:
    """Measure all sides by turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    inputs, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(inputs, labels)
    pinned = [f"scikit-learn=={sklearn.__version__}"]
    with tempfile.TemporaryDirectory(prefix="brixa-bench-", dir=Path.cwd()) as place:
        folder = Path(place)
        sides = {
            "ours": ours(folder, model),
            "mlflow, defaults": mlflows(folder / "defaults", model),
            "mlflow, pip_requirements": mlflows(
                folder / "pinned", model, pip_requirements=pinned
            ),
        }
        costs: dict[str, list[Cost]] = {side: [] for side in sides}
        for number in range(options.rounds + 1):
            for side, run in sides.items():
                cost = measure(run, model, inputs)
                if number:  # the first one opens databases and imports
                    costs[side].append(cost)
    medians = {
        side: Cost(median(c.wall for c in found), median(c.cpu for c in found))
        for side, found in costs.items()
    }
    print(f"register + save + load of {type(model).__name__}, {options.rounds} rounds")
    mine = medians["ours"]
    for side, cost in medians.items():
        print(
            f"  {side:25} {cost.wall * 1e3:8.1f} ms wall ({cost.wall / mine.wall:6.2f} x"
            f" ours)  {cost.cpu * 1e3:8.1f} ms CPU ({cost.cpu / mine.cpu:6.2f} x ours)"
        )


if __name__ == "__main__":
    main()
