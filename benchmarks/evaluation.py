"""Evaluation of many rows: against scikit-learn's own calls, MLflow's, and memory.

    python benchmarks/evaluation.py                    # some minutes
    python benchmarks/evaluation.py --rows 100000 --large-rows 1000000

Each side runs in a process of its own, once on a few rows before, so that imports are
not counted: ``ours`` is
``ModelEvaluator.evaluate`` with five metrics and their intervals, ``floor`` predicts and
makes the five scikit-learn calls, ``mlflow`` is ``mlflow.models.evaluate`` without
explanations, on 100,000 rows. MLflow gives 13 numbers without intervals, draws five
plots and stores them; ``reported`` is ours with its metrics, plots and both reports
kept too. On a busy machine set OMP_NUM_THREADS=1, or threads that wait are counted. Peaks of memory are those of processes that read Parquet
of ``--rows`` and of ``--large-rows``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

METRICS = ["accuracy", "f1", "roc_auc", "log_loss", "brier_score_loss"]
FEATURES = 10
PEER_ROWS = 100_000
WARM_UP_ROWS = 500
WRITTEN_AT_ONCE = 500_000


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Numbers, and a label that they tell imperfectly."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        rng.normal(size=(rows, FEATURES)), columns=[f"x{i}" for i in range(FEATURES)]
    )
    noise = rng.normal(size=rows)
    return data.assign(y=(data["x0"] + data["x1"] * data["x2"] + noise > 0).astype(int))


def trained() -> Any:
    """Boosted trees, as tables usually meet them."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = frame(20_000, 0)
    return HistGradientBoostingClassifier(random_state=0).fit(
        rows.drop(columns="y"), rows["y"]
    )


def reported(rows: int, folder: Path) -> Callable[[], Any]:
    """The same, with the usual metrics, reports with plots, and all of it kept."""
    return ours(rows, folder, metrics=None)


def ours(
    rows: int, folder: Path, metrics: list[str] | None = METRICS
) -> Callable[[], Any]:
    """A registered version on a frame, or on a Parquet file if there is one."""
    from brixa_flows.evaluation import ModelEvaluator
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.storage.local import LocalStorageNode
    from brixa_flows.tracking.memory_store import MemoryTrackingStore

    node = LocalStorageNode(folder / "registry")
    registry = ModelRegistry(node, tracking=MemoryTrackingStore())
    made = registry.register_model("trees", "classification", "sklearn")
    example = frame(5, 0).drop(columns="y")
    registry.save_model("trees", made.version, trained(), example)
    file = folder / f"{rows}.parquet"
    data = str(file) if file.exists() else frame(rows, 1)

    def run() -> dict[str, Any]:
        result = ModelEvaluator(registry).evaluate(
            "trees", made.version, data, metrics, target="y", record=metrics is None
        )
        return {
            "metrics": dict(result.metrics),
            "method": result.method,
            "bounds": dict(result.bounds),
        }

    return run


def floor(rows: int, folder: Path) -> Callable[[], Any]:
    """What cannot be saved: both predictions and the five calls."""
    from sklearn import metrics as sk

    model, data = trained(), frame(rows, 1)
    inputs, truth = data.drop(columns="y"), data["y"].to_numpy()

    def run() -> dict[str, Any]:
        answers, shares = model.predict(inputs), model.predict_proba(inputs)
        found = {
            "accuracy": float(sk.accuracy_score(truth, answers)),
            "f1": float(sk.f1_score(truth, answers)),
            "roc_auc": float(sk.roc_auc_score(truth, shares[:, 1])),
            "log_loss": float(sk.log_loss(truth, shares)),
            "brier_score_loss": float(sk.brier_score_loss(truth, shares[:, 1])),
        }
        return {"metrics": found}

    return run


