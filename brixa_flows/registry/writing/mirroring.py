"""What the tracking backend shows of saved versions, and the file that follows it.

The backend holds what may change of a version and ``{version}_meta.json`` follows, so
that the backend could be made anew from storage. The numbers in a seal are those of the
save; after a rebuild the backend has others, so it is always asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from brixa_flows.errors import TrackingError
from brixa_flows.registry.facts.metadata import DatasetRef
from brixa_flows.registry.facts.records import Claim, MetadataFile, Mutable, Seal
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.registry.facts.standing import Standing
from brixa_flows.registry.journal.measuring import measured, with_data
from brixa_flows.registry.journal.sealed import SealedFiles
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.tracked_facts import mutable_of
from brixa_flows.tracking import TrackedVersion, tags
from brixa_flows.versioning import ModelVersion

__all__ = [
    "by_version",
    "file_anew",
    "follow",
    "kept_of",
    "listed",
    "lost_of",
    "not_deleted_here",
    "shown",
    "shown_or_lost",
    "untrusted_of",
]


def shown(backends: Backends, claim: Claim, seal: Seal) -> TrackedVersion | None:
    """A saved version as the tracking backend shows it, ``None`` if it lost it."""
    core = claim.core
    return backends.tracking.get_version(
        core.name, str(core.version), backend_version=seal.backend_version
    )


def shown_or_lost(backends: Backends, claim: Claim, seal: Seal) -> TrackedVersion:
    """A saved version as the tracking backend shows it.

    Raises:
        TrackingError: If it lost the version; says how to make it anew.
    """
    tracked = shown(backends, claim, seal)
    if tracked is None:
        raise TrackingError(backends.lost(claim.core.name, [claim.core.version]))
    return tracked


def listed(backends: Backends, standing: Standing) -> dict[str, TrackedVersion]:
    """What the backend shows of a model, by version without build metadata.

    Of a model of which nothing is saved it is not asked.
    """
    if not standing.sealed:
        return {}
    return by_version(backends.tracking.list_versions(standing.name))


def by_version(listed: Iterable[TrackedVersion]) -> dict[str, TrackedVersion]:
    """What the backend shows, by version without build metadata.

    Of several that are called the same the one counts whose run says so too, else the
    oldest.
    """

    def sure(each: TrackedVersion) -> tuple[bool, int]:
        said = (each.run_facts or {}).get(tags.VERSION)
        return said == each.version, -int(each.backend_version)

    found = sorted(listed, key=sure)
    return {each.version.partition("+")[0]: each for each in found}


def lost_of(
    standing: Standing, there: Mapping[str, TrackedVersion]
) -> list[ModelVersion]:
    """Saved versions that are not among those that the backend shows."""
    return [each for each in standing.listed_ready if each.core not in there]


def not_deleted_here(
    lifecycle: Lifecycle,
    versions: Iterable[ModelVersion],
    there: Mapping[str, TrackedVersion],
) -> list[ModelVersion]:
    """Those of some versions that only the backend's tag says are deleted."""
    return [
        version
        for version in versions
        if version not in lifecycle.deleted
        and (tracked := there.get(version.core)) is not None
        and tracked.facts.get(tags.STATE) == "deleted"
    ]


def untrusted_of(
    backends: Backends,
    standing: Standing,
    there: Mapping[str, TrackedVersion] | None = None,
) -> list[ModelVersion]:
    """Saved versions that the backend has no digest of.

    Args:
        backends: The places.
        standing: Of the model.
        there: What :func:`listed` gave, if somebody asked already.
    """
    there = listed(backends, standing) if there is None else there
    found = []
    for version in standing.listed_ready:
        tracked = there.get(version.core)
        if tracked is not None and tracked.digest is not None:
            continue
        text = str(backends.journal.as_written(standing.name, version))
        # Not shown there, but its run may still be.
        if backends.tracking.recorded_digest(standing.name, text) is None:
            found.append(version)
    return found


def kept_of(tracked: TrackedVersion, judged_on: tuple[DatasetRef, ...]) -> Mutable:
    """What ``{version}_meta.json`` keeps of a version.

    A metric that is no finite number, which only MLflow itself takes, is no JSON.
    """
    mutable = mutable_of(tracked)
    finite = {k: each for k, each in mutable.metrics.items() if math.isfinite(each)}
    return mutable.model_copy(update={"metrics": finite, "judged_on": judged_on})


def follow(
    backends: Backends, claim: Claim, seal: Seal, judged_on: DatasetRef | None = None
) -> bool:
    """Bring ``{version}_meta.json`` to what the tracking backend has.

    Args:
        backends: The places.
        claim: Of the version.
        seal: Of the version.
        judged_on: Data that a metric was just measured on.

    Returns:
        Whether the file told another story before.
    """
    before: list[Mutable] = []

    def present(old: Mutable) -> Mutable:
        # Asked between the read and the write of the file: of two that follow at
        # once, the one that asked earlier loses the swap and asks again.
        tracked = shown_or_lost(backends, claim, seal)
        before.append(old)
        return kept_of(tracked, with_data(old.judged_on, judged_on))

    changed = backends.journal.change_mutable(
        claim, present, lambda: file_anew(backends, claim, seal)
    )
    return changed != before[-1]


def file_anew(backends: Backends, claim: Claim, seal: Seal | None) -> MetadataFile:
    """``{version}_meta.json`` of a version that has lost it.

    What MLflow knows better of a saved version is for :func:`follow` to add.

    Args:
        backends: The places.
        claim: Of the version.
        seal: Of the version, ``None`` if its files don't count.

    Raises:
        DamagedArtifactError: If ``config.json`` can't be read, which alone has what a
            save found out (schemas).
    """
    core, journal = claim.core, backends.journal
    if seal is not None:
        files = SealedFiles(backends.storage, backends.layout, journal)
        core = files.listed(claim, seal, None).core
    return MetadataFile(core=core, mutable=measured(journal, claim))
