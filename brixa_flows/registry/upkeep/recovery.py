"""Finishes or rolls back what a crash interrupted. Idempotent.

Before the files of a version were published nothing of them counts: what is left is
discarded and the number waits for another save. After that they are completed, if the
tracking backend recorded the same digest before; otherwise they are quarantined,
because nobody can say that they were saved here. A backend that lost versions says
nothing about the others: then they wait until it is rebuilt.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator
from functools import cached_property

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    SerializationError,
    StorageError,
    TrackingError,
    TrackingUnavailableError,
    VersionExistsError,
)
from brixa_flows.registry.facts.metadata import VersionState
from brixa_flows.registry.facts.records import (
    Claim,
    Core,
    MetadataFile,
    Quarantine,
    new_id,
    now,
)
from brixa_flows.registry.facts.repairs import Action, RecoveryAction
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.upkeep.obstacles import in_the_way, told
from brixa_flows.registry.upkeep.vanished_models import VanishedModels
from brixa_flows.registry.writing.index import rebuild_index, update_index
from brixa_flows.registry.writing.mirroring import (
    file_anew,
    follow,
    kept_of,
    listed,
    lost_of,
)
from brixa_flows.registry.writing.projecting import project
from brixa_flows.registry.writing.recording import (
    record_run,
    seal_version,
    show_version,
)
from brixa_flows.serializers.manifest import (
    MANIFEST_NAME,
    ArtifactManifest,
    read_manifest,
    verify_manifest,
)
from brixa_flows.tracking import TrackedVersion
from brixa_flows.versioning import ModelVersion

__all__ = ["Recovery"]

_LOG = logging.getLogger(__name__)


class Recovery:
    """Repairs a registry after crashes.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def run(self) -> list[RecoveryAction]:
        """Repair everything; a second run finds nothing to do.

        Saves that are still under way are left alone. Records that can't be read are
        told of each time (``set aside``) until somebody restores or removes them; they
        keep nothing else from its repair.

        Raises:
            TrackingUnavailableError: If the tracking backend is needed and away.
        """
        actions: list[RecoveryAction] = []
        for name in self._reader.models():
            try:
                actions.extend(self._model(name))
            except DamagedArtifactError as err:
                actions.append(_set_aside(name, err))
            except StorageError as err:
                actions.append(_left(name, err))
        actions.extend(self._discard_staging())
        key = self._backends.layout.index_key
        try:
            gone = VanishedModels(self._backends, self._reader)
            kept, sentences = gone.kept(), gone.told(is_away=False)
            actions.extend(_left(name, sentences[name]) for name in kept)
            if rebuild_index(self._backends, self._reader, kept):
                actions.append(RecoveryAction(name=key, action="index rebuilt"))
        except StorageError as err:  # nothing depends on it
            actions.append(_left(key, err))
        return actions

    @cached_property
    def _forgetful(self) -> str:
        """The sentence about versions that the backend lost, if it lost any."""
        for standing in self._reader.standings():
            lost = lost_of(standing, listed(self._backends, standing))
            if lost:
                return self._backends.lost(standing.name, lost)
        return ""

    def _model(self, name: str) -> Iterator[RecoveryAction]:
        """Repair one model; what is damaged is told of and hides nothing else."""
        standing = self._reader.standing(name, thorough=True)
        there = listed(self._backends, standing)
        obstacles = in_the_way(self._backends, standing)
        known = {change.key for change in standing.lifecycle.lost}
        for version in standing.claimed:
            try:
                yield from self._version(standing, version, there.get(version.core))
            except DamagedArtifactError as err:
                known.add(str(err.facts["file"]))
                if standing.listed_state(version) != "deleted":
                    yield _set_aside(name, err, version)
        for change in standing.lifecycle.lost:
            yield _set_aside(name, change.reason)
        for key in sorted(obstacles.keys() - known):
            yield _set_aside(name, told(key, obstacles[key]))
        for damaged in self._backends.journal.damaged_records(name):
            yield _set_aside(name, damaged)
        lost = lost_of(standing, there)
        if lost:
            yield _left(name, self._backends.lost(name, lost))
        yield from self._stages(name, bool(lost), obstacles)

    def _stages(
        self, name: str, is_told: bool, obstacles: Container[str]
    ) -> Iterator[RecoveryAction]:
        """Show the stages; that the backend lost versions may be told already."""
        marker = self._backends.layout.projected_key(name)
        try:
            # Without its marker nobody knows whether they were shown before.
            if project(self._backends, self._reader, name) and marker not in obstacles:
                yield RecoveryAction(name=name, action="stages shown")
        except TrackingUnavailableError:
            raise
        except TrackingError as err:
            if not is_told:
                yield _left(name, err)
        except DamagedArtifactError as err:
            yield _set_aside(name, err)

    def _discard_staging(self) -> Iterator[RecoveryAction]:
        """Free the room of half-written files, where the storage node can tell."""
        storage = self._backends.storage
        discard = getattr(storage, "discard_abandoned", None)
        count = 0 if discard is None else discard()
        if count:
            yield RecoveryAction(
                name=storage.uri,
                action="staging removed",
                detail=f"{count} unfinished directories of processes that ended",
            )

    def _version(
        self, standing: Standing, version: ModelVersion, tracked: TrackedVersion | None
    ) -> Iterator[RecoveryAction]:
        name, backends = standing.name, self._backends
        damage, state = standing.damage(version), standing.listed_state(version)
        if damage is not None:
            raise damage
        claim = self._reader.claim(name, version)
        file = backends.journal.read_metadata(name, version)
        if state != "deleted" and file is None:
            seal = backends.journal.read_seal(name, version)
            file = file_anew(backends, claim, seal if state == "ready" else None)
            backends.journal.write_metadata(file)
            yield _action(claim, "metadata written")
        if state == "ready" and file is not None:
            yield from self._followed(claim, file, tracked)
        elif backends.leases.alive(name, version) is None:
            yield from self._unfinished(claim, state)

    def _followed(
        self, claim: Claim, file: MetadataFile, tracked: TrackedVersion | None
    ) -> Iterator[RecoveryAction]:
        """Bring storage to what somebody changed in the backend by hand."""
        core, backends = claim.core, self._backends
        seal = backends.journal.read_seal(core.name, core.version)  # or it is damaged
        old = file.mutable
        if seal is None or tracked is None or kept_of(tracked, old.judged_on) == old:
            return
        if follow(backends, claim, seal):
            yield _action(claim, "metadata followed", "it was changed in MLflow")

    def _unfinished(
        self, claim: Claim, state: VersionState
    ) -> Iterator[RecoveryAction]:
        """What a save that ended too early has left."""
        name, version, backends = claim.core.name, claim.core.version, self._backends
        died = backends.leases.drop_dead(name, version)
        prefix = backends.layout.version_prefix(name, version)
        published = backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None
        if state in ("registered", "quarantined") and published:
            yield from self._complete_alone(claim, prefix, state)
        elif died:
            yield _action(claim, "discarded", "the save ended before its files counted")

    def _complete_alone(
        self, claim: Claim, prefix: str, state: VersionState
    ) -> Iterator[RecoveryAction]:
        """Complete a version unless a save or another recovery got to it meanwhile."""
        name, version = claim.core.name, claim.core.version
        try:
            with self._backends.leases.hold(name, version):
                if self._reader.standing(name).listed_state(version) != state:
                    return
                if self._backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is None:
                    return
                yield from self._complete(claim, prefix, state)
        except VersionExistsError as err:
            _LOG.info("left alone: %s", err)

    def _complete(
        self, claim: Claim, prefix: str, state: VersionState
    ) -> Iterator[RecoveryAction]:
        """Roll forward files that were published but not sealed, or were restored."""
        name, version = claim.core.name, claim.core.version
        backends = self._backends
        recorded = backends.tracking.recorded_digest(name, str(version))
        manifest: ArtifactManifest | None = None
        try:
            directory = backends.storage.fetch(prefix)
            manifest = read_manifest(directory)
            verify_manifest(directory, manifest)
            key = backends.layout.manifest_key(name, version)
            core = _core_for(claim, manifest, key)
        except (DamagedArtifactError, SerializationError) as err:
            if state != "quarantined":
                yield self._quarantine(claim, str(err), manifest, recorded)
            return
        if state == "quarantined" and recorded != manifest.digest:
            return
        if recorded is None and self._forgetful:
            yield _left(name, self._forgetful, version)
            return
        if recorded != manifest.digest:
            reason = "its digest is not the one that was recorded when it was saved"
            if recorded is None:
                reason = "the tracking backend recorded no digest when it was saved"
            yield self._quarantine(claim, reason, manifest, recorded)
            return
        file = backends.journal.change_metadata(
            claim,
            lambda old: MetadataFile(core=core, mutable=old.mutable),
            lambda: file_anew(backends, claim, None),
        )
        run_id = record_run(backends, claim, core, manifest.digest, file.mutable)
        tracked = show_version(backends, core, file.mutable, claim.lineage, run_id)
        seal_version(backends, claim, manifest, tracked)
        if state == "quarantined":
            backends.journal.end_quarantine(name, version)
        update_index(backends, self._reader, name)
        yield _action(claim, "completed")

    def _quarantine(
        self,
        claim: Claim,
        reason: str,
        manifest: ArtifactManifest | None,
        recorded: str | None,
    ) -> RecoveryAction:
        record = Quarantine(
            reason=reason,
            digest=manifest.digest if manifest else None,
            recorded_digest=recorded,
            at=now(),
            event_id=new_id(),
        )
        self._backends.journal.quarantine(claim.core.name, claim.core.version, record)
        return _action(claim, "quarantined", reason)


