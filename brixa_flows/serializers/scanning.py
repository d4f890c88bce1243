"""What a scanner says of the files of a version: advice, never a permission.

picklescan disassembles pickles and imports nothing. It knows some tricks and misses
others, reads an uncompressed joblib file up to its first array and a compressed one not
at all; so what it does not find is no reason to load anything.
"""

from __future__ import annotations

import bz2
import logging
import lzma
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from picklescan.scanner import SafetyLevel, ScanResult, scan_file_path
from pydantic import BaseModel, ConfigDict

__all__ = ["ScanReport", "ScannedFile", "scan_files"]

_HEAD_BYTES = 4096


class ScannedFile(BaseModel):
    """What was found in a file.

    Attributes:
        path: Of the file, in the version directory.
        seen: ``whole``, ``in part``, ``compressed`` (not looked into) or ``no pickle``.
        dangerous: Names it imports that the scanner knows to be dangerous.
        unknown: Names it imports that the scanner does not know.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    seen: Literal["whole", "in part", "compressed", "no pickle"]
    dangerous: tuple[str, ...]
    unknown: tuple[str, ...]


class ScanReport(BaseModel):
    """What was found in a version.

    Attributes:
        files: Those that hold the model; of a damaged version all that are there.
        damaged: What is wrong with the version's files; ``""`` if nothing is.
    """

    model_config = ConfigDict(frozen=True)

    files: tuple[ScannedFile, ...]
    damaged: str = ""

    @property
    def dangerous(self) -> tuple[str, ...]:
        """Everything dangerous, each once."""
        return tuple(sorted({name for each in self.files for name in each.dangerous}))


def scan_files(
    directory: Path, paths: Iterable[str] | None, damaged: str = ""
) -> ScanReport:
    """Scan files of a version; nothing of them is executed or imported.

    Args:
        directory: Where they are.
        paths: Which; all regular files if ``None``. Links are never followed.
        damaged: What is wrong with them, for the report.
    """
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)  # the report says it
    if paths is None:
        there = (path for path in directory.rglob("*") if not path.is_symlink())
        paths = (path.relative_to(directory).as_posix() for path in there)
    found = [path for path in sorted(paths) if (directory / path).is_file()]
    return ScanReport(
        files=tuple(
            _scanned(directory / path, path)
            for path in found
            if (directory / path).stat().st_size
        ),
        damaged=damaged,
    )


def _scanned(file: Path, path: str) -> ScannedFile:
    try:
        found = scan_file_path(str(file))
    except Exception:  # whatever a hostile file makes the scanner raise
        found = ScanResult([], scan_err=True)
    names = {level: set[str]() for level in SafetyLevel}
    for each in found.globals:
        names[each.safety].add(f"{each.module}.{each.name}")
    seen: Any = "whole" if found.globals else "no pickle"
    if found.scan_err:
        seen = "in part"
    elif not found.globals and _is_compressed(file):
        seen = "compressed"
    return ScannedFile(
        path=path,
        seen=seen,
        dangerous=tuple(sorted(names[SafetyLevel.Dangerous])),
        unknown=tuple(sorted(names[SafetyLevel.Suspicious])),
    )


def _is_compressed(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    readers: tuple[Any, ...] = (
        zlib.decompressobj(zlib.MAX_WBITS | 32),  # or gzip
        lzma.LZMADecompressor(),
        bz2.BZ2Decompressor(),
    )
    for reader in readers:
        with suppress(zlib.error, lzma.LZMAError, OSError):
            if reader.decompress(head, 1):
                return True
    return False
