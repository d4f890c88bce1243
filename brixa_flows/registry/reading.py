"""Puts together what is known about versions, each fact from its authority.

Existence, bytes and stages come from storage; the core of a saved version from its
``config.json``; what may change (metrics, description, tags, custom, owner) from the
tracking backend once the version is saved, else from ``{version}_meta.json``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    ModelNotFoundError,
    VersionNotFoundError,
)
from brixa_flows.recent import Recent
from brixa_flows.registry.backends import Backends
from brixa_flows.registry.metadata import (
    Deferred,
    Lineage,
    ModelMetadata,
    VersionState,
)
from brixa_flows.registry.records import Claim, Core, Seal
from brixa_flows.registry.stages import Lifecycle
from brixa_flows.registry.standing import Standing
from brixa_flows.registry.stored import LINEAGE_NAME, StoredVersion, StoredVersions
from brixa_flows.registry.tracked_facts import TrackedFacts, facts_of, mutable_of
from brixa_flows.tracking import TrackedVersion
from brixa_flows.versioning import ModelVersion

__all__ = ["LINEAGE_NAME", "Reader", "Standing"]

_STANDINGS_AT_MOST = 10_000
_LOG = logging.getLogger(__name__)

_Tracked = Callable[[StoredVersion], Mapping[str, Any]]


class Reader:
    """Answers questions on versions.

    Args:
        backends: The places.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._versions = StoredVersions(
            backends.storage, backends.layout, backends.journal
        )
        self._standings: Recent[str, Standing] = Recent(_STANDINGS_AT_MOST)

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        backends = self._backends
        return [
            name
            for name in backends.storage.list_directories(backends.layout.root)
            if backends.layout.is_model_directory(name)
            and backends.journal.claimed(name).ascending
        ]

    def standing(self, name: str) -> Standing:
        """Where all versions of a model stand.

        Raises:
            ModelNotFoundError: If no number of it was ever taken.
        """
        journal = self._backends.journal
        claimed = journal.claimed(name)
        if not claimed.ascending:
            raise ModelNotFoundError(
                name, self.models(), f"the registry at {self._backends.place}"
            )
        found = Standing(
            name,
            claimed.ascending,
            journal.sealed(name).members,
            journal.quarantined(name).members,
            journal.lifecycle(name),
        )
        kept = self._standings.get(name)
        if kept is not None and _is_same(kept, found):
            return kept
        self._standings.put(name, found)
        return found

    def claim(self, name: str, version: ModelVersion | str) -> Claim:
        """The claim of an exact version.

        Raises:
            InvalidVersionError: If it is no version.
            ModelNotFoundError: If there is no such model.
            VersionNotFoundError: If its number was never taken.
        """
        parsed = ModelVersion.parse(version)
        claim = self._backends.journal.read_claim(name, parsed)
        if claim is None:
            ready = self.standing(name).ready
            hint = "register_model takes a number first"
            raise VersionNotFoundError(name, str(parsed), ready, hint)
        return claim

    def metadata(
        self, name: str, version: ModelVersion, standing: Standing | None = None
    ) -> ModelMetadata:
        """Everything about one version; the tracking backend is not asked yet.

        Raises:
            VersionNotFoundError: If its number was never taken.
            DamagedArtifactError: If ``{version}_meta.json`` and ``config.json`` differ.
        """
        standing = standing or self.standing(name)
        tracked = TrackedFacts(self._backends, standing, [version])
        return self._told(version, standing, tracked.of)

    def metadata_and_record(
        self, name: str, version: ModelVersion
    ) -> tuple[ModelMetadata, str | None]:
        """Everything about one version, and the digest that was recorded at its save.

        The record is the tracking backend's, ``None`` if it has none.
        """
        standing = self.standing(name)
        facts = TrackedFacts(self._backends, standing, [version])
        state = standing.state(version)
        stored = self._stored(version, standing, state)
        metadata = _put_together(stored, state, standing.lifecycle, facts.of)
        if stored.run_id is None:
            return metadata, None
        # The run that the seal names is believed only if it says itself that it is
        # this version's: who can write here could name any.
        tracking, text = self._backends.tracking, str(metadata.version)
        recorded = tracking.recorded_digest(name, text, run_id=stored.run_id)
        if recorded is None:  # its run may be in another experiment
            number = stored.backend_version
            tracked = tracking.get_version(name, text, backend_version=number)
            recorded = None if tracked is None else tracked.digest
        return metadata, recorded

    def all_metadata(
        self, name: str, versions: Iterable[ModelVersion], standing: Standing
    ) -> list[ModelMetadata]:
        """Everything about some versions; the tracking backend is not asked yet.

        One whose files are damaged is told as ``quarantined``, from its claim, so that
        it does not hide the others; one of which even the claim is damaged is left out,
        with a warning in the log.
        """
        wanted = list(versions)
        tracked = TrackedFacts(self._backends, standing, wanted)
        found = []
        for version in wanted:
            try:
                found.append(self._told(version, standing, tracked.of))
            except DamagedArtifactError as err:
                _LOG.warning("told as quarantined: %s", err)
                found += self._doubted(version, standing, tracked.of)
        return found

    def _stored(
        self, version: ModelVersion, standing: Standing, state: VersionState
    ) -> StoredVersion:
        stored = self._versions.find(standing.name, version, state == "ready")
        if stored is None:
            raise VersionNotFoundError(standing.name, str(version), standing.ready)
        return stored

    def _told(
        self, version: ModelVersion, standing: Standing, tracked: _Tracked
    ) -> ModelMetadata:
        state = standing.state(version)
        stored = self._stored(version, standing, state)
        return _put_together(stored, state, standing.lifecycle, tracked)

    def _doubted(
        self, version: ModelVersion, standing: Standing, tracked: _Tracked
    ) -> list[ModelMetadata]:
        """A damaged version as its claim has it; none where that is damaged too."""
        name, seal = standing.name, None
        try:
            claim = self.claim(name, version)
        except DamagedArtifactError as err:
            _LOG.warning("set aside: %s", err)
            return []
        with suppress(DamagedArtifactError):
            seal = self._backends.journal.read_seal(name, version)
        stored = StoredVersion.of(claim.core, claim.lineage, claim.mutable, seal)
        return [_put_together(stored, "quarantined", standing.lifecycle, tracked)]

    def lineage(self, claim: Claim, sealed: bool) -> Lineage:
        """What went into a version: as sealed, else as registered.

        Raises:
            DamagedArtifactError: If the sealed record can't be read.
        """
        return self._versions.lineage(claim, sealed)

    def core(self, claim: Claim) -> Core:
        """The immutable core of a saved version, from its ``config.json``.

        Raises:
            DamagedArtifactError: If it can't be read, or ``{version}_meta.json``
                tells another story.
        """
        return self._versions.core(claim)

    def assemble(
        self, claim: Claim, seal: Seal, tracked: TrackedVersion, standing: Standing
    ) -> ModelMetadata:
        """Everything about a version that was saved right now."""
        core, lineage = self.core(claim), self.lineage(claim, sealed=True)
        stored = StoredVersion.of(core, lineage, mutable_of(tracked), seal)
        state = standing.state(core.version)
        return _put_together(
            stored, state, standing.lifecycle, lambda _: facts_of(tracked)
        )


def _is_same(one: Standing, other: Standing) -> bool:
    return (
        one.claimed is other.claimed
        and one.sealed is other.sealed
        and one.quarantined is other.quarantined
        and one.lifecycle is other.lifecycle
    )


def _put_together(
    stored: StoredVersion, state: VersionState, lifecycle: Lifecycle, tracked: _Tracked
) -> ModelMetadata:
    version = stored.plain["version"]
    plain = {
        **stored.plain,
        "state": state,
        "stage": lifecycle.stages.get(version),
        "aliases": lifecycle.aliases_of(version),
    }
    if stored.run_id is None:
        tracked = StoredVersion.mutable
    kind = StoredVersion
    return ModelMetadata.of(
        plain, Deferred(stored, kind.deferred, tracked, kind.mutable)
    )
