"""Opens the files of a version: verified, then trusted, then handed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brixa_flows.errors import DamagedArtifactError, ObjectNotFoundError
from brixa_flows.registry.backends import Backends
from brixa_flows.registry.metadata import ModelMetadata
from brixa_flows.registry.reading import Reader
from brixa_flows.registry.reference import PROFILE_NAME
from brixa_flows.serializers.manifest import (
    MANIFEST_NAME,
    ArtifactManifest,
    read_manifest,
    verify_manifest,
)
from brixa_flows.serializers.trust import check_trust
from brixa_flows.versioning import ModelVersion

__all__ = ["OpenedVersion", "Opener"]


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
        metadata, recorded = self._reader.metadata_and_record(name, version)
        directory, manifest = self._verified(name, version, metadata.digest)
        check_trust(
            manifest,
            recorded_digest=recorded,
            policy=self._backends.settings.trust_policy,
            trust=trust,
        )
        return OpenedVersion(metadata, directory, manifest)

    def verify(self, name: str, version: ModelVersion) -> None:
        """Check every file, and the digest against the recorded one."""
        metadata, recorded = self._reader.metadata_and_record(name, version)
        _, manifest = self._verified(name, version, metadata.digest)
        if recorded is not None and recorded != manifest.digest:
            raise _other_digest(f"{name} {version}", manifest, recorded)

    def reference_profile_path(self, name: str, version: ModelVersion) -> Path | None:
        """The drift profile of a ready version, checked, if it has one."""
        seal = self._backends.journal.read_seal(name, version)
        if seal is None or not seal.has_reference:
            return None
        directory, _ = self._verified(name, version, seal.digest)
        return directory / PROFILE_NAME

    def _verified(
        self, name: str, version: ModelVersion, digest: str | None
    ) -> tuple[Path, ArtifactManifest]:
        """Files of a version; asks storage alone, so it costs no MLflow."""
        label = f"{name} {version}"
        prefix = self._backends.layout.version_prefix(name, version)
        try:
            directory = self._backends.storage.fetch(prefix)
        except ObjectNotFoundError as err:
            raise DamagedArtifactError(label, prefix, "is missing") from err
        manifest = read_manifest(directory)
        verify_manifest(directory, manifest)
        if digest is not None and manifest.digest != digest:
            raise _other_digest(label, manifest, digest)
        return directory, manifest


def _other_digest(
    label: str, manifest: ArtifactManifest, recorded: str
) -> DamagedArtifactError:
    return DamagedArtifactError(
        label,
        MANIFEST_NAME,
        f"has digest {manifest.digest}, but {recorded} was recorded at save",
    )
