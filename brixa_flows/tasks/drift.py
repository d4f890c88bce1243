"""Comparing a window of traffic with what a version was trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from prefect import get_run_logger

from brixa_flows.deployment import ModelDeployer
from brixa_flows.drift import (
    DriftPolicy,
    DriftProfile,
    DriftReport,
    DriftVerdict,
    Finding,
    JudgedWindow,
    PerformanceReport,
    advised,
    column_histories,
    write_workspace,
)
from brixa_flows.drift.policy import moment_of
from brixa_flows.errors import DriftError, MissingExtraError
from brixa_flows.events import WindowClosed
from brixa_flows.outbox import (
    Owed,
    announces,
    find_record,
    judged_window,
    owed_by_record,
)
from brixa_flows.prediction import SeenWindow
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import load_drift_policy, open_registry
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.windows import kept_profiles, log_window, read_profile

__all__ = ["SAMPLE", "WindowFindings", "judge_window", "served_version"]

SAMPLE = "sample"
_PLACE = {"deployment", "start", "end"}
_UNFIT = re.compile(r"[^\w .-]")  # what no file of a report may be called


class WindowFindings(NamedTuple):
    """What was found, whether it is an alarm, and the event that its record owes.

    The page of a window that drifted is kept in MLflow, at ``page``.
    """

    report: DriftReport
    verdict: DriftVerdict
    owed: Owed
    page: str = ""


@remote_task("judge the {window.kind} from {window.start}", timeout_seconds=None)
def judge_window(
    registry: str,
    version: str,
    window: WindowClosed,
    policy: str = "",
    seen: SeenWindow | None = None,
) -> WindowFindings:
    """Compare a window with the version's reference profile and record the report.

    A window of which the same was found before is recorded no second time.

    Args:
        registry: Name of the registry's block.
        version: The version that served the window.
        window: Its rows and times; without ``data_uri`` its rows are those of the
            request log of its deployment. One of the kind ``week``, ``month`` ... is judged
            against the spread of the reference's own windows; ``sample`` has no
            length, so it is not.
        policy: Name of the drift policy's block; without one every drift is an alarm.
        seen: What was seen of its rows, if they were read already.

    Raises:
        DriftError: If the version has no reference profile or the times are none.
    """
    opened, rules = open_registry(registry), load_drift_policy(policy)
    seen = seen or SeenWindow()
    report = _compared(opened, version, window, rules, seen.profile)
    report = _with_advice(opened, version, window, _told(report, seen.unknown))
    verdict = _judge(opened, version, window, report, rules)
    page = _keep_page(opened, version, window, report)
    event = announces(
        judged_window(window, version, report, verdict, rules.response, page)
    )
    record = find_record(opened.drift_reports(window.name, version), event)
    if record is None:
        record = _keep(opened, version, window, report, verdict, event)
    get_run_logger().info(
        "%s: %s It is %s.",
        window.data_uri or f"requests to {window.deployment}",
        report.sentence,
        verdict.sentence,
    )
    return WindowFindings(report, verdict, owed_by_record(record), page)


def _compared(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed,
    rules: DriftPolicy,
    profile: DriftProfile | None,
) -> DriftReport:
    """The window against the version's reference profile."""
    path = registry.reference_profile_path(window.name, version)
    if path is None:
        raise DriftError(
            f"{window.name} {version} was saved without reference data, so nothing can "
            "be compared with it; train with reference_uri= and register a new version"
        )
    kind = None if window.kind == SAMPLE else window.kind
    if profile is None:
        profile = read_profile(registry, version, window, DriftProfile.load(path))
    end = moment_of(window.end)
    if end <= datetime.now(UTC):  # else more rows may come
        kept = kept_profiles(registry, version, window)
        kept.keep(moment_of(window.start), end, profile)
    return rules.compare(path, profile, kind=kind, start=window.start, end=window.end)


