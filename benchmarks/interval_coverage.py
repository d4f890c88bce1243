"""How often 95 % intervals of metrics hold the truth, by simulation.

    python benchmarks/interval_coverage.py              # 2,000 runs each, some minutes
    python benchmarks/interval_coverage.py --runs 200   # a look

A calibrated classifier of two overlapping normal classes at each prevalence, and a
regression with normal errors. The truth is the metric of four million other rows, but
for the RMSE, which is 1. Shares outside of 93-97 % are marked.
"""

from __future__ import annotations

import argparse

import numpy as np

from brixa_flows.evaluation._sklearn import value_of
from brixa_flows.evaluation.measuring import interval_of
from brixa_flows.evaluation.metrics import METRICS
from brixa_flows.evaluation.outcomes import Outcomes

CLASSIFIER = ("accuracy", "f1", "roc_auc", "log_loss")
ROWS = (200, 2_000)
TRUTH_ROWS = 4_000_000
SEPARATION = 1.5


def classifier(rows: int, seed: int, prevalence: float) -> Outcomes:
    """Scores whose odds are those of two normal classes."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < prevalence).astype(np.int64)
    measure = generator.normal(size=rows) + SEPARATION * truth
    odds = SEPARATION * measure - SEPARATION**2 / 2
    odds += np.log(prevalence / (1 - prevalence))
    score = 1 / (1 + np.exp(-odds))
    shares = np.stack([1 - score, score], axis=1)
    answers = (score >= 0.5).astype(np.int64)
    return Outcomes("binary", truth, answers, shares, (0, 1), known=2)


def regression(rows: int, seed: int) -> Outcomes:
    """Errors of standard deviation 1."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=rows)
    return Outcomes("regression", truth, truth + generator.normal(size=rows))


def both_classes(outcomes: Outcomes) -> bool:
    """Whether an area can be computed at all."""
    return np.unique(outcomes.truth).size > 1


def covers(name: str, outcomes: Outcomes, truth: float, seed: int) -> bool:
    """Whether the interval of these rows holds the truth."""
    metric = METRICS[name]
    low, high = interval_of(
        metric, outcomes, value_of(metric, outcomes), value_of, seed
    )
    return low <= truth <= high


def tell(name: str, setting: str, found: list[bool]) -> None:
    """One line."""
    share = float(np.mean(found))
    mark = "" if 0.93 <= share <= 0.97 else "   outside of 93-97 %"
    print(f"{name:24} {setting:24} {share:7.1%} of {len(found)}{mark}", flush=True)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    runs = range(parser.parse_args().runs)
    for prevalence in (0.1, 0.5):
        whole = classifier(TRUTH_ROWS, 10**6, prevalence)
        truths = {name: value_of(METRICS[name], whole) for name in CLASSIFIER}
        del whole
        for rows in ROWS:
            found: dict[str, list[bool]] = {name: [] for name in CLASSIFIER}
            for seed in runs:
                outcomes = classifier(rows, seed, prevalence)
                if both_classes(outcomes):
                    for name, hits in found.items():
                        hits.append(covers(name, outcomes, truths[name], seed))
            for name, hits in found.items():
                tell(name, f"n = {rows:,}, share {prevalence:g}", hits)
    name = "root_mean_squared_error"
    for rows in ROWS:
        hits = [covers(name, regression(rows, seed), 1.0, seed) for seed in runs]
        tell(name, f"n = {rows:,}", hits)


if __name__ == "__main__":
    main()
