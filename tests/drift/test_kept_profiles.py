"""Any longer window is a sum of the profiles that were kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from brixa_flows.drift import DriftDetector, DriftProfile, KeptProfiles
from brixa_flows.errors import DriftError


def _day(number: int) -> datetime:
    return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number)


def test_a_week_is_the_sum_of_its_days_and_is_judged_like_its_rows(tmp_path):
    rng = np.random.default_rng(0)
    reference = DriftProfile.build({"x": rng.normal(size=5000)})
    days = [rng.normal(0.3, 1, 100) for _ in range(9)]
    kept = KeptProfiles(tmp_path / "windows")
    for number, rows in enumerate(days):
        profile = DriftProfile.build({"x": rows}, like=reference)
        kept.keep(_day(number), _day(number + 1), profile)
    kept.keep(_day(0), _day(1), DriftProfile.build({"x": days[0]}, like=reference))
    assert len(kept.windows()) == 9
    assert kept.windows()[0] == (_day(0), _day(1))
    week = kept.between(datetime(2026, 11, 1), _day(7))
    whole = DriftProfile.build({"x": np.concatenate(days[:7])}, like=reference)
    assert week.rows == 700
    assert np.array_equal(week.columns["x"].bins.counts, whole.columns["x"].bins.counts)
    detector = DriftDetector()
    assert detector.detect(reference, week).drifted == ["x"]


def test_what_can_not_be_kept_or_summed_is_told(tmp_path):
    kept = KeptProfiles(tmp_path)
    profile = DriftProfile.build({"x": [1.0]})
    with pytest.raises(DriftError, match="keeps no window from .*keeps 0 others"):
        kept.between(_day(0), _day(1))
    with pytest.raises(DriftError, match="not after its start"):
        kept.keep(_day(1), _day(1), profile)
    tokyo = _day(0).astimezone(timezone(timedelta(hours=9)))
    kept.keep(tokyo, _day(2), profile)
    assert kept.windows() == [(_day(0), _day(2))]
    kept.keep(_day(1), _day(3), profile)
    (tmp_path / "aZ_bZ.parquet").touch()
    with pytest.raises(DriftError, match="begins before the one before it ends"):
        kept.between(_day(0), _day(9))
