"""A local root's own folder: unfinished files, and locks between processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from brixa_flows.errors import StorageError
from brixa_flows.passing_folders import is_old_enough, only_abandoned, own
from brixa_flows.storage.durable import write_new
from brixa_flows.storage.keys import OWN_FOLDER

__all__ = ["Scratch"]

_ABANDONED_AFTER_SECONDS = 24 * 3600.0


class Scratch:
    """What is not visible in any listing.

    Args:
        root: The storage root; it and the folder below it are made on first use, so
            that a read-only root can be read and a mistyped one is not made.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / OWN_FOLDER
        self._sweep()

    def new_path(self) -> Path:
        """A path for something temporary on the root's filesystem."""
        return self._made("tmp") / uuid.uuid4().hex

    def _made(self, name: str) -> Path:
        """A folder of that name, and the root where it is not there yet."""
        folder = self.folder / name
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError:
            self._make_root()
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _make_root(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as err:
            reason = "no folder can be made there; name another storage root"
            raise StorageError(
                f"can't make the storage root {self._root}: {reason}", reason=reason
            ) from err

    @contextmanager
    def file(self, data: bytes, *, durable: bool = True) -> Iterator[tuple[Path, int]]:
        """A complete file, on the device if ``durable``, and its descriptor.

        It is removed at the end.
        """
        path = self.new_path()
        descriptor = write_new(path, data, durable=durable)
        try:
            yield path, descriptor
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)

    def new_directory(self) -> tuple[Path, int]:
        """An empty directory, and the open descriptor that says its owner lives."""
        path = self.new_path()
        path.mkdir()
        return path, own(path)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep other threads and processes from changing ``key`` meanwhile."""
        with self._lock(_short_digest(key)):
            yield

    @contextmanager
    def lock_directory(self, key: str) -> Iterator[None]:
        """Keep others from adding to a directory or removing from it meanwhile.

        May be taken by who has the lock of a key, never the other way round.
        """
        with self._lock(f"in-{_short_digest(key)}"):
            yield

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self._made("locks") / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def discard(self, path: Path) -> None:
        """Remove what was moved here; what can't be removed is left to a sweep."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def discard_abandoned(self) -> int:
        """Remove the directories of owners that died; returns how many there were."""
        found = 0
        for path in self._unlocked_for_long():
            with suppress(OSError):  # its owner lives, or another removed it
                self._discard_unless_locked(path)
                found += 1
        return found

    def abandoned(self) -> tuple[int, int]:
        """How many directories of owners that died there are, and their bytes."""
        count = size_bytes = 0
        for path in self._unlocked_for_long():
            with suppress(OSError), only_abandoned(path):
                count += 1
                files = [each.lstat() for each in path.rglob("*")]
                size_bytes += sum(each.st_size for each in files)
        return count, size_bytes

    def _unlocked_for_long(self) -> Iterator[Path]:
        """Directories whose owner had the time to lock them."""
        for path in [*(self.folder / "tmp").glob("*/")]:
            with suppress(OSError):
                if is_old_enough(path):
                    yield path

    def _sweep(self) -> None:
        """Remove what processes that died long ago have left."""
        folder = self.folder / "tmp"
        with suppress(OSError):  # none yet, or not ours to read: nothing to sweep
            for path in list(folder.iterdir()):
                with suppress(OSError):  # in use, or gone by another's sweep
                    self._sweep_one(path)

    def _sweep_one(self, path: Path) -> None:
        age_seconds = time.time() - path.lstat().st_mtime
        if age_seconds > _ABANDONED_AFTER_SECONDS:
            self._discard_unless_locked(path)

    def _discard_unless_locked(self, path: Path) -> None:
        with only_abandoned(path):
            self.discard(path)


def _short_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:2]
