"""How often 95 % intervals of metrics hold the truth, by simulation.

    python benchmarks/interval_coverage.py              # 2,000 runs each, some minutes
    python benchmarks/interval_coverage.py --runs 200   # a look

A calibrated classifier of two overlapping normal classes at each prevalence, and a
regression with normal errors. The truth is the metric of four million other rows, but
for the RMSE, which is 1. Shares outside of 93-97 % are marked. At last rows of three
classes that are summed up and not kept, of which the rarest has some 40 of 20,000.

Then two models on the same rows: how often the interval of their difference holds the
truth, and how often two models that are equally good would pass a gate ``better_than``,
which at most 2.5 % should, also of few rows of a class. A quarter of the runs each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from brixa_flows.evaluation._sklearn import value_of
from brixa_flows.evaluation.compare import difference_of
from brixa_flows.evaluation.measuring import Found, interval_of
from brixa_flows.evaluation.metrics import METRICS
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.streaming.summary import Summary
from brixa_flows.evaluation.streaming.summed_metrics import found_in_summary

CLASSIFIER = ("accuracy", "f1", "roc_auc", "log_loss")
ROWS = (200, 2_000)
TRUTH_ROWS = 4_000_000
SEPARATION = 1.5
RARE_SHARES = (0.6, 0.398, 0.002)
RARE_ROWS = 20_000
PAIRED = ("accuracy", "f1", "roc_auc", "recall", "precision", "balanced_accuracy")
PAIRED_ROWS = ((150, 0.15), (1_000, 0.15))
FEW_POSITIVES = ((1, 60), (3, 60), (10, 200))
SUMMED_UP = ("roc_auc", "roc_auc_ovo", "average_precision", "d2_log_loss_score")


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


def three_classes(rows: int, seed: int) -> Outcomes:
    """Scores of three normal classes, the last of which is rare."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, size=rows, p=RARE_SHARES)
    measures = generator.normal(size=(rows, 3))
    measures[np.arange(rows), truth] += SEPARATION
    odds = SEPARATION * measures + np.log(RARE_SHARES)
    shares = np.exp(odds - odds.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    answers = shares.argmax(axis=1)
    return Outcomes("multiclass", truth, answers, shares, (0, 1, 2), known=3)


def summed_up(outcomes: Outcomes, names: Sequence[str], seed: int) -> Found:
    """What sums of four batches tell."""
    metrics = [METRICS[name] for name in names]
    summary = Summary(outcomes, metrics, seed=seed)
    for rows in np.array_split(np.arange(outcomes.rows), 4):
        summary.fold(outcomes.take(rows))
    return found_in_summary(summary, metrics, seed)


def tell_summed_up(runs: range) -> None:
    """Intervals of rows that are not kept."""
    whole = three_classes(TRUTH_ROWS // 4, 10**6)
    truths = {name: value_of(METRICS[name], whole) for name in SUMMED_UP}
    found: dict[str, list[bool]] = {name: [] for name in SUMMED_UP}
    for seed in runs:
        told = summed_up(three_classes(RARE_ROWS, seed), SUMMED_UP, seed)
        for name, hits in found.items():
            low, high = told.intervals[name]
            hits.append(bool(low <= truths[name] <= high))
    for name, hits in found.items():
        tell(name, f"summed up, {RARE_ROWS:,}", hits)


def two_models(truth: np.ndarray, seed: int, noise: float) -> tuple[Outcomes, Outcomes]:
    """Two that see the rows through noise of their own, the second through more."""
    generator = np.random.default_rng(seed)
    share = truth.mean()
    pair = []
    for deviation in (1.0, noise):
        measure = SEPARATION * truth + deviation * generator.normal(size=truth.size)
        odds = SEPARATION * measure - SEPARATION**2 / 2 + np.log(share / (1 - share))
        score = 1 / (1 + np.exp(-odds))
        shares = np.stack([1 - score, score], axis=1)
        answers = (score >= 0.5).astype(np.int64)
        pair.append(
            Outcomes("binary", truth, answers, shares, (0, 1), known=2, positive=1)
        )
    return pair[0], pair[1]


def tell_differences(runs: range) -> None:
    """Of two models, whose difference is known from very many rows."""
    generator = np.random.default_rng(0)
    for rows, prevalence in PAIRED_ROWS:
        truth = (generator.random(TRUTH_ROWS // 8) < prevalence).astype(np.int64)
        every = two_models(truth, 10**6, 1.4)
        known = {
            name: value_of(METRICS[name], every[1]) - value_of(METRICS[name], every[0])
            for name in PAIRED
        }
        found: dict[str, list[bool]] = {name: [] for name in PAIRED}
        for seed in runs:
            chosen = generator.integers(truth.size, size=rows)
            pair = every[0].take(chosen), every[1].take(chosen)
            for name, hits in found.items():
                low, high = difference_of(METRICS[name], pair, value_of, seed)[2]
                hits.append(bool(low <= known[name] <= high))
        for name, hits in found.items():
            tell(name, f"difference, n = {rows:,}", hits)


def tell_gates(runs: range) -> None:
    """Of two models that are equally good, on few rows of a class."""
    for positives, rows in FEW_POSITIVES:
        truth = (np.arange(rows) < positives).astype(np.int64)
        opened: dict[str, list[bool]] = {name: [] for name in PAIRED}
        for seed in runs:
            pair = two_models(truth, seed, 1.0)
            for name, opens in opened.items():
                _, _, interval, p_value, _ = difference_of(
                    METRICS[name], pair, value_of, seed
                )
                opens.append(interval.low > 0 and p_value <= 0.05)
        for name, opens in opened.items():
            share, setting = float(np.mean(opens)), f"{positives} of {rows} positive"
            mark = "   over 2.5 %" if share > 0.025 else ""
            print(f"{name:24} {setting:24} {share:7.1%} open{mark}", flush=True)


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
    parser.add_argument("--only", choices=["one model", "two models"])
    given = parser.parse_args()
    runs = range(given.runs)
    if given.only != "two models":
        tell_one_model(runs)
    if given.only != "one model":
        tell_differences(runs[: len(runs) // 4 + 1])
        tell_gates(runs[: len(runs) // 4 + 1])


def tell_one_model(runs: range) -> None:
    """Of a metric of one model."""
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
    tell_summed_up(runs)


if __name__ == "__main__":
    main()
