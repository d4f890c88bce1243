"""Opens the files of a version: verified, then trusted, then handed on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    ObjectNotFoundError,
    TrackingUnavailableError,
)
from brixa_flows.registry.facts.metadata import ModelMetadata, Verification
from brixa_flows.registry.facts.records import Core
from brixa_flows.registry.facts.reference import PROFILE_NAME
from brixa_flows.registry.journal.vouching import Vouchers, vouchers_for
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.serializers.manifest import (
    ArtifactManifest,
    read_manifest,
    verify_manifest,
)
from brixa_flows.serializers.trust import check_trust, depends_on_signature
from brixa_flows.versioning import ModelVersion

__all__ = ["CheckedVersion", "OpenedVersion", "Opener", "other_digest"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedVersion:
    """Files of a version that were verified and may be loaded.

    Attributes:
        metadata: What is known about the version.
        directory: Its files, read only.
        manifest: What they are; ``load_model_files(directory, manifest)`` loads them.
    """

    metadata: ModelMetadata
    directory: Path
    manifest: ArtifactManifest


@dataclass(frozen=True)
class CheckedVersion:
    """A version whose files are those that were saved.

    Attributes:
        metadata: What is known about it.
        manifest: What its files are.
        recorded_digest: What the tracking backend recorded, if anything.
    """

    metadata: ModelMetadata
    manifest: ArtifactManifest
    recorded_digest: str | None


class Opener:
    """Opens versions.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def open(
        self, name: str, version: ModelVersion, trust: Literal["code"] | None
    ) -> OpenedVersion:
        """Verify a ready version and apply the trust policy."""
        try:
            metadata, recorded = self._reader.metadata_and_record(name, version)
        except TrackingUnavailableError as err:
            return self._open_signed(name, version, trust, err)
        directory, manifest = self.verified(name, version, metadata.digest)
        policy = self._backends.settings.trust_policy
        vouchers = Vouchers()
        if depends_on_signature(
            manifest, recorded_digest=recorded, policy=policy, trust=trust
        ):
            vouchers = self._vouchers(metadata, manifest)
        check_trust(
            manifest,
            recorded_digest=recorded,
            policy=policy,
            trust=trust,
            signers=vouchers.signers,
            problem=vouchers.problem or ("" if recorded else self._problem(metadata)),
        )
        return OpenedVersion(metadata, directory, manifest)

    def _open_signed(
        self,
        name: str,
        version: ModelVersion,
        trust: Literal["code"] | None,
        away: TrackingUnavailableError,
    ) -> OpenedVersion:
        """Without the recorded digest, the word of a trusted key alone will do."""
        metadata = self._reader.metadata(name, version)
        directory, manifest = self.verified(name, version, metadata.digest)
        signers = self._vouchers(metadata, manifest).signers
        if not signers:
            raise away
        policy = self._backends.settings.trust_policy
        check_trust(
            manifest, recorded_digest=None, policy=policy, trust=trust, signers=signers
        )
        told = "%s; %s %s is loaded, because %s signed for it"
        _LOG.warning(told, away, name, version, ", ".join(signers))
        return OpenedVersion(metadata, directory, manifest)

    def _problem(self, metadata: ModelMetadata) -> str:
        """Why no digest is recorded, as far as that is the backend's fault."""
        strict = self._backends.settings.trust_policy == "strict"
        if strict or metadata.run_id is not None:
            return ""
        return self._backends.lost(metadata.name, [metadata.version])

    def checked(self, name: str, version: ModelVersion) -> CheckedVersion:
        """Check every file, and the digest against the recorded one.

        Raises:
            DamagedArtifactError: If something differs; names the file.
        """
        metadata, recorded = self._reader.metadata_and_record(name, version)
        _, manifest = self.verified(name, version, metadata.digest)
        if recorded is not None and recorded != manifest.digest:
            raise self._other_digest(name, version, manifest, recorded)
        return CheckedVersion(metadata, manifest, recorded)

    def worth(self, checked: CheckedVersion) -> Verification:
        """What the files of a version are worth here, by record and signatures."""
        metadata, manifest = checked.metadata, checked.manifest
        recorded = checked.recorded_digest
        policy = self._backends.settings.trust_policy
        vouchers = self._vouchers(metadata, manifest)
        needed = depends_on_signature(manifest, recorded_digest=recorded, policy=policy)
        return Verification(
            name=metadata.name,
            version=metadata.version,
            digest=manifest.digest,
            recorded=recorded is not None,
            signatures=vouchers.checks,
            signers=vouchers.signers,
            problem=vouchers.problem,
            policy=policy,
            loads=bool(vouchers.signers) or not needed,
        )

    def reference_profile_path(self, name: str, version: ModelVersion) -> Path | None:
        """The drift profile of a ready version, checked, if it has one."""
        seal = self._backends.journal.read_seal(name, version)
        if seal is None or not seal.has_reference:
            return None
        directory, _ = self.verified(name, version, seal.digest)
        return directory / PROFILE_NAME

    def fetched(self, name: str, version: ModelVersion) -> Path:
        """Files of a version as they are, whatever they are.

        Raises:
            DamagedArtifactError: If there are none.
        """
        prefix = self._backends.layout.version_prefix(name, version)
        try:
            return self._backends.storage.fetch(prefix)
        except ObjectNotFoundError as err:
            label = f"{name} {version}"
            raise DamagedArtifactError(label, prefix, "is missing") from err

    def verified(
        self, name: str, version: ModelVersion, digest: str | None
    ) -> tuple[Path, ArtifactManifest]:
        """Files of a version; asks storage alone, so it costs no MLflow.

        Raises:
            DamagedArtifactError: If they are not those that ``digest`` stands for, or
                those of another version.
        """
        directory = self.fetched(name, version)
        manifest = read_manifest(directory)
        self._check_owner(manifest, name, version)
        # First, as a damaged manifest would blame files that are whole.
        if digest is not None and manifest.digest != digest:
            raise self._other_digest(name, version, manifest, digest)
        verify_manifest(directory, manifest)
        return directory, manifest

    def _check_owner(
        self, manifest: ArtifactManifest, name: str, version: ModelVersion
    ) -> None:
        """A directory that was copied from another version is genuine, and not this."""
        label = f"{name} {version}"
        key = self._backends.layout.manifest_key(name, version)
        try:
            core = Core.model_validate(manifest.core)
        except (ValueError, BrixaError) as err:
            raise DamagedArtifactError(label, key, "holds no core metadata") from err
        if (core.name, core.version.core) != (name, version.core):
            reason = f"belongs to {core.name} {core.version}"
            raise DamagedArtifactError(label, key, reason)

    def _other_digest(
        self, name: str, version: ModelVersion, manifest: ArtifactManifest, digest: str
    ) -> DamagedArtifactError:
        key = self._backends.layout.manifest_key(name, version)
        return other_digest(f"{name} {version}", key, manifest, digest)

    def _vouchers(
        self, metadata: ModelMetadata, manifest: ArtifactManifest
    ) -> Vouchers:
        return vouchers_for(
            manifest,
            metadata.name,
            metadata.version,
            storage=self._backends.storage,
            layout=self._backends.layout,
            keys=self._backends.keys,
            policy=self._backends.settings.trust_policy,
        )


def other_digest(
    label: str, key: str, manifest: ArtifactManifest, recorded: str
) -> DamagedArtifactError:
    """The error of a version whose manifest is another one than was saved.

    Args:
        label: The version.
        key: Of its manifest.
        manifest: What is there.
        recorded: The digest of what was saved.
    """
    reason = f"has digest {manifest.digest}, but {recorded} was recorded at save"
    return DamagedArtifactError(label, key, reason)
