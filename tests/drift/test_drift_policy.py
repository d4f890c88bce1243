"""When a window that drifted is an alarm."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brixa_flows.drift import DriftPolicy, DriftProfile, JudgedWindow
from brixa_flows.errors import DriftError


def _week(day: int, *, drifted: bool = True, alarm: bool = False) -> JudgedWindow:
    start, end = f"2026-11-{day:02}", f"2026-11-{day + 7:02}"
    return JudgedWindow.of("d", "week", start, end, drifted=drifted, alarm=alarm)


def test_by_default_each_window_that_drifted_is_an_alarm_and_a_quiet_one_is_none() -> (
    None
):
    policy = DriftPolicy()
    assert policy.judge(_week(1)).alarm
    assert not policy.judge(_week(1, drifted=False)).alarm
    assert not policy.looks_back


def test_a_kind_that_the_policy_does_not_name_is_only_reported() -> None:
    verdict = DriftPolicy(windows=["month"]).judge(_week(1))
    assert verdict.sentence == "a week raises no alarm by this policy"
    assert not verdict.alarm


def test_a_kind_of_window_that_is_none_would_never_raise_an_alarm() -> None:
    with pytest.raises(DriftError, match="policy's windows: 'weeks' is no window"):
        DriftPolicy(windows=["month", "weeks"])
    assert DriftPolicy(windows=["12h", "rows", "sample"]).windows[0] == "12h"


def test_two_of_three_windows_must_drift_whatever_the_order_of_their_records() -> None:
    policy = DriftPolicy(needed=2, among=3)
    quiet, drifted, last = _week(1, drifted=False), _week(8), _week(15)
    assert not policy.judge(drifted, [quiet]).alarm
    earlier = [quiet, drifted]
    random.Random(0).shuffle(earlier)
    assert policy.judge(last, earlier).alarm
    long_ago = [_week(1), _week(8, drifted=False), _week(9, drifted=False)]
    verdict = policy.judge(last, long_ago)
    assert not verdict.alarm
    assert verdict.sentence == (
        "1 of the last 3 weeks drifted, and the policy asks for 2"
    )


@pytest.mark.parametrize("earlier", [0, 1, 2, 3, 4])
def test_of_few_windows_all_count_though_the_policy_looks_at_more(earlier: int) -> None:
    policy = DriftPolicy(needed=3, among=5)
    before = [_week(1 + day) for day in range(earlier)]
    assert policy.judge(_week(15), before).alarm == (earlier >= 2)
    quiet = [_week(8 + day, drifted=False) for day in range(3)]
    assert not policy.judge(_week(15), [*before, *quiet]).alarm


def test_judged_again_a_window_gets_the_same_verdict() -> None:
    policy = DriftPolicy(needed=2, among=2, cooldown_days=30)
    first, second = _week(1), _week(8)
    assert not policy.judge(first, [first, second]).alarm
    assert policy.judge(second, [first, second, _week(15)]).alarm


def test_after_an_alarm_there_is_none_until_the_cooldown_is_over() -> None:
    policy = DriftPolicy(cooldown_days=14)
    alarm = _week(1, alarm=True)
    verdict = policy.judge(_week(8), [alarm])
    assert verdict.sentence == (
        "an alarm on the week to 2026-11-08 is less than 14 days older"
    )
    assert policy.judge(_week(15), [alarm]).alarm
    assert policy.judge(_week(8), [_week(1)]).alarm  # it drifted and was no alarm


def test_other_deployments_and_kinds_do_not_count() -> None:
    policy = DriftPolicy(cooldown_days=300)
    facts = {"drifted": True, "alarm": True}
    others = [
        JudgedWindow.of("d", "month", "2026-10-01", "2026-11-01", **facts),
        JudgedWindow.of("e", "week", "2026-11-01", "2026-11-08", **facts),
    ]
    assert policy.judge(_week(8), others).alarm


def test_records_of_the_journal_are_read_and_those_of_no_window_passed_over() -> None:
    record = {
        "deployment": "d",
        "window": "week",
        "start": "2026-11-01T00:00:00+00:00",
        "end": "2026-11-08",
        "status": "drift",
        "alarm": True,
    }
    assert JudgedWindow.from_record(record) == _week(1, alarm=True)
    assert JudgedWindow.from_record({"status": "drift"}) is None


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        ("yesterday", "2026-11-08", "'yesterday' is no time"),
        ("2026-11-08", "2026-11-08", "not after its start"),
    ],
)
def test_times_that_are_none_are_told(start: str, end: str, fault: str) -> None:
    with pytest.raises(DriftError, match=fault):
        JudgedWindow.of("d", "week", start, end, drifted=True)


def test_rules_that_can_not_be_are_told() -> None:
    with pytest.raises(DriftError, match="alpha: Input should be less than 1"):
        DriftPolicy(alpha=2)


def test_a_policy_is_kept_in_a_file_and_says_the_same(tmp_path) -> None:
    policy = DriftPolicy(alpha=0.01, thresholds={"ks": 0.2}, needed=2, among=3)
    (tmp_path / "p.yaml").write_text(
        "alpha: 0.01\nthresholds: {ks: 0.2}\nneeded: 2\namong: 3\n"
    )
    (tmp_path / "p.toml").write_text(
        "alpha = 0.01\nneeded = 2\namong = 3\n[thresholds]\nks = 0.2\n"
    )
    (tmp_path / "p.json").write_text(json.dumps(policy.to_dict()))
    for name in ("p.yaml", "p.toml", "p.json"):
        assert DriftPolicy.from_file(tmp_path / name) == policy
    detector = policy.detector()
    assert (detector.alpha, detector.thresholds) == (0.01, {"ks": 0.2})


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("p.yaml", "needed: 4", "needed is at most among"),
        ("p.yaml", "- needed", "a mapping of rules"),
        ("p.yaml", "thresholds: {kss: 1}", "no method kss; there are: .*ks"),
        ("p.yaml", "need: 4", "need: Extra inputs"),
        ("p.toml", "alpha = ", "can't be read as a drift policy"),
        ("p.yaml", "needed: 1\nneeded: 2", "the key 'needed' is there twice"),
        ("p.yaml", "cooldown_days: .inf", "cooldown_days"),
        ("p.yaml", "thresholds: {ks: .nan}", "thresholds.ks"),
        ("p.yaml", "thresholds: {ks: -1}", "thresholds.ks: .* greater than 0"),
        ("p.yaml", "thresholds: {ks: 0}", "thresholds.ks: .* greater than 0"),
        ("p.yaml", "thresholds: {ks: yes}", "thresholds.ks: .* valid number"),
        ("p.yaml", "among: yes", "among: .* valid integer"),
        ("p.yaml", "cooldown_days: on", "cooldown_days: .* valid number"),
        ("p.txt", "", "its name must end in .json, .toml"),
    ],
)
def test_a_file_that_is_no_policy_is_told(tmp_path, name, text, fault) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DriftError, match=fault):
        DriftPolicy.from_file(tmp_path / name)


def test_a_policy_asks_how_new_the_rows_of_a_window_are(tmp_path: Path) -> None:
    at = pd.date_range("2026-11-01", periods=300, freq="h")
    rows = pd.DataFrame({"x": np.arange(300) % 7, "at": at})
    profile = tmp_path / "drift_profile.parquet"
    DriftProfile.build(rows).save(profile)
    policy = DriftPolicy(fresh_hours=24, clock="at")
    for end, stale in (("2026-11-14", []), ("2026-11-15T12:00:00Z", ["stale"])):
        report = policy.compare(profile, rows, end=end)
        assert [each.kind for each in report.findings] == stale
        assert DriftPolicy().compare(profile, rows, end=end).status == "ok"
    assert "The newest row is 49.0 hours old" in report.sentence
    assert policy.compare(profile, rows[["x"]], end="2026-11-14").status == "drift"
