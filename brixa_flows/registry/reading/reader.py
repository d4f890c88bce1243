"""Puts together what is known about versions, each fact from its authority.

Existence, bytes and stages come from storage; the core of a saved version from its
``config.json``; what may change (metrics, description, tags, custom, owner) from the
tracking backend once the version is saved, else from ``{version}_meta.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    ModelNotFoundError,
    ModelNotSavedError,
    VersionNotFoundError,
)
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.damage import warn_once
from brixa_flows.registry.facts.metadata import (
    DatasetRef,
    Deferred,
    Lineage,
    ModelMetadata,
    VersionState,
)
from brixa_flows.registry.facts.records import Claim, Core, Seal
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.registry.facts.standing import Standing
from brixa_flows.registry.journal.listings import SYMBOLIC_LINK
from brixa_flows.registry.journal.sealed import LINEAGE_NAME
from brixa_flows.registry.journal.stored import StoredVersion, StoredVersions
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.tracked_facts import (
    TrackedFacts,
    facts_of,
    mutable_of,
)
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.tracking import TrackedVersion, tags
from brixa_flows.versioning import ModelVersion

__all__ = ["LINEAGE_NAME", "Reader", "Standing"]

_STANDINGS_AT_MOST = 10_000

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
        """Names of all models, sorted; those that can't be read, too."""
        layout, listings = self._backends.layout, self._backends.journal.listings
        found = set(listings.folders(layout.root))
        found |= {
            k for k, v in listings.others(layout.root).items() if v == SYMBOLIC_LINK
        }
        return [
            name
            for name in sorted(found)
            if layout.is_model_directory(name) and self._has_versions(name)
        ]

    def _has_versions(self, name: str) -> bool:
        journal = self._backends.journal
        try:
            return bool(journal.claimed(name).ascending or journal.lost_claims(name))
        except DamagedArtifactError:
            return True

    def standings(self) -> Iterator[Standing]:
        """Of all models; one that can't be read is passed over, with a warning."""
        for name in self.models():
            try:
                yield self.standing(name)
            except DamagedArtifactError as err:
                warn_once(self._backends.storage.uri, f"set aside: {err}")

    def standing(self, name: str, *, thorough: bool = False) -> Standing:
        """Where all versions of a model stand.

        Args:
            name: Model.
            thorough: Tell of numbers, too, whose claim is lost and that have no seal,
                which costs time in proportion to the number of versions.

        Raises:
            ModelNotFoundError: If no number of it was ever taken.
            DamagedArtifactError: If a folder of it can't be listed, so that nobody
                knows.
        """
        journal = self._backends.journal
        claimed = journal.claimed(name).ascending
        lost = journal.lost_claims(name) if thorough or not claimed else []
        if lost:
            claimed = tuple(sorted((*claimed, *lost)))
        if not claimed:
            raise ModelNotFoundError(
                name, self.models(), f"the registry at {self._backends.place}"
            )
        found = Standing(
            name,
            claimed,
            journal.sealed(name).members,
            journal.quarantined(name).members,
            journal.lifecycle(name),
            partial(self._damage, name),
            partial(self._is_published, name),
            partial(journal.why_quarantined, name),
        )
        kept = self._standings.get(name)
        if kept is not None and _is_same(kept, found):
            return kept
        if lost:
            return found
        self._standings.put(name, found)
        return found

    def nothing_of(self, name: str) -> Standing:
        """Where a model stands of which storage has nothing."""
        nothing: frozenset[ModelVersion] = frozenset()
        lifecycle = self._backends.journal.lifecycle(name)
        return Standing(name, (), nothing, nothing, lifecycle)

    def _is_published(self, name: str, version: ModelVersion) -> bool:
        prefix = self._backends.layout.version_prefix(name, version)
        return self._backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None

    def _damage(
        self, name: str, version: ModelVersion, ready: bool
    ) -> DamagedArtifactError | None:
        damage = self._versions.look(name, version, ready).damage
        if damage is not None:
            warn_once(self._backends.storage.uri, f"quarantined: {damage}")
        return damage

    def claim(self, name: str, version: ModelVersion | str) -> Claim:
        """The claim of an exact version.

        Raises:
            InvalidVersionError: If it is no version.
            ModelNotFoundError: If there is no such model.
            VersionNotFoundError: If its number was never taken.
            DamagedArtifactError: If its claim can't be read.
        """
        parsed = ModelVersion.parse(version)
        claim = self._backends.journal.read_claim(name, parsed)
        if claim is not None:
            return claim
        standing = self.standing(name, thorough=True)
        if standing.has(parsed):
            return self._backends.journal.must_read_claim(name, parsed)
        hint = "register_model takes a number first"
        raise VersionNotFoundError(name, str(parsed), standing.ready, hint)

    def metadata(
        self, name: str, version: ModelVersion, standing: Standing | None = None
    ) -> ModelMetadata:
        """Everything about one version; the tracking backend is not asked yet.

        Of a damaged one what can still be read; ``problem`` says what can't.

        Raises:
            VersionNotFoundError: If its number was never taken.
        """
        standing = standing or self.standing(name)
        if not standing.has(version):
            standing = self.standing(name, thorough=True)
        if not standing.has(version):
            raise VersionNotFoundError(name, str(version), standing.ready)
        tracked = TrackedFacts(self._backends, standing, [version])
        return self._told(version, standing, tracked.of)

    def metadata_and_record(
        self, name: str, version: ModelVersion
    ) -> tuple[ModelMetadata, str | None]:
        """Everything about one version, and the digest that was recorded at its save.

        The record is the tracking backend's, ``None`` if it has none.

        Raises:
            DamagedArtifactError: If something of the version is damaged.
        """
        standing = self.standing(name)
        damage = standing.damage(version)
        if damage is not None:
            raise damage
        if standing.lifecycle.is_patchy:
            self._refuse_buried(standing, version)
        metadata = self.metadata(name, version, standing)
        stored = self._versions.look(name, version, standing.is_ready(version)).stored
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

    def _refuse_buried(self, standing: Standing, version: ModelVersion) -> None:
        """Where the record of a deletion may be lost, the backend's mark of it counts."""
        name, text = standing.name, str(version)
        tracked = self._backends.tracking.get_version(name, text)
        if tracked is not None and tracked.facts.get(tags.STATE) == "deleted":
            hint = f"MLflow shows {version} as deleted, and a record is lost that may say so"
            raise VersionNotFoundError(name, text, standing.ready, hint)

    def all_metadata(
        self, name: str, versions: Iterable[ModelVersion], standing: Standing
    ) -> list[ModelMetadata]:
        """Everything about some versions; the tracking backend is not asked yet.

        A damaged one is told as ``quarantined``, with the ``problem`` and what can
        still be read of it, so that it does not hide the others.
        """
        wanted = list(versions)
        tracked = TrackedFacts(self._backends, standing, wanted)
        return [self._told(version, standing, tracked.of) for version in wanted]

    def _told(
        self, version: ModelVersion, standing: Standing, tracked: _Tracked
    ) -> ModelMetadata:
        state = standing.listed_state(version)
        look = self._versions.look(standing.name, version, state == "ready")
        problem = ""
        if state == "quarantined":
            problem = standing.why_quarantined(version)
        elif state == "deleted":
            problem = standing.lifecycle.why_deleted(version)
        elif look.damage is not None:
            state, problem = "quarantined", str(look.damage)
        elif state == "registered" and self._lost_its_seal(standing, version):
            problem = str(ModelNotSavedError(standing.name, version, published=True))
        elif state == "ready" and standing.lifecycle.lost:
            problem = (
                f"a record of {standing.name} is lost that may say that {version} was "
                "deleted; it loads unless MLflow shows it as deleted (brixa doctor)"
            )
        return _put_together(look.stored, state, standing.lifecycle, tracked, problem)

    def _lost_its_seal(self, standing: Standing, version: ModelVersion) -> bool:
        """Whether files are there that nobody saves and no seal declares final."""
        if not standing.published(version):
            return False
        return self._backends.leases.alive(standing.name, version) is None

    def lineage(self, claim: Claim, sealed: bool) -> Lineage:
        """What went into a version: as sealed, else as registered.

        Raises:
            DamagedArtifactError: If the sealed record can't be read.
        """
        return self._versions.files.lineage(claim) if sealed else claim.lineage

    def judged_on(self, name: str, version: ModelVersion) -> tuple[DatasetRef, ...]:
        """Data that logged metrics of a version are of, as far as it can be read."""
        try:
            file = self._backends.journal.read_metadata(name, version)
        except DamagedArtifactError:
            return ()
        return () if file is None else file.mutable.judged_on

    def core(self, claim: Claim) -> Core:
        """The immutable core of a saved version, from its ``config.json``.

        Raises:
            DamagedArtifactError: If it can't be read, or ``{version}_meta.json``
                tells another story.
        """
        return self._versions.files.core(claim)

    def assemble(
        self, claim: Claim, seal: Seal, tracked: TrackedVersion, standing: Standing
    ) -> ModelMetadata:
        """Everything about a version that was saved right now."""
        core, lineage = self.core(claim), self.lineage(claim, sealed=True)
        stored = StoredVersion.of(core, lineage, mutable_of(tracked), seal)
        state = standing.listed_state(core.version)
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
    stored: StoredVersion,
    state: VersionState,
    lifecycle: Lifecycle,
    tracked: _Tracked,
    problem: str = "",
) -> ModelMetadata:
    version = stored.plain["version"]
    plain = {
        **stored.plain,
        "state": state,
        "problem": problem,
        "stage": lifecycle.stage_of(version),
        "aliases": lifecycle.aliases_of(version),
    }
    if stored.run_id is None:
        tracked = StoredVersion.mutable
    kind = StoredVersion
    return ModelMetadata.of(
        plain, Deferred(stored, kind.deferred, tracked, kind.mutable, stored.doubt)
    )
