"""Estimates without labels against what labels say later: the US census' employment data.

    pip download --no-deps nannyml
    python benchmarks/performance_estimate.py nannyml-*.whl

Only the data files of that wheel are read (test use): 68,785 labelled persons of 2015 in
Massachusetts to learn from and 208,892 of 2016 to 2018, in chunks of 5,000 in their own
order. One chunk is of people in dormitories and homes alone: the features tell it.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile

import numpy as np
import pandas as pd

from brixa_flows.drift.performance import PerformanceEstimator

METRICS = ("accuracy", "f1", "roc_auc")
FOLDER = "nannyml/datasets/data/employment_MA_"
OTHERS = {"id", "employed", "year", "prediction", "predicted_probability"}


def frames(wheel: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and labelled later rows."""
    with zipfile.ZipFile(wheel) as archive:
        reference, later, labels = (
            pd.read_parquet(io.BytesIO(archive.read(f"{FOLDER}{name}.pq")))
            for name in ("reference", "analysis", "analysis_target")
        )
    return reference, later.merge(labels, on="id")


def measure(
    estimator: PerformanceEstimator, later: pd.DataFrame, rows: int
) -> dict[str, list[tuple[float, bool]]]:
    """Error of each chunk's estimate, and whether the truth is within its band."""
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in METRICS}
    for start in range(0, len(later) - rows + 1, rows):
        chunk = later.iloc[start : start + rows]
        estimate, truth = estimator.estimate(chunk), estimator.realise(chunk)
        for name in METRICS:
            low, high = estimate.metrics[name].interval
            value = truth.metrics[name].value
            error = abs(value - estimate.metrics[name].value)
            found[name].append((error, low <= value <= high))
    return found


def main() -> None:
    """Ask with and without features; exit with 1 if the bounds are not kept with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel")
    parser.add_argument("--rows", type=int, default=5_000)
    options = parser.parse_args()
    reference, later = frames(options.wheel)
    features = [name for name in reference if name not in OTHERS]
    kept = []
    for title, columns in (("scores alone", []), ("scores and features", features)):
        begun = time.process_time()
        estimator = PerformanceEstimator("binary").fit(
            reference,
            target_column="employed",
            prediction_column="prediction",
            score_column="predicted_probability",
            feature_columns=columns,
        )
        print(f"{title}: fitted in {time.process_time() - begun:.1f} CPU s")
        kept = []
        for name, chunks in measure(estimator, later, options.rows).items():
            mean, most = (pick([e for e, _ in chunks]) for pick in (np.mean, np.max))
            outside = sum(not within for _, within in chunks)
            kept.append(mean <= 0.01 and most <= 0.03 and not outside)
            print(
                f"  {name:<9} mean error {mean:.4f} (at most .01), largest {most:.4f} "
                f"(at most .03), {outside} of {len(chunks)} chunks outside the band: "
                f"{'reached' if kept[-1] else 'NOT REACHED'}"
            )
    raise SystemExit(not all(kept))


if __name__ == "__main__":
    main()
