"""Every method against scipy on exact data, and the contract all of them keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from brixa_flows.drift import DriftDetector, DriftProfile
from brixa_flows.drift.column import KINDS, ColumnProfile
from brixa_flows.drift.profile import load_methods
from brixa_flows.plugins import DRIFT_METHODS

_METHODS = {method.name: method for method in load_methods()}


def profiles(reference, current) -> tuple[ColumnProfile, ColumnProfile]:
    before = DriftProfile.build({"x": reference})
    after = DriftProfile.build({"x": current}, like=before)
    return before.columns["x"], after.columns["x"]


def samples(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "shifted normal": (rng.normal(size=4000), rng.normal(0.1, 1, 3000)),
        "tiny scale": (rng.normal(size=4000) * 1e-6, rng.normal(0.2, 1, 3000) * 1e-6),
        "large offset": (rng.normal(1e6, 1, 4000), rng.normal(1e6 + 0.3, 1, 3000)),
        "wider": (rng.normal(size=4000), rng.normal(0, 1.5, 3000)),
        "skewed": (rng.lognormal(size=4000), rng.lognormal(0.1, 1, 3000)),
        "hours": (rng.integers(0, 24, 4000), rng.integers(2, 24, 3000)),
        "years beside a sentinel": tuple(
            np.where(rng.random(rows) < 0.6, -1, year)
            for rows, year in ((4000, 20_130_101), (3000, 20_140_101))
        ),
        "zeros and prices": tuple(
            np.where(rng.random(rows) < 0.6, 0, rng.normal(price, 20, rows))
            for rows, price in ((4000, 10_000), (3000, 10_040))
        ),
        "two modes": tuple(
            np.where(rng.random(rows) < 0.5, 20, mode) + rng.normal(0, 0.5, rows)
            for rows, mode in ((4000, 2013), (3000, 2016))
        ),
        "same": (rng.normal(size=4000), rng.normal(size=3000)),
    }[name]


NUMERIC = [
    "shifted normal",
    "tiny scale",
    "large offset",
    "wider",
    "skewed",
    "hours",
    "years beside a sentinel",
    "zeros and prices",
    "two modes",
    "same",
]


@pytest.mark.parametrize("name", NUMERIC)
def test_kolmogorov_smirnov_is_that_of_scipy(name):
    reference, current = samples(name)
    found = _METHODS["ks"].measure(*profiles(reference, current))
    exact = stats.ks_2samp(reference, current, method="asymp")
    assert found.effect == pytest.approx(exact.statistic, abs=0.003)
    if exact.pvalue > 1e-8:
        assert found.p_value == pytest.approx(exact.pvalue, rel=0.5, abs=0.03)
    else:
        assert found.p_value < 1e-6


@pytest.mark.parametrize("name", NUMERIC)
def test_wasserstein_is_that_of_scipy(name):
    reference, current = samples(name)
    pair = profiles(reference, current)
    exact = stats.wasserstein_distance(reference, current)
    over_sd = _METHODS["wasserstein_over_sd"].measure(*pair).effect
    assert over_sd == pytest.approx(exact / reference.std(), abs=1e-3)
    if name != "skewed":  # there the bound on outliers bites, as it should
        scale = stats.iqr(reference) / 1.349
        robust = _METHODS["wasserstein"].measure(*pair).effect
        assert robust == pytest.approx(exact / scale, rel=0.02, abs=0.002)


def test_one_outlier_blinds_the_reported_distance_and_not_the_deciding_one():
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=5000), rng.normal(0.5, 1, 5000)
    reference[0] = 1e9
    pair = profiles(reference, current)
    assert _METHODS["wasserstein_over_sd"].measure(*pair).effect < 0.05
    assert _METHODS["wasserstein"].measure(*pair).effect == pytest.approx(0.5, abs=0.06)


def categories(shares, rows, seed) -> list[str]:
    rng = np.random.default_rng(seed)
    return rng.choice([f"c{n}" for n in range(len(shares))], rows, p=shares).tolist()


def test_chi_square_of_homogeneity_is_that_of_scipy():
    reference = categories([0.4, 0.3, 0.2, 0.1], 900, 1)
    current = categories([0.36, 0.3, 0.2, 0.14], 700, 2)
    found = _METHODS["share_change"].measure(*profiles(reference, current))
    names = sorted(set(reference))
    table = [[part.count(name) for name in names] for part in (reference, current)]
    exact = stats.chi2_contingency(table, correction=False)
    assert found.p_value == pytest.approx(exact.pvalue, rel=1e-9)
    shares = [np.array(row) / sum(row) for row in table]
    assert found.effect == pytest.approx(np.abs(shares[0] - shares[1]).max())


def test_jensen_shannon_and_psi_of_categories_are_exact():
    reference = categories([0.4, 0.3, 0.2, 0.1], 5000, 3)
    current = categories([0.3, 0.3, 0.2, 0.2], 5000, 4)
    pair = profiles(reference, current)
    p, q = (
        np.array([part.count(name) for name in ("c0", "c1", "c2", "c3")]) / 5000
        for part in (reference, current)
    )
    distance = _METHODS["jensen_shannon"].measure(*pair).effect
    assert distance == pytest.approx(jensenshannon(p, q), abs=1e-12)
    assert _METHODS["psi"].measure(*pair).effect == pytest.approx(
        np.sum((q - p) * np.log(q / p)), abs=1e-12
    )


def test_jensen_shannon_of_numbers_is_that_of_ten_equal_shares():
    reference, current = samples("shifted normal")
    edges = np.quantile(reference, np.arange(1, 10) / 10)
    p, q = (
        np.bincount(np.searchsorted(edges, part), minlength=10) / len(part)
        for part in (reference, current)
    )
    found = _METHODS["jensen_shannon"].measure(*profiles(reference, current)).effect
    assert found == pytest.approx(jensenshannon(p, q), abs=3e-3)


def test_infinities_that_change_their_sign_are_told():
    numbers = [float(n) for n in range(950)]
    reference, current = ([*numbers, *[x] * 50] for x in (np.inf, -np.inf))
    before, after = profiles(reference, current)
    method = _METHODS["infinite_share_change"]
    found = method.measure(before, after)
    assert (found.effect, found.detail) == (0.05, "0.0% to 5.0% of -inf")
    assert found.p_value == pytest.approx(
        3 * method.measure(*profiles(numbers + [0.0] * 50, current)).p_value
    )
    report = DriftDetector().detect({"x": reference}, {"x": current})
    assert "infinite values went from 0.0% to 5.0% of -inf" in report.sentence + (
        report.columns["x"].sentence
    )
    # A profile of an earlier release does not know; a sum with one does not either.
    unknowing = replace(before, negative=None)
    assert method.measure(unknowing, after).effect == 0
    assert ((unknowing + after).negative, (before + after).negative) == (None, 50)
    whole = DriftProfile(1000, {"x": before})
    assert DriftProfile.from_bytes(whole.to_bytes()).digest == whole.digest
    old = DriftProfile(1000, {"x": unknowing})
    again = DriftProfile.from_bytes(old.to_bytes())
    assert again.digest == old.digest and again.columns["x"].negative is None


def test_the_missing_share_is_tested_as_two_proportions():
    reference = [None] * 20 + [1.0] * 980
    current = [None] * 60 + [1.0] * 940
    found = _METHODS["missing_share_change"].measure(*profiles(reference, current))
    pooled = 80 / 2000
    z = (0.06 - 0.02) / np.sqrt(pooled * (1 - pooled) * 2 / 1000)
    assert found.effect == pytest.approx(0.04)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z))


@pytest.mark.parametrize("hits", [(0, 3), (2, 1), (1, 0), (998, 299)])
def test_few_missing_rows_are_tested_by_how_they_are_split(hits):
    sides = [
        np.where(np.arange(rows) < count, np.nan, 1.0)
        for count, rows in zip(hits, (1000, 300), strict=True)
    ]
    found = _METHODS["missing_share_change"].measure(*profiles(*sides))
    rare = hits if sum(hits) < 650 else (1000 - hits[0], 300 - hits[1])
    tail = stats.binom(sum(rare), 300 / 1300)
    exact = 2 * min(tail.cdf(rare[1]), tail.sf(rare[1] - 1))
    assert found.p_value == pytest.approx(min(exact, 1.0))


def test_new_categories_are_weighed_against_those_to_be_expected():
    common = ["a"] * 500 + ["b"] * 500
    method = _METHODS["new_category_share"]
    surprising = method.measure(*profiles(common, common[:970] + ["new"] * 30))
    assert surprising.effect == pytest.approx(0.03)
    assert surprising.p_value == pytest.approx(
        stats.hypergeom(2000, 30, 1000).pmf(30), rel=1e-3
    )
    assert "'new'" in surprising.detail
    once = [f"once-{number}" for number in range(30)]
    later = [f"later-{number}" for number in range(30)]
    usual = method.measure(*profiles(common[30:] + once, common[30:] + later))
    assert usual.p_value > 0.99


@pytest.mark.parametrize("rows", [(300, 300), (2000, 300), (300, 2000)])
def test_new_categories_of_one_population_are_seldom_sure(rows):
    weights = 1 / np.arange(1, 401)
    sure = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sides = [rng.choice(400, size, p=weights / weights.sum()) for size in rows]
        words = [pa.array(side.astype(str)) for side in sides]
        found = _METHODS["new_category_share"].measure(*profiles(*words))
        sure += found.p_value < 0.05
    assert sure / 200 <= 0.05


def test_all_methods_are_plugins_under_their_own_names():
    assert set(_METHODS) == set(DRIFT_METHODS.all())


@pytest.mark.parametrize("method", load_methods(), ids=lambda method: method.name)
def test_every_method_keeps_the_contract(method):
    assert set(method.kinds) <= set(KINDS)
    assert method.threshold is None or method.threshold > 0
    rng = np.random.default_rng(5)
    data = {
        "numeric": ([rng.normal(size=300), np.ones(300), [np.inf, np.nan] * 150]),
        "category": [["a", "b", None] * 100, ["a"] * 300, [None, "z"] * 150],
    }
    for kind in set(method.kinds) & set(data):
        forms = [*data[kind], data[kind][0][:0]]
        for reference in forms:
            for current in forms:
                pair = profiles(reference, current)
                first, again = method.measure(*pair), method.measure(*pair)
                assert first == again
                if first is None:
                    continue
                assert first.effect is None or first.effect >= 0
                assert first.p_value is None or 0 <= first.p_value <= 1
                if reference is current and first.effect is not None:
                    assert first.effect == pytest.approx(0)
