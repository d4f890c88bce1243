"""Comparing a window of traffic with what a version was trained on."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from brixa_flows.deployment import ModelDeployer
from brixa_flows.drift import DriftDetector, DriftProfile, DriftReport
from brixa_flows.errors import DriftError
from brixa_flows.tasks.opening import open_registry

__all__ = ["SAMPLE", "JudgedWindow", "judge_window", "served_version"]

SAMPLE = "sample"


class JudgedWindow(NamedTuple):
    """What was found, and the id that its record gives the event."""

    report: DriftReport
    event_id: UUID


@task(task_run_name="judge {data_uri}", cache_policy=NO_CACHE)
def judge_window(
    registry: str,
    name: str,
    version: str,
    data_uri: str,
    kind: str,
    start: str,
    end: str,
) -> JudgedWindow:
    """Compare a window with the version's reference profile and record the report.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: The version that served the window.
        data_uri: Rows of the window.
        kind: ``week``, ``month`` ... is judged against the spread of the reference's
            own windows; ``sample`` has no length, so it is not.
        start: Begin of the window, ISO 8601; recorded.
        end: End of the window, not included, ISO 8601; recorded.

    Raises:
        DriftError: If the version has no reference profile.
    """
    opened = open_registry(registry)
    path = opened.reference_profile_path(name, version)
    if path is None:
        raise DriftError(
            f"{name} {version} was saved without reference data, so nothing can be "
            "compared with it; train with reference_uri= and register a new version"
        )
    window = None if kind == SAMPLE else kind
    report = DriftDetector().detect(DriftProfile.load(path), data_uri, kind=window)
    facts = {**report.to_dict(), "data_uri": data_uri, "start": start, "end": end}
    record = opened.record_drift(name, version, facts)
    get_run_logger().info("%s: %s", data_uri, report.sentence)
    return JudgedWindow(report, UUID(record["event_id"]))


@task(task_run_name="version behind {deployment}", cache_policy=NO_CACHE)
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
