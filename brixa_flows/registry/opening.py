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
        metadata = self._reader.metadata(name, version)
        directory, manifest = self._verified(metadata)
        check_trust(
            manifest,
            recorded_digest=self._recorded(metadata),
            policy=self._backends.settings.trust_policy,
            trust=trust,
        )
        return OpenedVersion(metadata, directory, manifest)

    def verify(self, name: str, version: ModelVersion) -> None:
        """Check every file, and the digest against the recorded one."""
        metadata = self._reader.metadata(name, version)
        _, manifest = self._verified(metadata)
        recorded = self._recorded(metadata)
        if recorded is not None and recorded != manifest.digest:
            raise _other_digest(metadata, manifest, recorded)

    def reference_profile_path(self, name: str, version: ModelVersion) -> Path | None:
        """The drift profile of a ready version, checked, if it has one."""
        metadata = self._reader.metadata(name, version)
        if not metadata.has_reference:
            return None
        directory, _ = self._verified(metadata)
        return directory / PROFILE_NAME

    def _verified(self, metadata: ModelMetadata) -> tuple[Path, ArtifactManifest]:
        label = f"{metadata.name} {metadata.version}"
        prefix = self._backends.layout.version_prefix(metadata.name, metadata.version)
        try:
            directory = self._backends.storage.fetch(prefix)
        except ObjectNotFoundError as err:
            raise DamagedArtifactError(label, prefix, "is missing") from err
        manifest = read_manifest(directory)
        verify_manifest(directory, manifest)
        if metadata.digest is not None and manifest.digest != metadata.digest:
            raise _other_digest(metadata, manifest, metadata.digest)
        return directory, manifest

    def _recorded(self, metadata: ModelMetadata) -> str | None:
        return self._backends.tracking.recorded_digest(
            metadata.name, str(metadata.version)
        )


def _other_digest(
    metadata: ModelMetadata, manifest: ArtifactManifest, recorded: str
) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{metadata.name} {metadata.version}",
        MANIFEST_NAME,
        f"has digest {manifest.digest}, but {recorded} was recorded at save",
    )
