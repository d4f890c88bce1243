"""What was measured of a version, kept for a run that is made later.

The tracking backend is the authority of metrics. ``{version}_meta.json`` follows with
the last value of each, and the journal keeps when each was measured and on which data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from brixa_flows.registry.facts.metadata import DatasetRef
from brixa_flows.registry.facts.numbered_records import Measurement
from brixa_flows.registry.facts.records import Claim, Mutable
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.tracking import TrackedDataset, TrackedMeasurement
from brixa_flows.versioning import ModelVersion

__all__ = ["history", "keep_measurement", "measured", "tracked_dataset", "with_data"]

_KIND = "measurements"
_AFTER = timedelta(milliseconds=1)


def keep_measurement(
    journal: Journal,
    name: str,
    version: ModelVersion,
    metrics: Mapping[str, float],
    dataset: DatasetRef | None,
    at: datetime,
) -> None:
    """Keep what was measured at a moment; columns of the data are left out."""
    payload: dict[str, Any] = {"metrics": dict(metrics)}
    if dataset is not None:
        payload["dataset"] = dataset.model_dump(mode="json", exclude={"columns"})
    journal.add_record(name, _KIND, version, payload, at)


def history(
    journal: Journal, claim: Claim, mutable: Mutable, at: datetime
) -> list[TrackedMeasurement]:
    """All that was measured of a version, oldest first.

    First what it was registered with. The last word is ``{version}_meta.json``'s: it
    followed the backend, where somebody may have measured something too.

    Args:
        journal: Holds what was logged here.
        claim: Of the version.
        mutable: What ``{version}_meta.json`` says.
        at: When the version was saved.
    """
    found = sorted(_logged(journal, claim), key=lambda each: each.at)
    born = TrackedMeasurement(claim.mutable.metrics, claim.core.created_at)
    found = [born, *found] if born.metrics else found
    latest: dict[str, float] = {}
    for measured in found:
        latest |= measured.metrics
    others = {
        key: value
        for key, value in mutable.metrics.items()
        if key not in latest or latest[key] != value
    }
    if others:
        last = max([at, *(each.at for each in found)]) + _AFTER
        found.append(TrackedMeasurement(others, last))
    return found


def measured(journal: Journal, claim: Claim) -> Mutable:
    """What was registered, with what was measured since; where nothing else tells."""
    metrics, judged_on = dict(claim.mutable.metrics), claim.mutable.judged_on
    for record in journal.records(claim.core.name, _KIND, claim.core.version):
        kept = Measurement.model_validate(record)
        metrics |= kept.metrics
        judged_on = with_data(judged_on, kept.dataset)
    update = {"metrics": metrics, "judged_on": judged_on}
    return claim.mutable.model_copy(update=update)


def with_data(
    known: tuple[DatasetRef, ...], new: DatasetRef | None
) -> tuple[DatasetRef, ...]:
    """Data that a version was judged on, and some more.

    Columns are left out: it may be judged every day.
    """
    if new is None:
        return known
    new = new.model_copy(update={"columns": {}})
    same = [each.model_copy(update={"columns": {}}) for each in known]
    return known if new in same else (*known, new)


def tracked_dataset(dataset: DatasetRef) -> TrackedDataset:
    """A dataset in the words of the tracking room."""
    return TrackedDataset(
        name=dataset.name,
        digest=dataset.digest,
        uri=dataset.uri,
        rows=dataset.rows,
        context=dataset.role,
    )


def _logged(journal: Journal, claim: Claim) -> Iterator[TrackedMeasurement]:
    for record in journal.records(claim.core.name, _KIND, claim.core.version):
        kept = Measurement.model_validate(record)
        data = None if kept.dataset is None else tracked_dataset(kept.dataset)
        yield TrackedMeasurement(kept.metrics, kept.at, data)
