"""Watching a window: how good the version was in it, and whether its rows drifted.

The estimate comes first, so that the report of drift knows what it costs. What can't be
estimated is told in that report and keeps nobody from comparing the rows.
"""

from __future__ import annotations

from brixa_flows.events import (
    DriftDetected,
    LabelsArrived,
    PerformanceDegraded,
    WindowClosed,
)
from brixa_flows.prediction import ScoringReport, SeenWindow
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.drift import judge_window
from brixa_flows.tasks.notifying import tell_of_alarm, tell_of_degradation
from brixa_flows.tasks.performance import (
    PerformanceFindings,
    judge_window_performance,
)
from brixa_flows.tasks.reporting import publish_drift, publish_performance
from brixa_flows.tasks.windows import read_window

__all__ = ["conclude_performance", "watch_scored", "watch_window"]


def watch_window(
    registry: str, version: str, window: WindowClosed, policy: str = ""
) -> None:
    """Read a window once, estimate and compare, show both, announce alarms or none.

    Args:
        registry: Name of the registry's block.
        version: The version that served the window.
        window: Its rows and times.
        policy: Name of the drift policy's block.
    """
    seen = read_window(registry, version, window)
    _estimate(registry, version, window, policy, seen)
    _compare(registry, version, window, policy, seen)


def watch_scored(
    registry: str, report: ScoringReport, window: WindowClosed, policy: str = ""
) -> None:
    """The same for rows that were just predicted, none of which is asked for again.

    Args:
        registry: Name of the registry's block.
        report: What was scored.
        window: The rows, and of which time they are.
        policy: Name of the drift policy's block.
    """
    _estimate(registry, report.version, window, policy, report.seen)
    if report.seen.profile is not None:
        _compare(registry, report.version, window, policy, report.seen)


def _estimate(
    registry: str, version: str, window: WindowClosed, policy: str, seen: SeenWindow
) -> None:
    if seen.performance is None:
        return
    rows = LabelsArrived(**window.model_dump())
    found = judge_window_performance(registry, version, rows, policy, seen.performance)
    assert found is not None  # what was seen is there
    conclude_performance(registry, version, rows, found)


def _compare(
    registry: str, version: str, window: WindowClosed, policy: str, seen: SeenWindow
) -> None:
    found = judge_window(registry, version, window, policy, seen)
    report, verdict = found.report, found.verdict
    publish_drift(registry, window, version, report, verdict, found.page)
    announce(registry, found.owed)
    if isinstance(found.owed.payload, DriftDetected):
        tell_of_alarm(found.owed.payload)


def conclude_performance(
    registry: str, version: str, window: LabelsArrived, found: PerformanceFindings
) -> None:
    """Show how good a version was, announce it, tell people of an alarm.

    Args:
        registry: Name of the registry's block.
        version: The version that served the window.
        window: Its rows and times.
        found: What was found.
    """
    publish_performance(window, version, found.report, found.verdict)
    announce(registry, found.owed)
    if isinstance(found.owed.payload, PerformanceDegraded):
        tell_of_degradation(found.owed.payload)
