"""Writing files and trees so that a power cut can't take them back."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from brixa_flows.errors import StorageError, UnsafeKeyError

__all__ = ["check_tree", "explain", "sync_path", "sync_tree", "write_new"]

_REASONS = {
    errno.ENOSPC: "no space is left on the device; free some and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EACCES: "permission is denied; give this user write access, or use another "
    "storage root",
    errno.EPERM: "the operation is not permitted to this user",
    errno.EROFS: "the filesystem is read-only",
    errno.EIO: "the device reports an input/output error; check the disk",
    errno.EMFILE: "this process has too many open files",
    errno.ENAMETOOLONG: "the path is too long for this filesystem",
    errno.ENOTDIR: "a part of the path is an object, not a directory",
    errno.ENOENT: "the directory was removed meanwhile",
}

_PARALLEL_SYNCS = 8


@contextmanager
def explain(doing: str, where: str) -> Iterator[None]:
    """Turn an operating system's error into a :class:`StorageError` sentence.

    Args:
        doing: What was tried, such as ``"write 'models/x'"``.
        where: The storage root.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as err:
        reason = _REASONS.get(err.errno or 0) or err.strerror or str(err)
        name = errno.errorcode.get(err.errno or 0, "")
        raise StorageError(
            f"can't {doing} in {where}: {reason}", reason=reason, errno_name=name
        ) from err


def write_new(path: Path, data: bytes, *, durable: bool) -> int:
    """Write a new file and, if ``durable``, force it to the device.

    Returns:
        An open descriptor of it, for the caller to close.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def sync_path(path: Path) -> None:
    """Force a file's bytes or a directory's entries to the device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_tree(directory: Path) -> tuple[list[Path], list[Path]]:
    """The files and the directories of a tree, the deepest directory first.

    Raises:
        UnsafeKeyError: If it is a symlink, or one, a pipe or a device is in it.
    """
    files: list[Path] = []
    directories: list[Path] = []
    waiting = [directory]
    if directory.is_symlink():
        raise UnsafeKeyError(directory.name, "it is a symbolic link")
    while waiting:
        current = waiting.pop()
        directories.append(current)
        for entry in sorted(current.iterdir()):
            mode = entry.lstat().st_mode
            if stat.S_ISDIR(mode):
                waiting.append(entry)
            elif stat.S_ISREG(mode):
                files.append(entry)
            else:
                raise UnsafeKeyError(
                    str(entry.relative_to(directory)),
                    "a published directory holds files and directories only, no "
                    "links or special files",
                )
    return files, directories[::-1]


def sync_tree(directory: Path) -> None:
    """Force every file and directory of a tree to the device.

    Raises:
        StorageError: If there is no file in it.
        UnsafeKeyError: If there is a symlink or special file in it.
    """
    files, directories = check_tree(directory)
    if not files:
        raise StorageError(
            f"{directory.name!r} holds no file, so it can't be published"
        )
    with ThreadPoolExecutor(min(_PARALLEL_SYNCS, len(files))) as pool:
        list(pool.map(sync_path, files))
    for one in directories:
        sync_path(one)
