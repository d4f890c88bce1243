"""Rows as wholes: against scipy and by hand, false alarms, what columns alone don't show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brixa_flows.drift import DriftDetector, DriftProfile, MultivariateDetector
from brixa_flows.drift.multivariate.distances import energy_squared, mmd_squared
from brixa_flows.errors import DriftError, UnknownPluginError
from brixa_flows.plugins import MULTIVARIATE_METHODS

ALL = tuple(MULTIVARIATE_METHODS.all())


def correlated(seed: int, rows: int, correlation: float = 0.8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    first, noise = rng.normal(size=rows), rng.normal(size=rows)
    second = correlation * first + np.sqrt(1 - correlation**2) * noise
    city = np.where(rng.random(rows) < 0.5, "Rome", "Oslo")
    return pd.DataFrame({"a": first, "b": second, "city": city})


def test_the_energy_distance_is_that_of_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), rng.normal(0.3, 2, 200)
    exact = stats.energy_distance(x, y) ** 2
    assert energy_squared(x[:, None], y[:, None]) == pytest.approx(exact)


def test_the_discrepancy_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(0.5, 1, (30, 3))
    rows = np.vstack([x, y])
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squared / np.median(squared[squared > 0]))
    means = (
        kernel[:40, :40].mean() + kernel[40:, 40:].mean() - 2 * kernel[:40, 40:].mean()
    )
    assert mmd_squared(x, y) == pytest.approx(means)


def test_rows_of_one_population_are_seldom_called():
    detector = MultivariateDetector(ALL)
    called = sum(
        detector.detect(correlated(seed, 600), correlated(seed + 100, 400)).status
        != "ok"
        for seed in range(8)
    )
    assert called <= 1


@pytest.mark.parametrize("method", ALL)
def test_every_method_finds_a_correlation_that_no_column_shows(method):
    before, after = correlated(0, 2000), correlated(1, 1500, correlation=-0.8)
    assert DriftDetector().detect(before, after).status == "ok"
    report = MultivariateDetector([method]).detect(before, after)
    assert report.status == "drift"
    assert report.methods[method].adjusted_p_value < 0.01
    assert method.replace("_", " ") in report.sentence


def test_embeddings_that_turned_are_found_and_the_answer_is_always_the_same():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1000, 16)) * np.linspace(3, 0.1, 16)
    turned = vectors[:, ::-1] + rng.normal(size=(1000, 16)) * 0.1
    detector = MultivariateDetector(["mmd", "pca_reconstruction"])
    report = detector.detect({"v": vectors}, {"v": turned})
    assert {each.status for each in report.methods.values()} == {"drift"}
    assert detector.detect({"v": vectors}, {"v": turned}) == report
    assert detector.detect({"v": vectors[:500]}, {"v": vectors[500:]}).status == "ok"


def test_what_can_not_be_compared_is_named():
    before = correlated(0, 300).assign(
        at=pd.date_range("2026-01-01", periods=300), nothing=None, gone=1.0
    )
    after = correlated(1, 300).assign(at=before["at"], nothing=None)
    after.loc[:20, "a"], after.loc[5, "b"] = np.nan, np.inf
    report = MultivariateDetector(ALL).detect(before, after)
    assert report.columns == ("a", "b", "city")
    assert report.left_out == ("at", "nothing", "gone")
    assert report.sentence.endswith("left out: at, nothing, gone.")
    few = MultivariateDetector().detect(before, after.iloc[:50])
    assert (few.status, few.methods) == ("insufficient_data", {})
    none = MultivariateDetector().detect(before[["at"]], after[["at"]])
    assert none.status == "insufficient_data"
    assert "No column can be compared" in none.sentence
    with pytest.raises(DriftError, match="a profile keeps no rows"):
        MultivariateDetector().detect(DriftProfile.build(before), after)
    with pytest.raises(UnknownPluginError, match="known: domain_classifier"):
        MultivariateDetector(["magic"])


def test_many_rows_are_sampled_evenly_and_read_in_batches(tmp_path):
    rows = correlated(0, 300_000)
    rows.to_parquet(tmp_path / "rows.parquet")
    detector = MultivariateDetector(["energy"], sample_rows=500)
    report = detector.detect(str(tmp_path / "rows.parquet"), rows)
    assert (report.rows, report.sampled, report.status) == (300_000, 500, "ok")


# Vectors of three numbers, as a sentence encoder makes them: cats, dogs, trains.
_VECTORS = {"cat": (0.9, 0.1, 0.0), "dog": (0.7, 0.4, 0.1), "train": (0.0, 0.1, 0.9)}


def _embed(texts: list[str]) -> np.ndarray:
    rng = np.random.default_rng(len(texts))
    known = np.array([_VECTORS.get(text.split(" ")[-1], (0, 0, 0)) for text in texts])
    return known + rng.normal(0, 0.05, known.shape)


@pytest.mark.parametrize("given", ["callable", "column"])
def test_texts_that_mean_something_else_drift_by_their_embeddings(given):
    rng = np.random.default_rng(0)
    pets = [
        f"number {n} is a {w}" for n, w in enumerate(rng.choice(["cat", "dog"], 900))
    ]
    mixed = [f"number {n} is a train" for n in range(150)]
    sides = [pets[:400], pets[400:800], pets[800:] + [None] + mixed + pets[:150]]
    methods = ["energy", "mmd"]
    if given == "callable":
        detector = MultivariateDetector(methods, embed={"text": _embed})
        frames = [pd.DataFrame({"text": side}) for side in sides]
    else:
        detector = MultivariateDetector(methods)
        vectors = [_embed([text or "" for text in side]) for side in sides]
        frames = [pd.DataFrame({"text": list(each)}) for each in vectors]
    quiet = detector.detect(frames[0], frames[1])
    assert (quiet.status, quiet.columns) == ("ok", ("text",))
    report = detector.detect(frames[0], frames[2])
    assert {n: each.status for n, each in report.methods.items()} == {
        "energy": "drift",
        "mmd": "drift",
    }


def test_what_can_not_be_embedded_is_told():
    rows = pd.DataFrame({"text": ["a b c"] * 300})
    with pytest.raises(DriftError, match="no column 'body' to embed; there are: text"):
        MultivariateDetector(["mmd"], embed={"body": _embed}).detect(rows, rows)
    one = MultivariateDetector(["mmd"], embed={"text": lambda texts: np.zeros(3)})
    with pytest.raises(DriftError, match=r"need an array of shape \(300, n_numbers\)"):
        one.detect(rows, rows)
    empty = MultivariateDetector(["mmd"], embed={"text": _embed})
    assert empty.detect(rows, rows[:0]).status == "insufficient_data"
