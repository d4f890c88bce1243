"""What the formats that are zip archives have in common."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

__all__ = ["refuse_compressed"]


def refuse_compressed(path: Path) -> None:
    """A few kilobytes must not become gigabytes; no format of ours compresses.

    Raises:
        BadZipFile: If it is no archive.
        ValueError: If a member of it is compressed.
    """
    with ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
