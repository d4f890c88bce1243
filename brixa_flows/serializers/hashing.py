"""SHA-256 of files: several at once, and of a file that nobody touched only once.

A process remembers the digest of a large file by device, inode, size, ``mtime`` and
``ctime``, so that it loads a version a second time without hashing it again. ``ctime``
is what makes that safe: the kernel sets it on every change of content, name or times,
and nobody but root can set it back. So nothing is remembered

- on a filesystem whose times are not the kernel's own: on FUSE and network mounts they
  can come from whoever wrote the bytes, and tmpfs does not count writes through a
  mapping;
- of a file that changed in the last two seconds, because another change could get the
  same time stamp;
- before dirty pages are on the device, because a write through a mapping is noticed
  only once its page is clean;
- across processes: a file that says "verified" would have to be guarded like a key, and
  device and inode numbers mean other files after the next boot or in the next container.
  A new process pays one pass.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from brixa_flows.disks import is_settled, times_are_true
from brixa_flows.serializers.progress import progress

__all__ = [
    "LINK_OR_SPECIAL",
    "FileIdentity",
    "KnownDigests",
    "hash_files",
    "known_identity",
    "open_no_link",
]

LINK_OR_SPECIAL = "is a link or special file"
_CHUNK_BYTES = 2**18
_JOB_BYTES = 8 * 2**20
_LARGE_BYTES = 2**20
_THREADS = min(8, os.cpu_count() or 1)
_KNOWN_AT_MOST = 10_000
# A pipe that was put there meanwhile is opened at once instead of waited for.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

Advance = Callable[[int], None]


class FileIdentity(NamedTuple):
    """What tells an unchanged file from any other, if its times are true."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity:
        facts = os.fstat(descriptor)
        times = facts.st_mtime_ns, facts.st_ctime_ns
        return cls(facts.st_dev, facts.st_ino, facts.st_size, *times)


class KnownDigests:
    """Digests of large files by what the kernel says of them; for any thread.

    Args:
        at_most: How many are kept; the longest unused go first.
    """

    def __init__(self, at_most: int = _KNOWN_AT_MOST) -> None:
        self._at_most = at_most
        self._digests: dict[FileIdentity, str] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._digests)

    def sha256(self, descriptor: int, advance: Advance) -> str:
        """Digest of an open file, from its start; remembered where that is safe."""
        found = FileIdentity.of(descriptor)
        if found.size_bytes < _LARGE_BYTES:
            return _sha256(descriptor, advance)
        known = self._recall(found)
        if known is not None:
            advance(found.size_bytes)
            return known
        settled = _is_settled(descriptor, found)
        digest = _sha256(descriptor, advance)
        if settled and FileIdentity.of(descriptor) == found:
            self._remember(found, digest)
        return digest

    def identity(self, descriptor: int, sha256: str) -> FileIdentity | None:
        """What an open file is known by, if its digest is known to be ``sha256``."""
        found = FileIdentity.of(descriptor)
        return found if self._recall(found) == sha256 else None

    def _recall(self, identity: FileIdentity) -> str | None:
        with self._lock:
            digest = self._digests.pop(identity, None)
            if digest is not None:
                self._digests[identity] = digest  # used last
            return digest

    def _remember(self, identity: FileIdentity, digest: str) -> None:
        with self._lock:
            self._digests[identity] = digest
            if len(self._digests) > self._at_most:
                del self._digests[next(iter(self._digests))]


_KNOWN = KnownDigests()


def known_identity(descriptor: int, sha256: str) -> FileIdentity | None:
    """The identity of an open file that this process hashed to ``sha256`` before.

    As long as the file has it, its bytes are those that were hashed: a change of one
    shows in the identity before it can be read. ``None`` for a file that is small, was
    not hashed, or whose changes would not show.
    """
    return _KNOWN.identity(descriptor, sha256)


def open_no_link(path: Path) -> int:
    """Open a regular file for reading.

    Raises:
        OSError: If it can't be read; with ``ELOOP`` if it is a link or special file.
    """
    descriptor = os.open(path, _OPEN)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, LINK_OR_SPECIAL, str(path))


def hash_files(
    directory: Path, sizes: Mapping[str, int], what: str
) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of files, read in parallel, the largest first.

    Args:
        directory: Where they are.
        sizes: Size in bytes by relative path.
        what: What a progress bar says of it.

    Raises:
        OSError: If one can't be read, or is a link, which is never followed;
            ``filename`` is its relative path, ``strerror`` the reason.
    """
    with progress(what, sum(sizes.values())) as advance:

        def hash_some(paths: Sequence[str]) -> dict[str, tuple[int, str]]:
            return {path: _hash_file(directory, path, advance) for path in paths}

        jobs = _jobs(sizes)
        if len(jobs) < 2:
            return hash_some(list(sizes))
        with ThreadPoolExecutor(_THREADS) as pool:
            return {
                path: found
                for some in pool.map(hash_some, jobs)
                for path, found in some.items()
            }


def _jobs(sizes: Mapping[str, int]) -> list[list[str]]:
    """Files by thread: a large one alone and first, small ones together."""
    jobs: list[list[str]] = []
    room_bytes = 0
    for path in sorted(sizes, key=lambda path: -sizes[path]):
        if not jobs or sizes[path] > room_bytes:
            jobs.append([])
            room_bytes = _JOB_BYTES
        jobs[-1].append(path)
        room_bytes -= sizes[path]
    return jobs


def _is_settled(descriptor: int, found: FileIdentity) -> bool:
    """Every change of the file from now on will show in its identity."""
    if not (is_settled(found.ctime_ns) and times_are_true(descriptor)):
        return False
    try:
        os.fsync(descriptor)
    except OSError:
        return False
    return True


def _hash_file(directory: Path, path: str, advance: Advance) -> tuple[int, str]:
    try:
        descriptor = open_no_link(directory / path)
        try:
            digest = _KNOWN.sha256(descriptor, advance)
            return os.fstat(descriptor).st_size, digest
        finally:
            os.close(descriptor)
    except OSError as err:
        reason = LINK_OR_SPECIAL if err.errno == errno.ELOOP else err.strerror
        raise OSError(err.errno, reason, path) from err


def _sha256(descriptor: int, advance: Advance) -> str:
    digest = hashlib.sha256()
    chunk = bytearray(min(_CHUNK_BYTES, os.fstat(descriptor).st_size + 1))
    view = memoryview(chunk)
    while count := os.readv(descriptor, [chunk]):
        digest.update(view[:count])
        advance(count)
    return digest.hexdigest()
