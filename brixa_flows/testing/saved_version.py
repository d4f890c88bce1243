"""A model saved and loaded with every step that a registry takes, for tests."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.serializers import (
    ArtifactManifest,
    LoadOptions,
    SaveOptions,
    build_manifest,
    check_trust,
    environment_of,
    load_model_files,
    read_manifest,
    save_model_files,
    verify_manifest,
    write_manifest,
)

__all__ = ["SavedVersion"]


@dataclass(frozen=True)
class SavedVersion:
    """A version directory as a registry makes it.

    Attributes:
        directory: Where it is; holds ``config.json`` and what the serializer wrote.
        manifest: What ``config.json`` says.
        warned: Texts of the warnings about insecure formats when it was saved.
    """

    directory: Path
    manifest: ArtifactManifest
    warned: tuple[str, ...]

    @classmethod
    def of(cls, model: Any, directory: Path, options: SaveOptions) -> SavedVersion:
        """Save ``model`` with every step that a registry takes.

        Raises:
            SerializationError: If it can't be saved.
        """
        directory.mkdir(parents=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            framework, saved = save_model_files(model, directory, None, options)
        manifest = build_manifest(
            directory,
            saved,
            {"name": "contract", "version": "1.0.0"},
            environment_of(model, framework),
        )
        write_manifest(directory, manifest)
        insecure = [
            str(each.message)
            for each in caught
            if issubclass(each.category, InsecureSerializationWarning)
        ]
        return cls(directory, manifest, tuple(insecure))

    def load(self, options: LoadOptions | None = None) -> Any:
        """Load it with every step, as one whose digest was recorded at save.

        Raises:
            DamagedArtifactError: If a file is not what was saved.
            SerializationError: If it can't be read.
        """
        manifest = read_manifest(self.directory)
        verify_manifest(self.directory, manifest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureSerializationWarning)
            check_trust(manifest, recorded_digest=self.manifest.digest)
        return load_model_files(self.directory, manifest, options)

    @property
    def paths(self) -> list[str]:
        """Relative path of every file but the manifest."""
        found = (each for each in self.directory.rglob("*") if each.is_file())
        paths = sorted(each.relative_to(self.directory).as_posix() for each in found)
        return [path for path in paths if path != "config.json"]