def mlflow(rows: int, folder: Path) -> Callable[[], Any]:
    """MLflow's default evaluator on the same rows."""
    import mlflow as peer

    peer.set_tracking_uri(f"sqlite:///{folder / 'peer.db'}")
    with peer.start_run():
        info = peer.sklearn.log_model(
            trained(), name="trees", serialization_format="cloudpickle"
        )
    data = frame(rows, 1)

    def run() -> dict[str, Any]:
        with peer.start_run():
            found = peer.models.evaluate(
                info.model_uri,
                data,
                targets="y",
                model_type="classifier",
                evaluator_config={"log_explainer": False},
            )
        return {"metrics": {"accuracy": float(found.metrics["accuracy_score"])}}

    return run


SIDES: dict[str, Callable[[int, Path], Callable[[], Any]]] = {
    "ours": ours,
    "reported": reported,
    "floor": floor,
    "mlflow": mlflow,
}


def measure(side: str, rows: int, folder: Path) -> None:
    """In the child: run once, print what it took as JSON."""
    warnings.simplefilter("ignore")
    (folder / "before").mkdir()
    SIDES[side](WARM_UP_ROWS, folder / "before")()
    run = SIDES[side](rows, folder)
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"cpu": cpu, "wall": wall, "megabytes": peak / 1024}
    print(json.dumps({**facts, **found}))


def in_child(side: str, rows: int, folder: Path) -> dict[str, Any]:
    """Run one side in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", side]
    with tempfile.TemporaryDirectory(dir=folder) as own:
        for file in folder.glob(f"{rows}.parquet"):
            os.link(file, Path(own) / file.name)
        done = subprocess.run(
            [*command, "--rows", str(rows), "--folder", own],
            capture_output=True,
            text=True,
            check=False,
            cwd=own,
        )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def write(rows: int, folder: Path) -> None:
    """Parquet, a part at a time."""
    schema = pa.Table.from_pandas(frame(1, 0), preserve_index=False).schema
    with pq.ParquetWriter(folder / f"{rows}.parquet", schema) as writer:
        for start in range(0, rows, WRITTEN_AT_ONCE):
            part = frame(min(WRITTEN_AT_ONCE, rows - start), start)
            writer.write_table(pa.Table.from_pandas(part, preserve_index=False))


def compare_speed(rows: int, folder: Path) -> None:
    """CPU seconds of all sides."""
    mine, least = (in_child(s, rows, folder) for s in ("ours", "floor"))
    print(f"{rows:,} rows, {len(METRICS)} metrics with intervals")
    for told, side in (("ours", mine), ("floor", least)):
        print(f"  {told:8} {side['cpu']:7.2f} CPU s, {side['wall']:6.2f} s")
    print(f"  ratio    {mine['cpu'] / least['cpu']:7.2f} x")
    gap = max(abs(mine["metrics"][m] - least["metrics"][m]) for m in METRICS)
    print(f"  largest difference of a metric: {gap:.1e}")
    print(f"{PEER_ROWS:,} rows against mlflow.models.evaluate")
    sides = {s: in_child(s, PEER_ROWS, folder) for s in ("ours", "reported", "mlflow")}
    for told, side in sides.items():
        ratio = sides["mlflow"]["cpu"] / side["cpu"]
        print(
            f"  {told:8} {side['cpu']:7.2f} CPU s, {side['wall']:6.2f} s, "
            f"{ratio:5.2f} x as fast"
        )


def compare_memory(few: int, many: int, folder: Path) -> None:
    """Peaks of processes that judge Parquet files of two sizes."""
    peaks = []
    for rows in (few, many):
        write(rows, folder)
        found = in_child("ours", rows, folder)
        peaks.append(found["megabytes"])
        print(
            f"{rows:,} rows of Parquet, {found['method']}: peak {peaks[-1]:,.0f} MB, "
            f"bounds {found['bounds']}",
            flush=True,
        )
    print(f"  ratio    {peaks[1] / peaks[0]:7.2f} x")


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large-rows", type=int, default=10_000_000)
    parser.add_argument("--child", choices=[*SIDES])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=["speed", "memory"])
    options = parser.parse_args()
    if options.child:
        measure(options.child, options.rows, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only != "memory":
            compare_speed(options.rows, folder)
        if options.only != "speed":
            compare_memory(options.rows, options.large_rows, folder)


if __name__ == "__main__":
    main()
