"""Changes what is said about a version, and keeps what was found out about it.

The tracking backend is the authority of description, tags, custom, owner and metrics
once a version is saved; ``{version}_meta.json`` follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from brixa_flows.errors import (
    InvalidMetadataError,
    ModelNotSavedError,
    TrackingError,
)
from brixa_flows.passing_folders import passing_folder
from brixa_flows.registry.facts.inputs import (
    as_custom,
    as_json_object,
    as_metrics,
    as_tags,
    as_text,
)
from brixa_flows.registry.facts.lineage import as_refs
from brixa_flows.registry.facts.metadata import DatasetRef
from brixa_flows.registry.facts.records import Claim, Mutable, Seal, now
from brixa_flows.registry.facts.resolving import refuse_unusable
from brixa_flows.registry.journal.measuring import (
    keep_measurement,
    tracked_dataset,
    with_data,
)
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.writing.mirroring import file_anew, follow, shown_or_lost
from brixa_flows.tracking.limits import check_characters
from brixa_flows.versioning import ModelVersion

__all__ = ["Describer"]

_BARE_NAME = re.compile(r"[^\W_][\w .-]{0,127}")


class Describer:
    """Keeps descriptions, metrics, records and reports.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def update(
        self,
        name: str,
        version: ModelVersion,
        *,
        description: str | None,
        tags: Mapping[str, str | None] | Iterable[str] | None,
        custom: Mapping[str, Any] | None,
        owner: str | None,
    ) -> None:
        """Change what is given; see the registry."""
        claim, seal = self._present(name, version)
        given, gone = _split_tags(tags)
        changes: dict[str, Any] = {}
        if description is not None:
            changes["description"] = as_text("description", description)
        if custom is not None:
            changes["custom"] = as_custom(custom)
        if owner is not None:
            changes["owner"] = as_text("owner", owner)
        if seal is not None:
            tracked = shown_or_lost(self._backends, claim, seal)
            merged: dict[str, str | None] = {**given, **dict.fromkeys(gone)}
            self._backends.tracking.update_version(
                tracked, **changes, tags=merged if merged else None
            )
            follow(self._backends, claim, seal)
            return

        def change(old: Mutable) -> Mutable:
            kept = {key: old.tags[key] for key in old.tags if key not in gone}
            update = {**changes, "tags": {**kept, **given}}
            if "owner" in update:
                update["owner"] = update["owner"] or None
            return old.model_copy(update=update)

        self._change(claim, change)

    def log_metrics(
        self,
        name: str,
        version: ModelVersion,
        metrics: Mapping[str, float],
        dataset: DatasetRef | Mapping[str, Any] | None,
        at: datetime | None = None,
    ) -> None:
        """Add metrics; see the registry."""
        claim, seal = self._present(name, version)
        checked = as_metrics(metrics)
        if not checked:
            raise InvalidMetadataError("metrics", "is empty; give numbers by name")
        data = None
        if dataset is not None:
            [data] = as_refs("dataset", DatasetRef, [dataset])
        at, journal = now() if at is None else _aware(at), self._backends.journal
        if seal is not None:
            shown = None if data is None else tracked_dataset(data)
            run_id = self._run_id(claim, seal)
            self._backends.tracking.log_metrics(run_id, checked, shown, at)
            keep_measurement(journal, name, version, checked, data, at)
            follow(self._backends, claim, seal, data)
            return

        keep_measurement(journal, name, version, checked, data, at)

        def change(old: Mutable) -> Mutable:
            update = {
                "metrics": {**old.metrics, **checked},
                "judged_on": with_data(old.judged_on, data),
            }
            return old.model_copy(update=update)

        self._change(claim, change)

    def log_report(
        self, name: str, version: ModelVersion, filename: str, content: str | bytes
    ) -> str:
        """Keep a report beside the version's run; see the registry."""
        _check_filename(filename)
        data = _as_bytes(content)
        run_id = self._run_id(*self._saved(name, version))
        with passing_folder("report") as folder:
            path = folder / filename
            path.write_bytes(data)
            self._backends.tracking.log_artifact(run_id, path, "reports")
        return f"runs:/{run_id}/reports/{filename}"

    def record(
        self, name: str, version: ModelVersion, kind: str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Append a record of a kind to a saved version's journal."""
        self._saved(name, version)
        plain = as_json_object(kind, payload)
        return self._backends.journal.add_record(name, kind, version, plain)

    def _present(self, name: str, version: ModelVersion) -> tuple[Claim, Seal | None]:
        claim = self._reader.claim(name, version)
        standing = self._reader.standing(name)
        refuse_unusable(standing, claim.core.version, str(version))
        return claim, self._backends.journal.read_seal(name, version)

    def _saved(self, name: str, version: ModelVersion) -> tuple[Claim, Seal]:
        claim, seal = self._present(name, version)
        if seal is None:
            raise ModelNotSavedError(name, claim.core.version)
        return claim, seal

    def _change(self, claim: Claim, change: Callable[[Mutable], Mutable]) -> None:
        """Change what is said about a version that is only registered."""
        backends = self._backends
        backends.journal.change_mutable(
            claim, change, lambda: file_anew(backends, claim, None)
        )

    def _run_id(self, claim: Claim, seal: Seal) -> str:
        """The version's own run, as the tracking backend has it now.

        Raises:
            TrackingError: If it lost the version, or somebody deleted the run.
        """
        tracked = shown_or_lost(self._backends, claim, seal)
        if tracked.run_facts is None:
            core = claim.core
            raise TrackingError(
                self._backends.without_run(core.name, core.version, tracked.run_id)
            )
        return tracked.run_id or ""


def _aware(moment: datetime) -> datetime:
    given: object = moment
    if not isinstance(given, datetime):
        kind = type(given).__name__
        raise InvalidMetadataError("at", f"is a {kind}; give a datetime")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_filename(filename: object) -> None:
    if not isinstance(filename, str) or not _BARE_NAME.fullmatch(filename):
        shown = str(filename)[:80]
        raise InvalidMetadataError(
            "filename",
            f"is {shown!r}; give a bare name of 1 to 128 letters, digits, spaces, "
            "dots, dashes or underscores that begins with a letter or digit",
        )


def _as_bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        kind = type(content).__name__
        raise InvalidMetadataError("content", f"is a {kind}; give a text or bytes")
    check_characters("content", content)
    return content.encode()


def _split_tags(
    tags: Mapping[str, str | None] | Iterable[str] | None,
) -> tuple[dict[str, str], list[str]]:
    """Tags to set, and keys to remove (those whose value is ``None``)."""
    if not isinstance(tags, Mapping):
        return as_tags(tags), []
    gone = [key for key, value in tags.items() if value is None]
    as_tags(gone)
    return as_tags({k: v for k, v in tags.items() if v is not None}), gone
