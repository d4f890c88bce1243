"""Any longer window is a sum of the profiles that were kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from brixa_flows.drift import DriftDetector, DriftProfile, KeptProfiles
from brixa_flows.errors import DriftError, StaleWriteError
from brixa_flows.storage.local import LocalStorageNode


def _day(number: int) -> datetime:
    return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number)


def test_a_week_is_the_sum_of_its_days_and_is_judged_like_its_rows(tmp_path):
    rng = np.random.default_rng(0)
    reference = DriftProfile.build({"x": rng.normal(size=5000)})
    days = [rng.normal(0.3, 1, 100) for _ in range(9)]
    kept = KeptProfiles(LocalStorageNode(tmp_path), "windows/of/somebody")
    for number, rows in enumerate(days):
        profile = DriftProfile.build({"x": rows}, like=reference)
        kept.keep(_day(number), _day(number + 1), profile)
    kept.keep(_day(0), _day(1), DriftProfile.build({"x": days[0]}, like=reference))
    assert len(kept.windows()) == 9
    assert kept.windows()[0] == (_day(0), _day(1))
    week = kept.summed(datetime(2026, 11, 1), _day(7))
    whole = DriftProfile.build({"x": np.concatenate(days[:7])}, like=reference)
    assert week is not None and week.rows == 700
    assert np.array_equal(week.columns["x"].bins.counts, whole.columns["x"].bins.counts)
    detector = DriftDetector()
    assert detector.detect(reference, week).drifted == ["x"]


def test_windows_that_overlap_count_once_and_a_gap_makes_no_sum(tmp_path):
    kept = KeptProfiles(LocalStorageNode(tmp_path))
    profile = DriftProfile.build({"x": [1.0]})
    assert kept.summed(_day(0), _day(1)) is None and kept.windows() == []
    tokyo = _day(0).astimezone(timezone(timedelta(hours=9)))
    kept.keep(tokyo, _day(1), profile)
    assert kept.at(_day(0), _day(1)).rows == 1
    assert kept.summed(_day(0), _day(1)) is None, "it is itself, and no sum"
    kept.keep(_day(1), _day(8), profile)  # a week, and then its days
    for number in (1, 2, 9):
        kept.keep(_day(number), _day(number + 1), profile)
    (tmp_path / "windows" / "aZ_bZ.parquet").touch()
    assert kept.summed(_day(0), _day(8)).rows == 2
    assert kept.summed(_day(0), _day(3)).rows == 3
    assert kept.summed(_day(0), _day(10)) is None, "nobody looked at the ninth day"
    with pytest.raises(DriftError, match="not after its start"):
        kept.keep(_day(1), _day(1), profile)


def test_two_runs_that_keep_one_window_at_once_are_no_failure(tmp_path, monkeypatch):
    node = LocalStorageNode(tmp_path)
    profile = DriftProfile.build({"x": [1.0]})

    def lost(*args: object, **options: object) -> str:
        KeptProfiles(LocalStorageNode(tmp_path)).keep(_day(0), _day(1), profile)
        raise StaleWriteError("key", "etag")

    monkeypatch.setattr(node, "replace", lost)
    kept = KeptProfiles(node)
    kept.keep(_day(0), _day(1), profile)
    assert kept.at(_day(0), _day(1)).digest == profile.digest


def test_a_damaged_profile_is_told():
    with pytest.raises(DriftError, match="can't be read as a drift profile"):
        DriftProfile.from_bytes(b"no parquet")
