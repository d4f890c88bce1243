"""A tracking backend in memory: the whole contract, nothing on disk, no MLflow.

For tests and for trying things out; it forgets all when the process ends.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from brixa_flows.errors import TrackingError
from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.base import (
    AdoptableModel,
    LoggedModel,
    TrackedDataset,
    TrackedMeasurement,
    TrackedVersion,
)
from brixa_flows.tracking.limits import check_metrics

__all__ = ["MemoryRun", "MemoryTrackingStore"]


@dataclass
class MemoryRun:
    """What was logged to one run, open to the tests' eyes.

    Attributes:
        run_id: Its id.
        digest: The digest recorded at save, ``None`` if nobody vouches.
        params: Parameters as text.
        metrics: Latest value by name.
        datasets: Inputs, those of later metrics included.
        tags: Tags, ours included.
        artifacts: Content by path.
        measured_at: When each metric was measured.
        at: When it began and ended.
    """

    run_id: str
    digest: str | None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: list[TrackedDataset] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    measured_at: dict[str, datetime] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def measure(self, measured: TrackedMeasurement) -> None:
        """Keep metrics where none of the same name is later."""
        check_metrics(measured.metrics)
        when, dataset = measured.at, measured.dataset
        for key, value in measured.metrics.items():
            if key not in self.metrics or when >= self.measured_at[key]:
                self.metrics[key], self.measured_at[key] = float(value), when
        if dataset is not None and dataset not in self.datasets:
            self.datasets.append(dataset)


@dataclass
class _Model:
    versions: dict[str, TrackedVersion] = field(default_factory=dict)
    own_runs: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


class MemoryTrackingStore:
    """See :class:`~brixa_flows.tracking.base.TrackingStore`.

    Attributes:
        runs: Every run by id.
    """

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self._models: dict[str, _Model] = {}
        self._offered: dict[str, AdoptableModel] = {}
        self._lock = threading.RLock()

    @property
    def uri(self) -> str:
        """Always ``memory:``."""
        return "memory:"

    def ping(self) -> None:
        """It always answers."""

    def open_run(
        self,
        name: str,
        version: str,
        *,
        digest: str | None,
        params: Mapping[str, Any],
        measured: Sequence[TrackedMeasurement] = (),
        datasets: Sequence[TrackedDataset] = (),
        tags: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> str:
        """Create the version's own run, or return that of the same digest."""
        with self._lock:
            model = self._models.setdefault(name, _Model())
            existing = self.runs.get(model.own_runs.get(version, ""))
            if existing is not None and existing.digest is None:
                existing.digest = digest
            if existing is not None and digest in (None, existing.digest):
                return existing.run_id
            if existing is not None and version in model.versions:
                raise TrackingError(
                    f"{name} {version} is recorded in {self.uri} with the digest "
                    f"{existing.digest}, which is never overwritten by {digest}"
                )
            self.runs.pop(model.own_runs.get(version, ""), None)
            run = MemoryRun(
                run_id=uuid.uuid4().hex,
                digest=digest,
                params={key: str(value) for key, value in params.items()},
                datasets=list(datasets),
                tags={keys.MODEL: name, keys.VERSION: version, **(tags or {})},
                at=at or datetime.now(UTC),
            )
            for each in measured:
                run.measure(each)
            self.runs[run.run_id] = run
            model.own_runs[version] = run.run_id
            return run.run_id

    def recorded_digest(
        self, name: str, version: str, *, run_id: str | None = None
    ) -> str | None:
        """The digest recorded at save, ``None`` if nobody recorded one here."""
        with self._lock:
            run_id = self._model(name).own_runs.get(version)
            return None if run_id is None else self.runs[run_id].digest

    def create_version(
        self,
        name: str,
        version: str,
        *,
        source: str,
        run_id: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str | None = None,
        custom: Mapping[str, Any] | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> TrackedVersion:
        """Make the version visible."""
        keys.check_user_tags(tags or {})
        with self._lock:
            model = self._models.setdefault(name, _Model())
            if version not in model.versions:
                told = dict(facts or {})
                model.versions[version] = TrackedVersion(
                    name=name,
                    version=version,
                    backend_version=str(next(model.numbers)),
                    run_id=run_id,
                    source=source,
                    digest=self._run(run_id).digest,
                    description=description,
                    tags=dict(tags or {}),
                    owner=owner or None,
                    custom=keys.load_custom(keys.dump_custom(custom or {})),
                    stage=told.pop(keys.STAGE, None),
                    facts=told,
                )
            return self._seen(model.versions[version])

    def get_version(
        self, name: str, version: str, *, backend_version: str | None = None
    ) -> TrackedVersion | None:
        """What was created, ``None`` if nothing was."""
        with self._lock:
            tracked = self._model(name).versions.get(version)
            return None if tracked is None else self._seen(tracked)

    def list_versions(self, name: str) -> list[TrackedVersion]:
        """All versions of a model."""
        with self._lock:
            return [self._seen(each) for each in self._model(name).versions.values()]

    def newest_numbers(self, name: str) -> list[str]:
        """Semantic versions of all of them."""
        with self._lock:
            return list(self._model(name).versions)

    def update_version(
        self,
        tracked: TrackedVersion,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        custom: Mapping[str, Any] | None = None,
        owner: str | None = None,
        stage: str | None = None,
        facts: Mapping[str, str | None] | None = None,
        run_facts: Mapping[str, str | None] | None = None,
    ) -> None:
        """Change what is given."""
        keys.check_user_tags(tags or {})
        changes: dict[str, Any] = {}
        if description is not None:
            changes["description"] = description
        if custom is not None:
            changes["custom"] = keys.load_custom(keys.dump_custom(custom))
        if owner is not None:
            changes["owner"] = owner or None
        if stage is not None:
            changes["stage"] = stage or None
        with self._lock:
            versions = self._model(tracked.name).versions
            if tracked.version not in versions:
                raise TrackingError(
                    f"{self.uri} has no {tracked.name} {tracked.version} to update"
                )
            old = versions[tracked.version]
            changes["tags"] = _merged(old.tags, tags)
            shown = {keys.DIGEST: old.digest_shown} if old.digest_shown else {}
            told = _merged({**shown, **old.facts}, facts)
            changes["digest_shown"] = told.pop(keys.DIGEST, None)
            changes["facts"] = told
            versions[tracked.version] = replace(old, **changes)
            run = self.runs.get(old.run_id or "")
            if run is not None and run_facts:
                run.tags = _merged(run.tags, run_facts)

    def remove_version(self, tracked: TrackedVersion) -> None:
        """Show a version no more, nor its aliases."""
        with self._lock:
            model = self._model(tracked.name)
            model.versions.pop(tracked.version, None)
            for alias in [k for k, v in model.aliases.items() if v == tracked.version]:
                del model.aliases[alias]

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        dataset: TrackedDataset | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add metrics to a run."""
        measured = TrackedMeasurement(metrics, at or datetime.now(UTC), dataset)
        with self._lock:
            self._run(run_id).measure(measured)

    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep the content of a file."""
        content = path.read_bytes()
        with self._lock:
            place = f"{folder}/{path.name}" if folder else path.name
            self._run(run_id).artifacts[place] = content

    def set_alias(self, name: str, alias: str, backend_version: str | None) -> None:
        """Point an alias at a version; ``None`` removes it."""
        with self._lock:
            model = self._model(name)
            if backend_version is None:
                model.aliases.pop(alias, None)
                return
            for version, tracked in model.versions.items():
                if tracked.backend_version == backend_version:
                    model.aliases[alias] = version
                    return
        raise TrackingError(f"{self.uri} has no version {backend_version} of {name!r}")

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> semantic version."""
        with self._lock:
            return dict(self._model(name).aliases)

    def foreign_aliases(self, name: str) -> dict[str, str]:
        """None: nobody else can make a version here."""
        return {}

    def logged_models(
        self, experiment: str, since: datetime, until: datetime
    ) -> list[LoggedModel]:
        """None: nobody can log here."""
        raise TrackingError(f"{self.uri} has no experiment {experiment!r}")

    def adopt(self, model_uri: str, folder: Path) -> AdoptableModel:
        """What :meth:`offer` put there."""
        with self._lock:
            if model_uri in self._offered:
                return self._offered[model_uri]
        raise TrackingError(f"{self.uri} has no model at {model_uri!r}")

    def offer(self, model: AdoptableModel) -> None:
        """Play the part of somebody who logs a model (tests only)."""
        with self._lock:
            self._offered[model.uri] = model

    def _model(self, name: str) -> _Model:
        return self._models.get(name, _Model())

    def _run(self, run_id: str) -> MemoryRun:
        if run_id not in self.runs:
            raise TrackingError(f"{self.uri} has no run {run_id!r}")
        return self.runs[run_id]

    def _seen(self, tracked: TrackedVersion) -> TrackedVersion:
        run = self.runs.get(tracked.run_id or "")
        if run is None:
            return tracked
        told = dict(run.tags)
        if run.digest is not None:
            told[keys.DIGEST] = run.digest
        return replace(
            tracked,
            metrics=dict(run.metrics),
            digest=run.digest,
            digest_shown=tracked.digest_shown or run.digest,
            run_at=run.at,
            run_facts=told,
        )


def _merged(
    old: Mapping[str, str], new: Mapping[str, str | None] | None
) -> dict[str, str]:
    merged = {**old, **(new or {})}
    return {key: value for key, value in merged.items() if value is not None}
