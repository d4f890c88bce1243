"""Puts together what is known about versions, each fact from its authority.

Existence, bytes and stages come from storage; the core of a saved version from its
``config.json``; what may change (metrics, description, tags, custom, owner) from the
tracking backend once the version is saved, else from ``{version}_meta.json``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from brixa_flows.errors import (
    DamagedArtifactError,
    ModelNotFoundError,
    ObjectNotFoundError,
    VersionNotFoundError,
)
from brixa_flows.registry.backends import Backends
from brixa_flows.registry.metadata import Lineage, ModelMetadata, VersionState
from brixa_flows.registry.records import (
    Claim,
    Core,
    Mutable,
    Seal,
    first_problem,
)
from brixa_flows.registry.stages import Lifecycle
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.tracking import TrackedVersion
from brixa_flows.versioning import ModelVersion

__all__ = ["LINEAGE_NAME", "Reader", "Standing"]

LINEAGE_NAME = "lineage.json"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """Where all versions of a model stand, from listings alone.

    Attributes:
        name: Name of the model.
        claimed: Every number ever taken, ascending.
        sealed: Those whose bytes are final.
        quarantined: Those whose bytes are not believed.
        lifecycle: Stages, aliases and tombstones.
    """

    name: str
    claimed: tuple[ModelVersion, ...]
    sealed: frozenset[ModelVersion]
    quarantined: frozenset[ModelVersion]
    lifecycle: Lifecycle

    def state(self, version: ModelVersion) -> VersionState:
        """State of a claimed version."""
        if version in self.lifecycle.deleted:
            return "deleted"
        if version in self.quarantined:
            return "quarantined"
        return "ready" if version in self.sealed else "registered"

    @property
    def ready(self) -> tuple[ModelVersion, ...]:
        """Versions that may be loaded, ascending."""
        return tuple(each for each in self.claimed if self.state(each) == "ready")


class Reader:
    """Answers questions on versions.

    Args:
        backends: The places.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        backends = self._backends
        return [
            name
            for name in backends.storage.list_directories(backends.layout.root)
            if backends.layout.is_model_directory(name)
            and backends.journal.claimed(name)
        ]

    def standing(self, name: str) -> Standing:
        """Where all versions of a model stand.

        Raises:
            ModelNotFoundError: If no number of it was ever taken.
        """
        journal = self._backends.journal
        claimed = tuple(journal.claimed(name))
        if not claimed:
            raise ModelNotFoundError(
                name, self.models(), f"the registry at {self._backends.place}"
            )
        return Standing(
            name,
            claimed,
            frozenset(journal.sealed(name)),
            frozenset(journal.quarantined(name)),
            journal.lifecycle(name),
        )

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
            raise VersionNotFoundError(name, str(parsed), self.standing(name).ready)
        return claim

    def metadata(
        self, name: str, version: ModelVersion, standing: Standing | None = None
    ) -> ModelMetadata:
        """Everything about one version.

        Raises:
            VersionNotFoundError: If its number was never taken.
            DamagedArtifactError: If ``{version}_meta.json`` and ``config.json`` differ.
        """
        return self.metadata_and_record(name, version, standing)[0]

    def metadata_and_record(
        self, name: str, version: ModelVersion, standing: Standing | None = None
    ) -> tuple[ModelMetadata, str | None]:
        """Everything about one version, and the digest that was recorded at its save.

        The record is the tracking backend's, ``None`` if it has none.
        """
        standing = standing or self.standing(name)
        claim = self.claim(name, version)
        seal = self._backends.journal.read_seal(name, version)
        if seal is None:
            return self.assemble(claim, None, None, standing), None
        tracking, text = self._backends.tracking, str(claim.core.version)
        tracked = tracking.get_version(name, text, backend_version=seal.backend_version)
        recorded = tracked.digest if tracked is not None else None
        if recorded is None:  # not shown there, but its run may still be
            recorded = tracking.recorded_digest(name, text)
        return self.assemble(claim, seal, tracked, standing), recorded

    def all_metadata(
        self, name: str, versions: Iterable[ModelVersion], standing: Standing
    ) -> list[ModelMetadata]:
        """Everything about some versions, with few calls to the tracking backend.

        One whose files are damaged is told as ``quarantined``, from its claim, so that
        it does not hide the others; one of which even the claim is damaged is left out,
        with a warning in the log.
        """
        wanted = list(versions)
        tracked: dict[str, TrackedVersion] = {}
        if any(each in standing.sealed for each in wanted):
            listed = self._backends.tracking.list_versions(name)
            tracked = {each.version.partition("+")[0]: each for each in listed}
            ready = [each for each in wanted if standing.state(each) == "ready"]
            if lost := [each for each in ready if each.core not in tracked]:
                _LOG.warning(self._backends.lost(name, lost))
        found = []
        for version in wanted:
            try:
                claim = self.claim(name, version)
            except DamagedArtifactError as err:
                _LOG.warning("set aside: %s", err)
                continue
            found.append(self._told(claim, tracked.get(version.core), standing))
        return found

    def _told(
        self, claim: Claim, tracked: TrackedVersion | None, standing: Standing
    ) -> ModelMetadata:
        version, seal = claim.core.version, None
        try:
            seal = self._backends.journal.read_seal(standing.name, version)
            return self.assemble(claim, seal, tracked, standing)
        except DamagedArtifactError as err:
            _LOG.warning("told as quarantined: %s", err)
        doubted = replace(standing, quarantined=standing.quarantined | {version})
        return self._put_together(
            claim,
            claim.core,
            claim.mutable if tracked is None else mutable_of(tracked),
            claim.lineage,
            seal,
            doubted,
            tracked.run_id if tracked else None,
        )

    def lineage(self, claim: Claim, sealed: bool) -> Lineage:
        """What went into a version: as sealed, else as registered.

        Raises:
            DamagedArtifactError: If the sealed record can't be read.
        """
        if not sealed:
            return claim.lineage
        content = self._sealed_json(claim, LINEAGE_NAME)
        try:
            return claim.lineage if content is None else Lineage.model_validate(content)
        except ValidationError as err:
            label = f"{claim.core.name} {claim.core.version}"
            reason = f"is no lineage record: {first_problem(err)}"
            raise DamagedArtifactError(label, LINEAGE_NAME, reason) from err

    def core(self, claim: Claim) -> Core:
        """The immutable core of a saved version, from its ``config.json``.

        Raises:
            DamagedArtifactError: If it can't be read, or ``{version}_meta.json``
                tells another story.
        """
        name, version = claim.core.name, claim.core.version
        label = f"{name} {version}"
        content = self._sealed_json(claim, MANIFEST_NAME)
        if content is None:
            raise DamagedArtifactError(label, MANIFEST_NAME, "is missing")
        try:
            core = Core.model_validate(content["core"])
        except (KeyError, TypeError, ValidationError) as err:
            reason = f"holds no core metadata: {first_problem(err)}"
            raise DamagedArtifactError(label, MANIFEST_NAME, reason) from err
        repeated = self._backends.journal.read_metadata(name, version)
        if repeated is not None and repeated.core != core:
            raise self._contradiction(name, version)
        return core

    def _contradiction(self, name: str, version: ModelVersion) -> DamagedArtifactError:
        """Which of the two places that keep the core is not what it was."""
        label, backends = f"{name} {version}", self._backends
        key = f"{backends.layout.version_prefix(name, version)}/{MANIFEST_NAME}"
        digest = hashlib.sha256(backends.storage.read(key)[0]).hexdigest()
        seal = backends.journal.read_seal(name, version)
        if seal is not None and seal.digest != f"sha256:{digest}":
            reason = "is not what was saved (sha256)"
            return DamagedArtifactError(label, MANIFEST_NAME, reason)
        file = backends.layout.metadata_key(name, version)
        reason = f"differs from {MANIFEST_NAME} in what never changes"
        return DamagedArtifactError(label, file, reason)

    def assemble(
        self,
        claim: Claim,
        seal: Seal | None,
        tracked: TrackedVersion | None,
        standing: Standing,
    ) -> ModelMetadata:
        """Everything about a version, from what each authority says of it.

        Raises:
            DamagedArtifactError: If ``{version}_meta.json`` and ``config.json`` differ.
        """
        state = standing.state(claim.core.version)
        readable = state == "ready" and seal is not None
        return self._put_together(
            claim,
            self.core(claim) if readable else claim.core,
            self._mutable(claim, tracked),
            self.lineage(claim, readable),
            seal,
            standing,
            tracked.run_id if tracked else None,
        )

    @staticmethod
    def _put_together(
        claim: Claim,
        core: Core,
        mutable: Mutable,
        lineage: Lineage,
        seal: Seal | None,
        standing: Standing,
        run_id: str | None,
    ) -> ModelMetadata:
        version = claim.core.version
        facts = core.model_dump(exclude={"schema_bump"})
        facts |= mutable.model_dump(exclude={"judged_on"})
        return ModelMetadata(
            **facts,
            state=standing.state(version),
            stage=standing.lifecycle.stages.get(version),
            aliases=standing.lifecycle.aliases_of(version),
            lineage=lineage,
            run_id=run_id,
            digest=seal.digest if seal else None,
            size_bytes=seal.size_bytes if seal else None,
            has_reference=seal.has_reference if seal else False,
            saved_at=seal.saved_at if seal else None,
        )

    def _mutable(self, claim: Claim, tracked: TrackedVersion | None) -> Mutable:
        if tracked is not None:
            return mutable_of(tracked)
        file = self._backends.journal.read_metadata(claim.core.name, claim.core.version)
        return claim.mutable if file is None else file.mutable

    def _sealed_json(self, claim: Claim, file: str) -> Any:
        name, version = claim.core.name, claim.core.version
        key = f"{self._backends.layout.version_prefix(name, version)}/{file}"
        try:
            return json.loads(self._backends.storage.read(key)[0])
        except ObjectNotFoundError:
            return None
        except ValueError as err:
            raise DamagedArtifactError(
                f"{name} {version}", file, "is not JSON"
            ) from err


def mutable_of(tracked: TrackedVersion) -> Mutable:
    """What may change, as the tracking backend has it."""
    return Mutable(
        description=tracked.description,
        tags=tracked.tags,
        custom=tracked.custom,
        owner=tracked.owner,
        metrics=tracked.metrics,
    )
