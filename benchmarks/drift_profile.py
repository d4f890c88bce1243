"""Drift of many rows: our profile against Evidently's preset, in one run.

    python benchmarks/drift_profile.py                      # about a minute
    python benchmarks/drift_profile.py --peer-rows 1000000  # the peer in full

Each side runs in a process of its own, imports not counted. Where the peer gets fewer
rows, its time is scaled by the ratio of rows, which counts its fixed costs too often:
fewer than 100,000 are unfair to it. The ratio at its own rows, with nothing scaled, is
printed as well. Peaks of memory are those of the whole process, with both frames in it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

NUMBERS, CATEGORIES = 20, 5
# Evidently divides by a deviation of at least 0.001, so smaller scales can't agree.
COMPARABLE = {f"x{number}" for number in range(8, NUMBERS)}
NUMERIC = {f"x{number}" for number in range(NUMBERS)}
CATEGORIC = {f"c{number}" for number in range(CATEGORIES)}
DISTANCES = NUMERIC | CATEGORIC
LABELS = np.array(list("abcdefghij"), dtype=object)


def frame(rows: int, seed: int, shift: float) -> pd.DataFrame:
    """20 numeric columns of different scales and 5 of ten categories."""
    rng = np.random.default_rng(seed)
    numbers = {
        f"x{number}": rng.normal(shift, 1, rows) * 10.0 ** (number - 10)
        for number in range(NUMBERS)
    }
    words = {
        f"c{number}": LABELS[rng.integers(0, len(LABELS), rows)]
        for number in range(CATEGORIES)
    }
    return pd.DataFrame({**numbers, **words})


def ours(reference: pd.DataFrame, current: pd.DataFrame) -> Callable[[], Any]:
    """Profiles of both frames, verdicts, and distances by column."""
    from brixa_flows.drift import DriftDetector

    detector = DriftDetector()

    def run() -> dict[str, float]:
        report = detector.detect(reference, current)
        return {
            name: column.reported[
                "wasserstein_over_sd" if name in NUMERIC else "jensen_shannon"
            ]
            for name, column in report.columns.items()
        }

    return run


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> Callable[[], Any]:
    """Its data drift preset with an explicit definition of the columns."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[f"x{number}" for number in range(NUMBERS)],
        categorical_columns=[f"c{number}" for number in range(CATEGORIES)],
    )

    def run() -> dict[str, float]:
        before, after = (
            Dataset.from_pandas(each, data_definition=definition)
            for each in (reference, current)
        )
        snapshot = Report([DataDriftPreset(drift_share=0.5)]).run(after, before)
        return {
            metric["config"]["column"]: float(metric["value"])
            for metric in snapshot.dict()["metrics"]
            if metric["config"].get("column") in DISTANCES
        }

    return run


def measure(side: str, rows: int) -> None:
    """In the child: run once, print what it took as JSON."""
    reference, current = frame(rows, 0, 0.0), frame(rows, 1, 0.1)
    run = {"ours": ours, "evidently": evidently}[side](reference, current)
    wall, cpu = time.perf_counter(), time.process_time()
    distances = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"cpu": cpu, "wall": wall, "megabytes": peak / 1024}
    print(json.dumps({**facts, "distances": distances}))


def in_child(side: str, rows: int) -> dict[str, Any]:
    """Run one side in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", side]
    done = subprocess.run(
        [*command, "--rows", str(rows)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DO_NOT_TRACK": "1"},
    )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--child", choices=["ours", "evidently"])
    options = parser.parse_args()
    if options.child:
        measure(options.child, options.rows)
        return
    mine = in_child("ours", options.rows)
    same = in_child("ours", options.peer_rows)
    peer = in_child("evidently", options.peer_rows)
    scaled = peer["cpu"] * options.rows / options.peer_rows
    print(f"two frames of {options.rows:,} rows x {NUMBERS + CATEGORIES} columns")
    print(f"  ours       {mine['cpu']:8.2f} CPU s, peak {mine['megabytes']:.0f} MB")
    print(
        f"  evidently  {scaled:8.2f} CPU s, scaled from {peer['cpu']:.2f} CPU s "
        f"(peak {peer['megabytes']:.0f} MB) at {options.peer_rows:,} rows"
    )
    print(f"  ratio      {scaled / mine['cpu']:8.1f} x")
    same_ratio = peer["cpu"] / same["cpu"]
    print(f"  at {options.peer_rows:,} rows, nothing scaled: {same_ratio:.1f} x")
    for title, names in (("Wasserstein / sd", COMPARABLE), ("JS", CATEGORIC)):
        gaps = [abs(same["distances"][n] - peer["distances"][n]) for n in names]
        reached = "reached" if max(gaps) <= 0.001 else "NOT REACHED"
        print(
            f"  largest difference of {title}: {max(gaps):.5f} (at most .001: {reached})"
        )


if __name__ == "__main__":
    main()
