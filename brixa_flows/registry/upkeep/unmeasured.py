"""Versions with metrics of data that no record tells of any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from brixa_flows.errors import DamagedArtifactError, some_of
from brixa_flows.registry.journal.measuring import measured
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.versioning import ModelVersion

__all__ = ["unmeasured"]


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
    told = [str(each.facts["file"]) for each in damaged]
    for version in standing.claimed:
        if standing.state(version) in ("ready", "registered"):
            yield from _of_version(backends, reader, standing.name, version, told)


def _of_version(
    backends: Backends,
    reader: Reader,
    name: str,
    version: ModelVersion,
    told: Sequence[str],
) -> Iterator[str]:
    layout = backends.layout
    folder = layout.entries_prefix(name, "measurements")
    mine = layout.records_prefix(name, "measurements", version)
    if any(key == folder or f"{key}/".startswith(f"{mine}/") for key in told):
        return
    data = reader.judged_on(name, version)
    if not data:
        return
    known = measured(backends.journal, reader.claim(name, version)).judged_on
    lost = [each.name for each in data if each not in known]
    if lost:
        yield (
            f"{name} {version}: it has metrics of the data {some_of(lost)}, and the "
            f"records in {mine} that tell them are lost: restore them from a backup, or "
            "measure anew on that data (registry.log_metrics)"
        )
