"""Finishes or rolls back what a crash interrupted. Idempotent.

Before the files of a version were published nothing of them counts: what is left is
discarded and the number waits for another save. After that they are completed, if the
tracking backend recorded the same digest before; otherwise they are quarantined,
because nobody can say that they were saved here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    SerializationError,
    VersionExistsError,
)
from brixa_flows.registry.backends import Backends
from brixa_flows.registry.index import rebuild_index, update_index
from brixa_flows.registry.projecting import project
from brixa_flows.registry.reading import Reader, Standing
from brixa_flows.registry.records import (
    Claim,
    Core,
    MetadataFile,
    Quarantine,
    new_id,
    now,
)
from brixa_flows.registry.saving import record_run, seal_version, show_version
from brixa_flows.serializers.manifest import (
    MANIFEST_NAME,
    ArtifactManifest,
    read_manifest,
    verify_manifest,
)
from brixa_flows.versioning import ModelVersion

__all__ = ["Recovery", "RecoveryAction"]

_LOG = logging.getLogger(__name__)


class RecoveryAction(BaseModel):
    """One thing that was repaired."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: ModelVersion | None = None
    action: Literal[
        "completed",
        "discarded",
        "quarantined",
        "set aside",
        "metadata written",
        "stages shown",
        "index rebuilt",
    ]
    detail: str = ""

    def __str__(self) -> str:
        subject = f"{self.name} {self.version}" if self.version else self.name
        return f"{subject}: {self.action}" + (
            f" ({self.detail})" if self.detail else ""
        )


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
            actions.extend(self._model(name))
        self._discard_staging()
        if rebuild_index(self._backends, self._reader):
            key = self._backends.layout.index_key
            actions.append(RecoveryAction(name=key, action="index rebuilt"))
        return actions

    def _model(self, name: str) -> Iterator[RecoveryAction]:
        """Repair one model; what is damaged is told of and hides nothing else."""
        standing = self._reader.standing(name)
        for version in standing.claimed:
            try:
                yield from self._version(standing, version)
            except DamagedArtifactError as err:
                yield _set_aside(name, err, version)
        for lost in standing.lifecycle.lost:
            yield _set_aside(name, lost.reason)
        for damaged in self._backends.journal.damaged_records(name):
            yield _set_aside(name, damaged)
        try:
            shown = project(self._backends, self._reader, name)
        except DamagedArtifactError as err:
            yield _set_aside(name, err)
            return
        if shown:
            yield RecoveryAction(name=name, action="stages shown")

    def _discard_staging(self) -> None:
        """Free the room of half-written files, where the storage node can tell."""
        discard = getattr(self._backends.storage, "discard_abandoned", None)
        if discard is not None:
            _LOG.info("removed %d staging directories of dead processes", discard())

    def _version(
        self, standing: Standing, version: ModelVersion
    ) -> Iterator[RecoveryAction]:
        name, backends = standing.name, self._backends
        claim = self._reader.claim(name, version)
        state = standing.state(version)
        if state != "deleted" and backends.journal.read_metadata(name, version) is None:
            core = self._reader.core(claim) if state == "ready" else claim.core
            backends.journal.write_metadata(claim.model_copy(update={"core": core}))
            yield _action(claim, "metadata written")
        if state == "ready":
            backends.journal.read_seal(name, version)  # raises if it is damaged
        if state == "ready" or backends.leases.alive(name, version) is not None:
            return
        died = backends.leases.drop_dead(name, version)
        prefix = backends.layout.version_prefix(name, version)
        published = backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None
        if state == "registered" and published:
            yield from self._complete_alone(claim, prefix)
        elif died:
            yield _action(claim, "discarded", "the save ended before its files counted")

    def _complete_alone(self, claim: Claim, prefix: str) -> Iterator[RecoveryAction]:
        """Complete a version unless a save or another recovery got to it meanwhile."""
        name, version = claim.core.name, claim.core.version
        try:
            with self._backends.leases.hold(name, version):
                if self._reader.standing(name).state(version) != "registered":
                    return
                if self._backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is None:
                    return
                yield self._complete(claim, prefix)
        except VersionExistsError as err:
            _LOG.info("left alone: %s", err)

    def _complete(self, claim: Claim, prefix: str) -> RecoveryAction:
        """Roll forward files that were published but not sealed."""
        name, version = claim.core.name, claim.core.version
        backends = self._backends
        recorded = backends.tracking.recorded_digest(name, str(version))
        manifest: ArtifactManifest | None = None
        try:
            directory = backends.storage.fetch(prefix)
            manifest = read_manifest(directory)
            verify_manifest(directory, manifest)
            core = _core_for(claim, manifest)
        except (DamagedArtifactError, SerializationError) as err:
            return self._quarantine(claim, str(err), manifest, recorded)
        if recorded is None:
            reason = "the tracking backend recorded no digest when it was saved"
            return self._quarantine(claim, reason, manifest, recorded)
        if recorded != manifest.digest:
            reason = "its digest is not the one that was recorded when it was saved"
            return self._quarantine(claim, reason, manifest, recorded)
        file = backends.journal.change_metadata(
            claim, lambda old: MetadataFile(core=core, mutable=old.mutable)
        )
        run_id = record_run(backends, core, manifest, file.mutable, claim.lineage)
        tracked = show_version(backends, core, file.mutable, claim.lineage, run_id)
        seal_version(backends, claim, manifest, tracked)
        update_index(backends, self._reader, name)
        return _action(claim, "completed")

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


def _core_for(claim: Claim, manifest: ArtifactManifest) -> Core:
    """The manifest's core, if it belongs to this claim.

    Raises:
        DamagedArtifactError: If it belongs to another version.
    """
    label = f"{claim.core.name} {claim.core.version}"
    try:
        core = Core.model_validate(manifest.core)
    except (ValueError, BrixaError) as err:
        raise DamagedArtifactError(
            label, MANIFEST_NAME, "holds no core metadata"
        ) from err
    if (core.name, str(core.version)) != (claim.core.name, str(claim.core.version)):
        raise DamagedArtifactError(
            label, MANIFEST_NAME, f"belongs to {core.name} {core.version}"
        )
    return core


def _set_aside(
    name: str, reason: object, version: ModelVersion | None = None
) -> RecoveryAction:
    return RecoveryAction(
        name=name, version=version, action="set aside", detail=str(reason)
    )


def _action(claim: Claim, action: str, detail: str = "") -> RecoveryAction:
    return RecoveryAction.model_validate(
        {
            "name": claim.core.name,
            "version": claim.core.version,
            "action": action,
            "detail": detail,
        }
    )
