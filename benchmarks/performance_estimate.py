"""Estimates without labels against what labels say later: the US census' employment data.

    pip download --no-deps nannyml
    python benchmarks/performance_estimate.py nannyml-*.whl

Only the data files of that wheel are read (test use): 68,785 labelled persons of 2015 in
Massachusetts to learn from and 208,892 of 2016 to 2018, in chunks of 5,000 in their own
order. One chunk is of people in dormitories and homes alone: the features tell it.

First as the loop does it: a model learns from one half of 2015, learn_performance from the
other, and judge_performance asks the model for each chunk. Then the scores that the data
bring, with features and alone. Scores alone can't reach the bounds in the chunk of
dormitories; that it lies within its wider band is asked of them.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode
from brixa_flows.drift.performance import PerformanceEstimator, PerformanceReport
from brixa_flows.prediction import judge_performance, learn_performance
from brixa_flows.tracking.memory_store import MemoryTrackingStore

METRICS = ("accuracy", "f1", "roc_auc")
FOLDER = "nannyml/datasets/data/employment_MA_"
LABEL = "employed"
OTHERS = {"id", LABEL, "year", "prediction", "predicted_probability"}

# From a chunk to what is estimated of it and what its labels say.
Judge = Callable[[pd.DataFrame], tuple[PerformanceReport, PerformanceReport]]


def frames(wheel: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and labelled later rows."""
    with zipfile.ZipFile(wheel) as archive:
        reference, later, labels = (
            pd.read_parquet(io.BytesIO(archive.read(f"{FOLDER}{name}.pq")))
            for name in ("reference", "analysis", "analysis_target")
        )
    return reference, later.merge(labels, on="id")


def in_the_loop(reference: pd.DataFrame, features: list[str], folder: str) -> Judge:
    """A version of a registry, asked as the flows ask it."""
    registry = ModelRegistry(LocalStorageNode(folder), tracking=MemoryTrackingStore())
    half = np.random.default_rng(0).random(len(reference)) < 0.5
    taught, held = reference[half], reference[~half]
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    model.fit(taught[features], taught[LABEL])
    version = registry.register_model("employment", "tabular").version
    registry.save_model("employment", version, model, taught[features].head(5))
    rows = held[[*features, LABEL]]
    learn_performance(registry, "employment", version, rows, target=LABEL)

    def judge(chunk: pd.DataFrame) -> tuple[PerformanceReport, PerformanceReport]:
        found = [
            judge_performance(registry, "employment", version, chunk[columns])
            for columns in (features, [*features, LABEL])
        ]
        return found[0].report, found[1].report  # type: ignore[union-attr]

    return judge


def by_columns(reference: pd.DataFrame, features: list[str]) -> Judge:
    """The scores of the data, and these features."""
    estimator = PerformanceEstimator("binary").fit(
        reference,
        target_column=LABEL,
        prediction_column="prediction",
        score_column="predicted_probability",
        feature_columns=features,
    )
    return lambda chunk: (estimator.estimate(chunk), estimator.realise(chunk))


def measure(
    judge: Judge, later: pd.DataFrame, rows: int
) -> dict[str, list[tuple[float, bool]]]:
    """Error of each chunk's estimate, and whether the truth is within its band."""
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in METRICS}
    for start in range(0, len(later) - rows + 1, rows):
        estimate, truth = judge(later.iloc[start : start + rows])
        for name in METRICS:
            low, high = estimate.metrics[name].interval
            value = truth.metrics[name].value
            error = abs(value - estimate.metrics[name].value)
            found[name].append((error, low <= value <= high))
    return found


def show(found: dict[str, list[tuple[float, bool]]], *, bounded: bool) -> bool:
    """Print them; returns whether all bounds are kept (the bands alone, if not)."""
    kept = []
    for name, chunks in found.items():
        mean, most = (pick([e for e, _ in chunks]) for pick in (np.mean, np.max))
        outside = sum(not within for _, within in chunks)
        near = bool(mean <= 0.01 and most <= 0.03)
        kept.append(not outside and (near or not bounded))
        bounds = ("at most .01", "at most .03") if bounded else ("no bound",) * 2
        print(
            f"  {name:<9} mean error {mean:.4f} ({bounds[0]}), largest {most:.4f} "
            f"({bounds[1]}), {outside} of {len(chunks)} chunks outside the band: "
            f"{'reached' if kept[-1] else 'NOT REACHED'}"
        )
    return all(kept)


def main() -> None:
    """Ask three ways; exit with 1 if the bounds of one are not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel")
    parser.add_argument("--rows", type=int, default=5_000)
    options = parser.parse_args()
    reference, later = frames(options.wheel)
    features = [name for name in reference if name not in OTHERS]
    with tempfile.TemporaryDirectory() as folder:
        ways: list[tuple[str, bool, Callable[[], Judge]]] = [
            (
                "as the loop does it",
                True,
                lambda: in_the_loop(reference, features, folder),
            ),
            ("scores and features", True, lambda: by_columns(reference, features)),
            ("scores alone", False, lambda: by_columns(reference, [])),
        ]
        kept = []
        for title, bounded, fitted in ways:
            begun = time.process_time()
            judge = fitted()
            print(f"{title}: fitted in {time.process_time() - begun:.1f} CPU s")
            kept.append(show(measure(judge, later, options.rows), bounded=bounded))
    raise SystemExit(not all(kept))


if __name__ == "__main__":
    main()
