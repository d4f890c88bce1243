"""Temporary folders that a kill leaves no longer than until the next one is made.

Who makes one holds the kernel's lock of it, which ends with the process however that
ends. So what nobody has locked is nobody's, and the next process removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "is_old_enough",
    "make_folder",
    "only_abandoned",
    "own",
    "passing_folder",
    "remove_folder",
]

_PREFIX = "brixa-own-"
_LOCKED_WITHIN_SECONDS = 5.0
_SWEPT_EVERY_SECONDS = 60.0
_held: dict[Path, int] = {}
_swept_at: dict[Path, float] = {}


def own(folder: Path) -> int:
    """Lock a folder that was just made; close the descriptor to let it go."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_old_enough(folder: Path) -> bool:
    """Whether its maker had the time to lock it, which it does right after.

    Raises:
        OSError: If it is gone.
    """
    return time.time() - folder.lstat().st_ctime > _LOCKED_WITHIN_SECONDS


@contextmanager
def only_abandoned(folder: Path) -> Iterator[None]:
    """Go on if nobody owns it any more.

    Raises:
        OSError: If somebody does, or it is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def make_folder(purpose: str) -> Path:
    """An empty folder of ours alone, until :func:`remove_folder` or our end.

    Args:
        purpose: A word for its name.
    """
    base = Path(tempfile.gettempdir())
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-", dir=base))
    _held[folder] = own(folder)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder of :func:`make_folder`; one that is gone is no error."""
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _held.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def passing_folder(purpose: str) -> Iterator[Path]:
    """An empty folder of ours alone for the length of a block."""
    folder = make_folder(purpose)
    try:
        yield folder
    finally:
        remove_folder(folder)


def _sweep(base: Path) -> None:
    """Remove what the dead left there; those of other users are theirs to remove."""
    since = time.monotonic() - _swept_at.get(base, float("-inf"))
    if since < _SWEPT_EVERY_SECONDS:
        return
    _swept_at[base] = time.monotonic()
    for folder in list(base.glob(f"{_PREFIX}*/")):
        with suppress(OSError):  # its owner lives, or it is not ours
            if folder.lstat().st_uid == os.geteuid() and is_old_enough(folder):
                with only_abandoned(folder):
                    shutil.rmtree(folder, ignore_errors=True)
