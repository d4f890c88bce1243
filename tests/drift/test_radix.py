"""Histograms at any scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brixa_flows.drift.radix import anchors_for, count_bins

_VALUES = arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.floats(-1e30, 1e30, allow_nan=False).filter(
        lambda value: value == 0 or abs(value) > 1e-30
    ),
)


@given(_VALUES)
@settings(max_examples=60, deadline=None)
def test_positions_keep_order_and_are_right_to_a_bin(values):
    bins = count_bins(values)
    positions = np.repeat(bins.positions(), bins.counts)
    assert bins.total == len(values)
    assert np.all(np.diff(bins.keys) > 0)
    assert np.allclose(positions, np.sort(values), rtol=1 / 128, atol=1e-37)


@given(_VALUES, _VALUES)
@settings(max_examples=40, deadline=None)
def test_histograms_add_and_subtract_exactly(first, second):
    both = count_bins(np.concatenate([first, second]))
    summed = count_bins(first) + count_bins(second)
    assert np.array_equal(both.keys, summed.keys)
    assert np.array_equal(both.counts, summed.counts)
    rest = summed - count_bins(second)
    assert np.array_equal(rest.keys, count_bins(first).keys)
    assert np.array_equal(rest.counts, count_bins(first).counts)


def test_whole_numbers_near_the_centre_are_kept_exactly():
    values = np.arange(-255.0, 256.0)
    bins = count_bins(values)
    assert np.array_equal(bins.positions(whole=True), values)


def test_many_values_count_like_few():
    rows = 20_000
    values = np.random.default_rng(0).normal(size=rows)
    dense = count_bins(values)
    sparse = count_bins(values[:5000])
    for start in range(5000, rows, 5000):
        sparse = sparse + count_bins(values[start : start + 5000])
    assert np.array_equal(dense.keys, sparse.keys)
    assert np.array_equal(dense.counts, sparse.counts)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e9])
def test_scale_does_not_change_the_resolution(scale):
    values = np.random.default_rng(1).normal(size=20_000) * scale
    bins = count_bins(values)
    errors = np.repeat(bins.positions(), bins.counts) - np.sort(values)
    assert np.abs(errors).max() < 0.02 * scale
    assert len(bins.keys) > 2_000


def test_values_beyond_single_precision_stay_at_its_end():
    bins = count_bins(np.array([-1e300, 0.0, 1e300]))
    assert bins.counts.tolist() == [1, 1, 1]
    assert bins.positions()[2] > 1e38


@given(_VALUES, st.lists(st.floats(-1e6, 1e6), max_size=8, unique=True))
@settings(max_examples=60, deadline=None)
def test_bins_about_anchors_keep_order_and_lie_as_near(values, anchors):
    anchors = tuple(sorted(set(anchors) - {0.0}))
    bins = count_bins(values, anchors)
    positions = bins.positions()
    assert bins.total == len(values)
    assert np.all(np.diff(bins.keys) > 0) and np.all(np.diff(positions) >= 0)
    points = np.array([0.0, *anchors])
    away = np.abs(np.sort(values)[:, None] - points).min(axis=1)
    off = np.abs(np.repeat(positions, bins.counts) - np.sort(values))
    assert np.all(off <= away / 127 + 1e-9 * np.abs(values).max() + 1e-37)


def test_anchors_are_where_one_bin_hides_many_values_and_nowhere_else():
    generator = np.random.default_rng(0)
    for smooth in (
        generator.normal(size=5000),
        generator.random(5000) - 0.5,
        generator.lognormal(0, 2, 5000) - 1,
        generator.integers(-100, 100, 5000).astype(float),
    ):
        whole = bool(np.all(smooth == np.floor(smooth)))
        assert anchors_for(smooth, count_bins(smooth), whole=whole) == ()
    years = np.where(generator.random(5000) < 0.6, 0.0, 2014.0)
    assert anchors_for(years, count_bins(years), whole=True) == (2014.0,)
    few = np.array([0.0] * 6 + [2014.0] * 4)
    assert anchors_for(few, count_bins(few), whole=True) == ()