def _core_for(claim: Claim, manifest: ArtifactManifest, key: str) -> Core:
    """The manifest's core, if it belongs to this claim.

    Args:
        claim: Of the version.
        manifest: What is there.
        key: Where it is.

    Raises:
        DamagedArtifactError: If it belongs to another version.
    """
    label = f"{claim.core.name} {claim.core.version}"
    try:
        core = Core.model_validate(manifest.core)
    except (ValueError, BrixaError) as err:
        raise DamagedArtifactError(label, key, "holds no core metadata") from err
    if (core.name, str(core.version)) != (claim.core.name, str(claim.core.version)):
        reason = f"belongs to {core.name} {core.version}"
        raise DamagedArtifactError(label, key, reason)
    return core


def _set_aside(
    name: str, reason: object, version: ModelVersion | None = None
) -> RecoveryAction:
    return RecoveryAction(
        name=name, version=version, action="set aside", detail=str(reason)
    )


def _left(
    name: str, reason: object, version: ModelVersion | None = None
) -> RecoveryAction:
    return RecoveryAction(
        name=name, version=version, action="left as it is", detail=str(reason)
    )


def _action(claim: Claim, action: Action, detail: str = "") -> RecoveryAction:
    core = claim.core
    return RecoveryAction(
        name=core.name, version=core.version, action=action, detail=detail
    )
