"""Windows of traffic in the request logs of deployments: which are over, and their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from prefect import get_run_logger

from brixa_flows.deployment import ModelDeployer
from brixa_flows.drift import DriftProfile, KeptProfiles
from brixa_flows.drift.calendar import closed_windows
from brixa_flows.drift.policy import moment_of
from brixa_flows.errors import BrixaError, DeploymentError, DriftError
from brixa_flows.events import LabelsArrived, WindowClosed
from brixa_flows.prediction import SeenWindow, judge_performance, see_window
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = [
    "find_closed_windows",
    "kept_profiles",
    "log_window",
    "logged_rows",
    "read_profile",
    "read_window",
]


@remote_task("look for windows that are over", timeout_seconds=None)
def find_closed_windows(
    registry: str,
    kinds: Sequence[str],
    last: int,
    settle_minutes: float,
    at: datetime | None = None,
) -> list[WindowClosed]:
    """The last windows of every production deployment that were logged.

    One deployment that can't be read is passed over, with a warning in the run's log.

    Args:
        registry: Name of the registry's block.
        kinds: ``hour``, ``day``, ``week``, ``month`` or ``quarter``.
        last: How many of each kind, for runs that did not take place.
        settle_minutes: How long after its end a window is over: replicas show their
            files after some minutes.
        at: The time; ``None`` is now.

    Returns:
        Those in which the version in production answered requests, oldest first.

    Raises:
        DriftError: If there is no such kind.
    """
    opened, logger = open_registry(registry), get_run_logger()
    deployer, moment = ModelDeployer(opened), at or datetime.now(UTC)
    spans = [
        (kind, *span)
        for kind in kinds
        for span in closed_windows(
            kind, moment - timedelta(minutes=settle_minutes), last
        )
    ]
    found: list[WindowClosed] = []
    for deployment in deployer.list():
        try:
            found += _logged(opened, deployer, deployment, spans)
        except BrixaError as err:
            logger.warning("%s is not watched: %s", deployment, err)
    logger.info("%d windows are over", len(found))
    return sorted(found, key=lambda each: (each.end, each.deployment))


def _logged(
    registry: ModelRegistry,
    deployer: ModelDeployer,
    deployment: str,
    spans: Sequence[tuple[str, datetime, datetime]],
) -> Iterator[WindowClosed]:
    config = deployer.config(deployment)
    version = registry.production_version(config.model_name)
    if str(version) != config.version:
        return
    for kind, start, end in spans:
        rows = deployer.logged_requests(
            deployment, since=start, until=end, version=version
        )
        try:
            next(iter(rows))
        except DeploymentError:
            continue  # nothing was logged
        yield WindowClosed(
            name=config.model_name,
            deployment=deployment,
            kind=kind,
            start=start.isoformat(),
            end=end.isoformat(),
        )


def kept_profiles(
    registry: ModelRegistry, version: str, window: WindowClosed
) -> KeptProfiles:
    """The profiles of the windows of a deployment in which a version served."""
    folder = f"{registry.layout.windows_prefix(window.name)}/{version}"
    return KeptProfiles(registry.storage, f"{folder}/{window.deployment}")


@remote_task(
    "read the rows of the {window.kind} from {window.start}", timeout_seconds=None
)
def read_window(registry: str, version: str, window: WindowClosed) -> SeenWindow:
    """Read the rows of a window once, for whoever judges them.

    They are profiled, and the version is asked again if something was learned that tells
    how good it is. Where shorter windows that were judged add up to this one, it needs no
    rows for the profile.

    Args:
        registry: Name of the registry's block.
        version: The version that served the window.
        window: Its rows and times.

    Returns:
        Without a profile if the version has no reference.

    Raises:
        DriftError: If the rows can't be read.
        DeploymentError: If nothing was logged of that time.
    """
    opened = open_registry(registry)
    path = opened.reference_profile_path(window.name, version)
    profile = None if path is None else _summed(opened, version, window)
    if path is not None and profile is None:
        like = DriftProfile.load(path)
        rows = window.data_uri or logged_rows(opened, version, window, like.columns)
        try:
            return see_window(opened, window.name, version, rows, like)
        except (DriftError, DeploymentError) as err:
            err.message = (
                f"neither drift nor performance of the {window.kind} from "
                f"{window.start[:10]} can be told, as its rows can't be read: "
                f"{err.message}; mend that and run it again, other windows go on"
            )
            err.args = (err.message,)
            raise
    rows = window.data_uri or logged_rows(opened, version, window)
    try:
        told = judge_performance(opened, window.name, version, rows)
    except BrixaError as err:
        return SeenWindow(profile, unknown=str(err))
    return SeenWindow(profile, told)


def read_profile(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed,
    reference: DriftProfile,
) -> DriftProfile:
    """The profile of a window's rows; of logged windows a sum of shorter ones.

    Args:
        registry: The registry.
        version: The version that served the window.
        window: Its rows and times.
        reference: What it will be compared with.

    Raises:
        DriftError: If the rows can't be read.
        DeploymentError: If nothing was logged of that time.
    """
    profile = _summed(registry, version, window)
    if profile is None:
        columns = reference.columns
        rows = window.data_uri or logged_rows(registry, version, window, columns)
        profile = DriftProfile.of(rows, like=reference)
    return profile


def _summed(
    registry: ModelRegistry, version: str, window: WindowClosed
) -> DriftProfile | None:
    if window.data_uri:
        return None
    span = moment_of(window.start), moment_of(window.end)
    return kept_profiles(registry, version, window).summed(*span)


def log_window(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed | LabelsArrived,
    measured: Mapping[str, float],
) -> None:
    """Log what was measured of a window as metrics of the version, at the window's end.

    Args:
        registry: The registry.
        version: The version that served the window.
        window: Of when and of whom.
        measured: Numbers by name, to which the deployment and the kind are added; one
            that is not finite is no metric, and stands in the window's record alone.
    """
    place = f"windows/{window.deployment}/{window.kind}"
    metrics = {
        f"{place}/{name}": value for name, value in measured.items() if isfinite(value)
    }
    if metrics:
        registry.log_metrics(window.name, version, metrics, at=moment_of(window.end))


def logged_rows(
    registry: ModelRegistry,
    version: str,
    window: WindowClosed | LabelsArrived,
    besides: Collection[str] = (),
) -> Iterator[Any]:
    """What a version was asked in a window, by the deployment's request log.

    Args:
        registry: The registry.
        version: The version that answered.
        window: From when to when.
        besides: Columns of the answers to keep.

    Returns:
        Arrow record batches, inputs alone.

    Raises:
        DeploymentError: If nothing was kept of that time; while they are read.
    """
    since, until = (moment_of(text) for text in (window.start, window.end))
    return ModelDeployer(registry).logged_requests(
        window.deployment,
        since=since,
        until=until,
        version=version,
        inputs_only=True,
        besides=besides,
    )
