"""Makes the state of the tracking backend anew from storage alone.

What storage says is believed for the list, and for nothing that is executed: a digest
is recorded only where a trusted key signed the files, or a person's word for them.
Every step can be repeated: who is killed in between just starts again. A version that
the backend shows is left as it is, because there the backend is the authority.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from brixa_flows.errors import (
    DamagedArtifactError,
    ObjectNotFoundError,
    SerializationError,
    StorageError,
    TrackingError,
    TrackingUnavailableError,
    VersionExistsError,
)
from brixa_flows.registry.facts.records import Claim, Seal
from brixa_flows.registry.facts.repairs import RecoveryAction
from brixa_flows.registry.journal.vouching import vouchers_for
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.opening import other_digest
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.upkeep.retagged import retagged, without_run
from brixa_flows.registry.writing.mirroring import (
    file_anew,
    listed,
    not_deleted_here,
)
from brixa_flows.registry.writing.projecting import project
from brixa_flows.registry.writing.recording import record_run, show_version
from brixa_flows.serializers.manifest import (
    ArtifactManifest,
    parse_manifest,
)
from brixa_flows.tracking import tags
from brixa_flows.versioning import ModelVersion

__all__ = ["Rebuilder"]

_LOG = logging.getLogger(__name__)
_Sealed = tuple[Claim, Seal]


class Rebuilder:
    """Shows the tracking backend what it does not have.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def run(self) -> list[RecoveryAction]:
        """Make everything anew that the backend lacks; see the registry."""
        self._backends.tracking.ping()
        actions: list[RecoveryAction] = []
        for name in self._reader.models():
            try:
                actions.extend(self._model(name))
            except (DamagedArtifactError, StorageError) as err:
                actions.append(_aside(name, err))
        return actions

    def _model(self, name: str) -> Iterator[RecoveryAction]:
        """Show one model; what is damaged is told of and hides nothing else."""
        standing = self._reader.standing(name)
        before = self._aliases(name)
        missing, damaged = self._missing(standing)
        yield from damaged
        for claim, seal in missing:
            try:
                yield from self._version(standing, claim, seal)
            except (DamagedArtifactError, SerializationError) as err:
                yield _aside(name, err, claim.core.version)
        yield from self._undeleted(standing)
        yield from self._retagged(standing)
        try:
            if project(self._backends, self._reader, name, anew=True):
                detail = _moved(before, self._aliases(name))
                yield RecoveryAction(name=name, action="stages shown", detail=detail)
        except TrackingUnavailableError:
            raise
        except (DamagedArtifactError, TrackingError) as err:
            yield _aside(name, err)

    def _undeleted(self, standing: Standing) -> Iterator[RecoveryAction]:
        """Set back the tag of versions that were not deleted here.

        Where a record is lost, the tag may be all that tells of a deletion: it stays.
        """
        name, backends = standing.name, self._backends
        there = listed(backends, standing)
        lifecycle = backends.journal.lifecycle(name)  # never behind what is shown there
        if lifecycle.is_patchy:
            return
        for version in not_deleted_here(lifecycle, standing.claimed, there):
            backends.tracking.update_version(
                there[version.core], facts={tags.STATE: standing.state(version)}
            )
            detail = f"the tag {tags.STATE} said that it was deleted"
            yield RecoveryAction(
                name=name, version=version, action="rebuilt", detail=detail
            )

    def _retagged(self, standing: Standing) -> Iterator[RecoveryAction]:
        """Set back tags of ours that somebody changed."""
        there = listed(self._backends, standing)
        for each in list(retagged(self._reader, standing, there)):
            facts = dict(each.ours)
            stage = facts.pop(tags.STAGE, each.tracked.stage) or ""
            self._backends.tracking.update_version(
                each.tracked,
                stage=stage if tags.STAGE in each.ours else None,
                facts=facts,
                run_facts=each.ours_on_run,
            )
            yield RecoveryAction(
                name=standing.name,
                version=each.version,
                action="rebuilt",
                detail=f"set back: {each}",
            )

    def _aliases(self, name: str) -> dict[str, str]:
        """Where aliases are, also those on versions of MLflow's own."""
        tracking = self._backends.tracking
        foreign = tracking.foreign_aliases(name).items()
        others = {
            alias: f"version {number} of MLflow's own" for alias, number in foreign
        }
        return tracking.aliases(name) | others

    def _missing(
        self, standing: Standing
    ) -> tuple[list[_Sealed], list[RecoveryAction]]:
        """Ready versions that the backend lacks, or their runs, in order of saves."""
        there = listed(self._backends, standing)
        alone = without_run(standing, there)
        found: list[_Sealed] = []
        damaged = []
        for version in standing.listed_ready:
            if version.core in there and version not in alone:
                continue
            try:
                damage = standing.damage(version)
                if damage is not None:
                    raise damage
                seal = self._backends.journal.read_seal(standing.name, version)
                if seal is not None:
                    found.append((self._reader.claim(standing.name, version), seal))
            except DamagedArtifactError as err:
                damaged.append(_aside(standing.name, err, version))
        return sorted(found, key=lambda each: each[1].saved_at), damaged

    def _version(
        self, standing: Standing, claim: Claim, seal: Seal
    ) -> Iterator[RecoveryAction]:
        """Show a version, unless another process is about to."""
        name, version = claim.core.name, claim.core.version
        try:
            with self._backends.leases.hold(name, version):
                tracking = self._backends.tracking
                tracked = tracking.get_version(name, str(version))
                if tracked is not None and tracked.run_facts is not None:
                    return
                if tracked is not None:  # it names the run that is gone for life
                    tracking.remove_version(tracked)
                yield self._shown_anew(standing, claim, seal)
        except VersionExistsError as err:
            _LOG.info("left alone: %s", err)

    def _shown_anew(
        self, standing: Standing, claim: Claim, seal: Seal
    ) -> RecoveryAction:
        backends, name = self._backends, claim.core.name
        manifest = self._manifest(claim, seal)
        core = self._reader.core(claim)
        lineage = self._reader.lineage(claim, sealed=True)
        file = backends.journal.read_metadata(name, core.version)
        mutable = (file or file_anew(backends, claim, seal)).mutable
        signers = self._signers(manifest, name, core.version)
        run_id = record_run(
            backends,
            claim,
            core,
            manifest.digest if signers else None,
            mutable,
            at=seal.shown_at,
            lineage=lineage,
        )
        stage = standing.lifecycle.stage_of(core.version)
        tracked = show_version(backends, core, mutable, lineage, run_id, stage)
        word = "its digest is recorded" if tracked.digest else "nobody vouches for it"
        by = f", {', '.join(signers)} signed for it" if signers else ""
        return RecoveryAction(
            name=name, version=core.version, action="rebuilt", detail=word + by
        )

    def _manifest(self, claim: Claim, seal: Seal) -> ArtifactManifest:
        """The manifest of a version, if it is the one that was sealed.

        Raises:
            DamagedArtifactError: If it is another one.
        """
        core, backends = claim.core, self._backends
        label = f"{core.name} {core.version}"
        key = backends.layout.manifest_key(core.name, core.version)
        try:
            data, _ = backends.storage.read(key)
        except ObjectNotFoundError as err:
            raise DamagedArtifactError(label, key, "is missing") from err
        manifest = parse_manifest(data, label)
        recorded = backends.tracking.recorded_digest(core.name, str(core.version))
        for digest in (seal.digest, recorded):
            if digest not in (None, manifest.digest):
                raise other_digest(label, key, manifest, str(digest))
        return manifest

    def _signers(
        self, manifest: ArtifactManifest, name: str, version: ModelVersion
    ) -> tuple[str, ...]:
        """Trusted keys that signed the files, or a person's word for them."""
        backends = self._backends
        return vouchers_for(
            manifest,
            name,
            version,
            storage=backends.storage,
            layout=backends.layout,
            keys=backends.keys,
            policy="default",  # strict asks no record, so it loses nothing by one
        ).signers


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Which aliases are elsewhere now; a person may have put them there."""
    moved = [
        f"{alias} is on {after.get(alias, 'no version')}, was on "
        f"{before.get(alias, 'no version')}"
        for alias in sorted({*before, *after})
        if before.get(alias) != after.get(alias)
    ]
    return "; ".join(moved)


def _aside(
    name: str, reason: object, version: ModelVersion | None = None
) -> RecoveryAction:
    return RecoveryAction(
        name=name, version=version, action="set aside", detail=str(reason)
    )
