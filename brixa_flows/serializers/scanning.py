"""What a scanner says of the files of a version: advice, never a permission.

picklescan disassembles pickles and imports nothing. It knows some tricks and misses
others, reads an uncompressed joblib file up to its first array and a compressed one not
at all; so what it does not find is no reason to load anything.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from picklescan.scanner import SafetyLevel, ScanResult, scan_file_path
from pydantic import BaseModel, ConfigDict

from brixa_flows.serializers.manifest import ArtifactManifest

__all__ = ["ScanReport", "ScannedFile", "scan_files"]


class ScannedFile(BaseModel):
    """What was found in a file.

    Attributes:
        path: Of the file, in the version directory.
        seen: ``whole``, ``in part`` or ``no pickle``.
        dangerous: Names it imports that the scanner knows to be dangerous.
        unknown: Names it imports that the scanner does not know.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    seen: Literal["whole", "in part", "no pickle"]
    dangerous: tuple[str, ...]
    unknown: tuple[str, ...]


class ScanReport(BaseModel):
    """What was found in a version.

    Attributes:
        files: Those that hold the model.
    """

    model_config = ConfigDict(frozen=True)

    files: tuple[ScannedFile, ...]

    @property
    def dangerous(self) -> tuple[str, ...]:
        """Everything dangerous, each once."""
        return tuple(sorted({name for each in self.files for name in each.dangerous}))


def scan_files(directory: Path, manifest: ArtifactManifest) -> ScanReport:
    """Scan the files that hold the model; nothing of them is executed or imported.

    Args:
        directory: The version's files, verified.
        manifest: What they are.
    """
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)  # the report says it
    return ScanReport(
        files=tuple(
            _scanned(directory, path)
            for path, record in sorted(manifest.model_files.items())
            if record.size_bytes
        )
    )


def _scanned(directory: Path, path: str) -> ScannedFile:
    try:
        found = scan_file_path(str(directory / path))
    except Exception:  # whatever a hostile file makes the scanner raise
        found = ScanResult([], scan_err=True)
    names = {level: set[str]() for level in SafetyLevel}
    for each in found.globals:
        names[each.safety].add(f"{each.module}.{each.name}")
    whole = "whole" if found.globals else "no pickle"
    return ScannedFile(
        path=path,
        seen="in part" if found.scan_err else whole,
        dangerous=tuple(sorted(names[SafetyLevel.Dangerous])),
        unknown=tuple(sorted(names[SafetyLevel.Suspicious])),
    )
