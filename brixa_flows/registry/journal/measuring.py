"""What was measured of a version on which data, kept for a run that is made later.

The tracking backend is the authority of metrics. ``{version}_meta.json`` follows with
the last value of each, and the journal keeps which data a value is of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from brixa_flows.registry.facts.metadata import DatasetRef
from brixa_flows.registry.facts.records import Core, Mutable
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.tracking import TrackedDataset, TrackedMeasurement
from brixa_flows.versioning import ModelVersion

__all__ = ["history", "keep_measurement", "tracked_dataset"]

_KIND = "measurements"
_AFTER = timedelta(milliseconds=1)


def keep_measurement(
    journal: Journal,
    name: str,
    version: ModelVersion,
    metrics: Mapping[str, float],
    dataset: DatasetRef,
) -> None:
    """Keep what was measured on some data; columns are left out."""
    data = dataset.model_dump(mode="json", exclude={"columns"})
    payload = {"metrics": dict(metrics), "dataset": data}
    journal.add_record(name, _KIND, version, payload)


def history(
    journal: Journal, core: Core, mutable: Mutable, saved_at: datetime
) -> tuple[dict[str, float], list[TrackedMeasurement]]:
    """Metrics of the save, and those that were measured on some data, oldest first.

    The last word is ``{version}_meta.json``'s: it followed the backend while that was
    there.
    """
    later = _measurements(journal, core, mutable)
    latest: dict[str, float] = {}
    for measured in later:
        latest |= measured.metrics
    birth = {key: mutable.metrics[key] for key in mutable.metrics.keys() - latest}
    changed = {key: mutable.metrics[key] for key in latest}
    changed = {key: each for key, each in changed.items() if each != latest[key]}
    if changed:
        at = max(later[-1].at, saved_at) + _AFTER
        later.append(TrackedMeasurement(changed, at))
    return birth, later


def tracked_dataset(dataset: DatasetRef) -> TrackedDataset:
    """A dataset in the words of the tracking room."""
    return TrackedDataset(
        name=dataset.name,
        digest=dataset.digest,
        uri=dataset.uri,
        rows=dataset.rows,
        context=dataset.role,
    )


def _measurements(
    journal: Journal, core: Core, mutable: Mutable
) -> list[TrackedMeasurement]:
    """What was measured, oldest first; what an evaluation repeats counts once."""

    def read(kind: str) -> list[TrackedMeasurement]:
        records = journal.records(core.name, kind, core.version)
        found = (_measured(record, mutable) for record in records)
        return [each for each in found if each is not None]

    measured = read(_KIND)
    kept = Counter(map(_content, measured))
    for judged in reversed(read("evaluations")):
        content = _content(judged)
        if kept[content]:
            kept[content] -= 1
        else:
            measured.append(judged)
    return sorted(measured, key=lambda each: each.at)


def _content(measured: TrackedMeasurement) -> tuple[object, ...]:
    data = measured.dataset
    whose = None if data is None else (data.name, data.digest)
    return whose, tuple(sorted(measured.metrics.items()))


def _measured(record: Mapping[str, Any], mutable: Mutable) -> TrackedMeasurement | None:
    """What a record showed in the backend, ``None`` if nothing."""
    given = record.get("metrics")
    metrics = {
        key: float(value)
        for key, value in (given.items() if isinstance(given, dict) else ())
        if key in mutable.metrics and isinstance(value, int | float)
    }
    try:
        at = datetime.fromisoformat(str(record.get("at")))
    except ValueError:
        return None
    if not metrics or at.tzinfo is None:
        return None
    return TrackedMeasurement(metrics, at, _data_of(record))


def _data_of(record: Mapping[str, Any]) -> TrackedDataset | None:
    data = record.get("dataset")
    if not isinstance(data, dict):
        return None
    known = {key: data[key] for key in ("name", "uri", "digest", "rows") if key in data}
    role = data.get("role", "evaluation")
    try:
        found = DatasetRef.model_validate({**known, "role": role})
    except ValidationError:
        return None
    return tracked_dataset(found)
