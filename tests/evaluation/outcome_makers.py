"""Outcomes and tables whose truth is known, for the tests of the evaluation room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from brixa_flows.evaluation.outcomes import Costs, Outcomes


def two_classes(rows: int, *, seed: int = 0, prevalence: float = 0.4) -> Outcomes:
    """A calibrated classifier of separable but overlapping classes."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < prevalence).astype(np.int64)
    odds = generator.normal(size=rows) + 1.5 * truth - 1.1
    odds += np.log(prevalence / (1 - prevalence))
    score = 1 / (1 + np.exp(-odds))
    return Outcomes(
        "binary",
        truth,
        (score > 0.5).astype(np.int64),
        np.stack([1 - score, score], axis=1),
        ("no", "yes"),
        known=2,
        positive=1,
    )


def many_classes(rows: int, *, classes: int = 4, seed: int = 0) -> Outcomes:
    """A classifier of several classes that is right more often than not."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(classes, size=rows)
    raw = generator.normal(size=(rows, classes)) + 2 * np.eye(classes)[truth]
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    names = tuple("abcdefghij"[:classes])
    return Outcomes(
        "multiclass", truth, raw.argmax(axis=1), shares, names, known=classes
    )


def numbers(rows: int, *, seed: int = 0, noise: float = 1.0) -> Outcomes:
    """A regression with normal errors."""
    generator = np.random.default_rng(seed)
    truth = 10 + 2 * generator.normal(size=rows)
    return Outcomes("regression", truth, truth + noise * generator.normal(size=rows))


def several_labels(rows: int, *, seed: int = 0) -> Outcomes:
    """A model of three labels a row, of which the last is rare."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((rows, 3)) < [0.5, 0.4, 0.2]).astype(np.int64)
    raw = generator.normal(size=(rows, 3)) + 2 * truth - 1
    score = 1 / (1 + np.exp(-raw))
    answers = (score >= 0.5).astype(np.int64)
    return Outcomes(
        "multilabel", truth, answers, score, ("news", "sport", "art"), known=3
    )


def with_costs(outcomes: Outcomes, *, batches: int = 8) -> Outcomes:
    """The same, as if predicted in batches of 100 rows and about 3 ms a row."""
    seconds = np.random.default_rng(0).gamma(50, 0.3 / 50, size=batches)
    return replace(outcomes, costs=Costs(seconds, np.full(batches, 100.0), 2_500_000))


def flowers(rows: int, seed: int) -> pd.DataFrame:
    """Two kinds of flowers, by two measures that tell them apart imperfectly."""
    generator = np.random.default_rng(seed)
    kind = generator.random(rows) < 0.4
    return pd.DataFrame(
        {
            "length": generator.normal(size=rows) + 1.5 * kind,
            "width": generator.normal(size=rows) + 0.5 * kind,
            "kind": np.where(kind, "yes", "no"),
        }
    )
