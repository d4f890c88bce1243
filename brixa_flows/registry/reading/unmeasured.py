"""Versions with metrics of data that no record tells of any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from brixa_flows.errors import DamagedArtifactError, some_of
from brixa_flows.registry.journal.measuring import measured
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.versioning import ModelVersion

__all__ = ["lost_measurements", "unmeasured"]


def unmeasured(
    backends: Backends,
    reader: Reader,
    standing: Standing,
    damaged: Sequence[DamagedArtifactError],
) -> Iterator[str]:
    """What is lost where no later record is there, which would tell of a gap.

    Args:
        backends: The places.
        reader: Of them.
        standing: Of a model.
        damaged: Records and folders of it that are told already.
    """
    name, layout = standing.name, backends.layout
    told = [str(each.facts["file"]) for each in damaged]
    folder = layout.entries_prefix(name, "measurements")
    for version, lost in lost_measurements(backends, reader, standing).items():
        mine = layout.records_prefix(name, "measurements", version)
        if any(key == folder or f"{key}/".startswith(f"{mine}/") for key in told):
            continue
        yield (
            f"{name} {version}: it has metrics of the data {some_of(lost.values())}, and "
            f"the records in {mine} that tell them are lost: restore them from a backup, "
            "or measure anew on that data (registry.log_metrics); if they are gone for "
            f"good, brixa model accept-losses {name} --reason WHY says so"
        )


def lost_measurements(
    backends: Backends, reader: Reader, standing: Standing
) -> dict[ModelVersion, dict[str, str]]:
    """Data that a version has metrics of and no record tells, and nobody accepted so.

    Returns:
        By version the names of the data, by what their loss is accepted as.
    """
    changes = backends.journal.changes(standing.name)
    accepted = {key for change in changes for key in change.accepts_records}
    found = {}
    for version in standing.claimed:
        if standing.state(version) not in ("ready", "registered"):
            continue
        lost = _of_version(backends, reader, standing.name, version)
        left = {key: name for key, name in lost.items() if key not in accepted}
        if left:
            found[version] = left
    return found


def _of_version(
    backends: Backends, reader: Reader, name: str, version: ModelVersion
) -> dict[str, str]:
    data = reader.judged_on(name, version)
    if not data:
        return {}
    mine = backends.layout.records_prefix(name, "measurements", version)
    known = measured(backends.journal, reader.claim(name, version)).judged_on
    lost = (each for each in data if each not in known)
    return {f"{mine} of {each.name} {each.digest}": each.name for each in lost}