def _show_in_evidently(
    registry: ModelRegistry, window: WindowClosed, version: str, report: DriftReport
) -> None:
    """Add it to the workspace that a setting names; one that fails spoils nothing."""
    folder = registry.settings.evidently_workspace
    if folder is None:
        return
    project = f"{window.name} {version}: {window.kind}s of {window.deployment}"
    try:
        write_workspace(report, folder, project=project, at=moment_of(window.end))
    except (DriftError, MissingExtraError) as err:
        get_run_logger().warning("not in Evidently's workspace: %s", err)


def _keep(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed,
    report: DriftReport,
    verdict: DriftVerdict,
    event: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Record what was found, with the event that it owes, and show it in MLflow."""
    measured = {
        "drift_share": report.drift_share,
        "drift_score": report.drift_score,
        "drift_alarm": float(verdict.alarm),
    }
    log_window(registry, version, window, measured)
    _show_in_evidently(registry, window, version, report)
    facts = {
        **report.to_dict(),
        "alarm": verdict.alarm,
        "verdict": verdict.sentence,
        "window": window.kind,
        **window.model_dump(include={"deployment", "start", "end", "data_uri"}),
        **event,
    }
    return registry.record_drift(window.name, version, facts)


def _told(report: DriftReport, unknown: str) -> DriftReport:
    """The report with a note that what the drift costs is not known."""
    if not unknown:
        return report
    note = Finding(
        column=None,
        kind="not_estimated",
        severity="note",
        sentence="How good the version was in this window could not be estimated: "
        f"{unknown}",
    )
    return report.model_copy(update={"findings": (*report.findings, note)})


def _keep_page(
    registry: ModelRegistry, version: str, window: WindowClosed, report: DriftReport
) -> str:
    """MLflow's address of the whole report; empty if the window is quiet."""
    if report.status != "drift":
        return ""
    file = f"drift {window.deployment} {window.kind} {window.start}.html"
    name = _UNFIT.sub("-", file)
    return registry.log_report(window.name, version, name, report.to_html())


def _with_advice(
    registry: ModelRegistry, version: str, window: WindowClosed, report: DriftReport
) -> DriftReport:
    """The report with since when, what it costs, and what to do."""
    if report.status != "drift":
        return report
    place = {"window": window.kind, **window.model_dump(include=_PLACE)}
    this = {**report.to_dict(), **place}
    before = registry.drift_reports(window.name, version)
    told = [
        each
        for each in registry.performance_reports(window.name, version)
        if place.items() <= each.items()
    ]
    performance = None
    if told:
        kept = max(told, key=lambda each: (bool(each.get("realised")), each["number"]))
        fields = {
            key: kept[key] for key in PerformanceReport.model_fields if key in kept
        }
        performance = PerformanceReport.from_dict(fields)
    histories = [
        each
        for each in column_histories([*before, this])
        if (each.deployment, each.kind) == (window.deployment, window.kind)
    ]
    learned = registry.estimators(window.name, version)
    importance = learned[-1].get("importance") if learned else None
    return advised(
        report, performance=performance, importance=importance, histories=histories
    )


def _judge(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed,
    report: DriftReport,
    rules: DriftPolicy,
) -> DriftVerdict:
    place = (window.deployment, window.kind, window.start, window.end)
    found = JudgedWindow.of(*place, drifted=report.status == "drift")
    records = registry.drift_reports(window.name, version) if rules.looks_back else []
    earlier = [each for each in map(JudgedWindow.from_record, records) if each]
    return rules.judge(found, earlier)


@remote_task("version behind {deployment}")
def served_version(registry: str, deployment: str) -> str:
    """The version that a deployment serves.

    Args:
        registry: Name of the registry's block.
        deployment: Name of the deployment.

    Raises:
        DeploymentNotFoundError: If there is none of that name.
    """
    version = ModelDeployer(open_registry(registry)).status(deployment).version
    get_run_logger().info("%s serves %s", deployment, version)
    return version
