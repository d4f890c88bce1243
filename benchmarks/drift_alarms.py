"""How often a drift alarm is wrong, and what it finds: simulations with fixed seeds.

    python benchmarks/drift_alarms.py                 # seeds 0 to 999, minutes
    python benchmarks/drift_alarms.py --runs 100      # a look

Every run draws a reference and a window of 20 columns and asks the detector with its
defaults. A false alarm is a run in which both come from one distribution and anything
is called; power is the share of runs in which the one column that did change is. Each
question is asked of clean data and of data made hostile: half of the numbers at a scale
of 1e-6, an outlier of 1e9 in the reference or the window, infinities, and two columns
more that hold nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from brixa_flows.drift import DriftDetector, DriftReport

Columns = dict[str, np.ndarray | pa.Array]
Rng = np.random.Generator
Change = Callable[[Rng, Columns], None]

ALLOWED_FALSE, NEEDED_POWER = 0.064, 0.95
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
MOVED = np.array([0.35, 0.3, 0.2, 0.15])


def words(rng: Rng, rows: int, shares: np.ndarray) -> pa.Array:
    """Categories in these shares, a fiftieth of the rows missing."""
    codes = np.searchsorted(np.cumsum(shares)[:-1], rng.random(rows), side="right")
    labels = pa.array([f"w{number}" for number in range(len(shares))])
    missing = rng.random(rows) < 0.02
    indices = pa.array(codes.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(indices, labels)


def columns(rng: Rng, rows: int) -> Columns:
    """Eleven numeric columns, eight of 2 to 1,000 categories, one of flags."""
    made: Columns = {f"x{number}": rng.normal(size=rows) for number in range(6)}
    made["gappy"] = np.where(rng.random(rows) < 0.05, np.nan, rng.normal(size=rows))
    made["skewed"] = rng.lognormal(size=rows)
    made["heavy"] = rng.standard_t(2, rows)
    made["hour"] = rng.integers(0, 24, rows)
    made["mostly_zero"] = np.where(rng.random(rows) < 0.8, 0.0, rng.random(rows))
    for number in (2, 3, 5, 10, 20, 100):
        made[f"c{number}"] = words(rng, rows, np.full(number, 1 / number))
    made["shares"] = words(rng, rows, SHARES)
    ranks = 1 / np.arange(1, 1001)
    made["long_tail"] = words(rng, rows, ranks / ranks.sum())
    made["flag"] = rng.random(rows) < 0.03
    return made


def spoil(rng: Rng, reference: Columns, current: Columns) -> None:
    """Scales, an outlier, infinities and empty columns that must change nothing."""
    for side in (reference, current):
        for number in range(6):
            values = side[f"x{number}"] * (1e-6 if number < 3 else 1.0)
            values[rng.integers(len(values))] = np.inf
            side[f"x{number}"] = values
        side["nothing"] = pa.nulls(len(side["x0"]), pa.float64())
        side["no_words"] = pa.nulls(len(side["x0"]), pa.string())
    for number in range(6):
        side = reference if number % 2 else current
        side[f"x{number}"][0] = 1e9


def detect(
    seed: int, sizes: tuple[int, int], change: Change | None, hostile: bool
) -> DriftReport:
    """One run."""
    rng = np.random.default_rng(seed)
    reference, current = columns(rng, sizes[0]), columns(rng, sizes[1])
    if change is not None:
        change(rng, current)
    if hostile:
        spoil(rng, reference, current)
    return DriftDetector().detect(reference, current)


def shift(rng: Rng, current: Columns) -> None:
    """A mean by a fifth of a deviation."""
    current["x1"] = current["x1"] + 0.2


def reshare(rng: Rng, current: Columns) -> None:
    """A category's share by five points."""
    current["shares"] = words(rng, len(current["x0"]), MOVED)


def blank(rng: Rng, current: Columns) -> None:
    """The missing share from none to five percent."""
    current["x2"] = np.where(
        rng.random(len(current["x2"])) < 0.05, np.nan, current["x2"]
    )


def false_alarms(runs: int, rows: int | None, hostile: bool) -> float:
    """Share of runs in which anything is called; no ``rows`` is 300 to 1,000."""
    called = 0
    for seed in range(runs):
        window = rows or int(np.random.default_rng([seed, 1]).integers(300, 1001))
        sizes = (rows or 10_000, window)
        called += detect(seed, sizes, None, hostile).status != "ok"
    return called / runs


def power(runs: int, rows: int, column: str, change: Change, hostile: bool) -> float:
    """Share of runs in which the changed column is called."""
    found = 0
    for seed in range(runs):
        report = detect(seed, (rows, rows), change, hostile)
        found += column in report.drifted
    return found / runs


def too_small(runs: int) -> float:
    """Share of windows of 10 to 199 rows that are called too small to judge."""
    told = 0
    for seed in range(runs):
        rows = int(np.random.default_rng([seed, 2]).integers(10, 200))
        told += (
            detect(seed, (10_000 if seed % 2 else rows, rows), shift, False).status
            == "insufficient_data"
        )
    return told / runs


def say(question: str, share: float, bound: float, *, at_most: bool) -> bool:
    """Print a line."""
    reached = share <= bound if at_most else share >= bound
    sign = "at most" if at_most else "at least"
    verdict = "reached" if reached else "NOT REACHED"
    print(f"  {question:<52} {share:7.1%}  ({sign} {bound:.1%}: {verdict})", flush=True)
    return reached


def main() -> None:
    """Ask everything and exit with 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    begun = time.process_time()
    kept = []
    for hostile in (False, True):
        print(f"{'hostile' if hostile else 'clean'} data, seeds 0 to {runs - 1}")
        for rows in (200, 1_000, 10_000, None):
            question = (
                f"called, n = {rows:,}" if rows else "called, 10,000 to 300..1,000"
            )
            share = false_alarms(runs, rows, hostile)
            kept.append(say(question, share, ALLOWED_FALSE, at_most=True))
        for question, rows, column, change in (
            ("found: mean by 0.2 deviations, n = 10,000", 10_000, "x1", shift),
            ("found: share by 5 points, n = 10,000", 10_000, "shares", reshare),
            ("found: missing 0 to 5 %, n = 1,000", 1_000, "x2", blank),
        ):
            share = power(runs, rows, column, change, hostile)
            kept.append(say(question, share, NEEDED_POWER, at_most=False))
    share = too_small(runs)
    kept.append(say("under 200 rows: insufficient_data", share, 1.0, at_most=False))
    print(f"{time.process_time() - begun:.0f} CPU s")
    raise SystemExit(not all(kept))


if __name__ == "__main__":
    main()
