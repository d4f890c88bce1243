"""What the formats that are zip archives have in common."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, is_zipfile

__all__ = ["refuse_compressed", "refuse_large_within"]

_TIMES_ITS_SIZE = 100
_ALWAYS_ALLOWED_BYTES = 2**24


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


def refuse_large_within(path: Path) -> None:
    """Archives inside of one, which are compressed: sparse matrices of scipy.

    What one says of the size of its members is what is read of them at most.

    Raises:
        BadZipFile: If it is no archive.
        ValueError: If one would become a hundred times as large as it is.
    """
    with ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as inner:
                if not is_zipfile(inner):
                    continue
                with ZipFile(inner) as within:
                    size_bytes = sum(each.file_size for each in within.infolist())
            at_most = max(_ALWAYS_ALLOWED_BYTES, _TIMES_ITS_SIZE * member.file_size)
            if size_bytes > at_most:
                raise ValueError(
                    f"{member.filename} would become {size_bytes} bytes, more than the "
                    f"{at_most} that are allowed for its size"
                )
