"""A storage node on a local (or network) filesystem, for Linux and macOS."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from brixa_flows.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
)
from brixa_flows.storage.base import StoredObject
from brixa_flows.storage.durable import check_tree, explain, sync_tree
from brixa_flows.storage.keys import check_key, check_prefix
from brixa_flows.storage.marks import Marks, TrueDisks
from brixa_flows.storage.names import KnownNames
from brixa_flows.storage.scratch import Scratch
from brixa_flows.storage.tree import Tree, link_refused, lstat

__all__ = ["LocalStorageNode"]


class LocalStorageNode:
    """A folder as a :class:`~brixa_flows.storage.base.StorageNode`.

    An object is written to a temporary file on the same filesystem, forced to the
    device, and made visible by one ``link`` (create) or ``rename`` (replace), after
    which its directory is forced too. Every path is walked name by name without
    following links, so neither a key nor a symlink planted in the tree leads out of
    the root. Directories without objects don't exist for readers. What can't be done
    (no space, no permission) is a ``StorageError`` that says why.

    Args:
        path: The root; made by the first write if it is not there. May itself be
            reached by a link.

    Attributes:
        root: Absolute path of the root.

    Raises:
        StorageError: If the root is no folder.
    """

    def __init__(self, path: str | Path) -> None:
        wanted = Path(path).expanduser()
        with explain("look at the storage root", str(wanted)):
            there = next(path for path in (wanted, *wanted.parents) if path.exists())
        if not there.is_dir():
            where = "" if there == wanted else f"below {there}, which is "
            raise StorageError(
                f"the storage root {wanted} is {where}a file; name a folder"
            )
        self.root = wanted.resolve()
        self._tree = Tree(self.root)
        self._scratch = Scratch(self.root)
        disks = TrueDisks()
        self._names = KnownNames(self._tree, self._scratch, disks)
        self._marks = Marks(self.root, disks)

    def __repr__(self) -> str:
        return f"LocalStorageNode({str(self.root)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Sent to another process it is opened there."""
        return type(self), (self.root,)

    @property
    def uri(self) -> str:
        """``file:///...``."""
        return self.root.as_uri()

    def create(self, key: str, data: bytes) -> str:
        """Write a new object; see :meth:`.StorageNode.create`."""
        return self._create(key, data, durable=True)

    def _create(self, key: str, data: bytes, *, durable: bool) -> str:
        check_key(key)
        with (
            self._explain("write", key),
            self._scratch.file(data, durable=durable) as (path, file),
        ):
            _stamp(file, time.time_ns())

            def link(parent: int, name: str) -> None:
                with self._names.adding(_directory(key), parent, name):
                    os.link(path, name, dst_dir_fd=parent)

            try:
                self._tree.change(key, link, durable=durable)
            except FileExistsError as err:
                self._tree.facts(key)  # a link is refused as what it is
                raise ObjectExistsError(key, str(self.root)) from err
            return _etag(os.fstat(file))

    def replace(
        self, key: str, data: bytes, *, etag: str | None, durable: bool = True
    ) -> str:
        """Compare and swap; see :meth:`.StorageNode.replace`."""
        check_key(key)
        if etag is None:
            try:
                return self._create(key, data, durable=durable)
            except ObjectExistsError as err:
                raise StaleWriteError(key, str(self.root)) from err
        with (
            self._explain("write", key),
            self._scratch.file(data, durable=durable) as (path, file),
            self._scratch.lock(key),
        ):
            found = self._tree.facts(key)
            if found is None or _etag(found) != etag:
                raise StaleWriteError(key, str(self.root))
            # A stamp above the last one: no two contents share an etag, even where
            # the inode's number is used again at once.
            _stamp(file, max(time.time_ns(), found.st_mtime_ns + 1))
            self._tree.change(
                key,
                lambda parent, name: os.rename(path, name, dst_dir_fd=parent),
                durable=durable,
            )
            return _etag(os.fstat(file))

    def read(self, key: str) -> tuple[bytes, str]:
        """Content and etag; see :meth:`.StorageNode.read`."""
        check_key(key)
        with self._explain("read", key), open(self._open(key), "rb") as file:
            facts = os.fstat(file.fileno())
            return file.read(), _etag(facts)

    def _open(self, key: str) -> int:
        """Descriptor of an object."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with self._tree.parent(key) as (parent, name):
                descriptor = os.open(name, flags, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise ObjectNotFoundError(key, str(self.root)) from err
        except OSError as err:
            if err.errno == errno.ELOOP:
                raise link_refused(key) from err
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectNotFoundError(key, str(self.root))
        return descriptor

    def stat(self, key: str) -> StoredObject | None:
        """Facts of an object; see :meth:`.StorageNode.stat`."""
        check_key(key)
        with self._explain("look at", key):
            facts = self._tree.facts(key)
        return None if facts is None else _stored(key, facts)

    def delete(self, key: str, *, durable: bool = True) -> None:
        """Remove an object or directory; see :meth:`.StorageNode.delete`.

        A directory vanishes as a whole, by one rename, before its files are removed.
        """
        check_key(key)
        with self._explain("delete", key):
            trash = self._scratch.new_path()
            with self._scratch.lock(key):
                self._tree.facts(key)  # a link is refused
                try:
                    with self._tree.parent(key) as (parent, name):
                        with self._names.removing(_directory(key)):
                            os.rename(name, trash, src_dir_fd=parent)
                        if durable:
                            os.fsync(parent)
                except (FileNotFoundError, NotADirectoryError):
                    return
                self._tree.prune(key)
            self._scratch.discard(trash)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A private directory below the root; see :meth:`.StorageNode.staging`."""
        with explain("make a staging directory", str(self.root)):
            path, descriptor = self._scratch.new_directory()
        try:
            yield path
        finally:
            os.close(descriptor)
            self._scratch.discard(path)

    def discard_abandoned(self) -> int:
        """Remove staging directories of processes that died.

        Returns:
            How many there were; those of living processes are left alone.
        """
        with self._explain("clean up", "staging"):
            return self._scratch.discard_abandoned()

    def abandoned(self) -> tuple[int, int]:
        """How many staging directories of dead processes there are, and their bytes."""
        with self._explain("look at", "staging"):
            return self._scratch.abandoned()

    def publish(self, directory: Path, prefix: str) -> None:
        """Make a directory visible; see :meth:`.StorageNode.publish`.

        One that was built in :meth:`staging` is moved, any other is copied.
        """
        check_key(prefix)
        directory = Path(directory)
        with self._explain("publish", prefix):
            check_tree(directory)
            if directory.resolve().is_relative_to(self._scratch.folder):
                self._publish_own(directory, prefix)
                return
            with self.staging() as own:
                copy = own / "copy"
                shutil.copytree(directory, copy, symlinks=True)
                self._publish_own(copy, prefix)

    def _publish_own(self, directory: Path, prefix: str) -> None:
        sync_tree(directory)

        def move(parent: int, name: str) -> None:
            # rename() would replace an empty directory: look first, under the lock
            # that every publisher takes. One that is not empty it never replaces.
            if lstat(name, parent) is not None:
                raise FileExistsError(errno.EEXIST, "exists", name)
            os.rename(directory, name, dst_dir_fd=parent)

        try:
            with self._scratch.lock(prefix):
                self._tree.change(prefix, move)
        except OSError as err:
            if err.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise ObjectExistsError(prefix, str(self.root)) from err
            raise

    def fetch(self, prefix: str) -> Path:
        """The published directory itself; see :meth:`.StorageNode.fetch`.

        Raises:
            UnsafeKeyError: If somebody put a symlink or special file into it.
        """
        check_key(prefix)
        path = self.root / prefix
        with self._explain("fetch", prefix):
            try:
                with self._tree.directory(prefix):
                    files, _ = check_tree(path)
            except (FileNotFoundError, NotADirectoryError) as err:
                raise ObjectNotFoundError(prefix, str(self.root)) from err
        if not files:
            raise ObjectNotFoundError(prefix, str(self.root))
        return path

    def list_directories(self, prefix: str) -> list[str]:
        """Directories right below a directory; see :class:`.StorageNode`."""
        check_prefix(prefix)
        with self._explain("list", prefix):
            return [
                entry.name
                for entry in self._tree.entries(prefix)
                if entry.is_directory and self._tree.holds_object(entry.key)
            ]

    def others(self, prefix: str) -> dict[str, str]:
        """What is right below a directory and no object, by name: what it is.

        Folders, with those that hold nothing, symbolic links and special files.
        """
        check_prefix(prefix)
        with self._explain("list", prefix):
            found = self._tree.entries(prefix)
        return {entry.name: entry.kind for entry in found if not entry.is_file}

    def no_keys(self, prefix: str) -> list[str]:
        """Names of what is right below a directory that no key can have, sorted.

        Nothing that begins with a dot, which people hide on purpose.
        """
        check_prefix(prefix)
        with self._explain("list", prefix):
            return self._tree.no_keys(prefix)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Names of the objects right below; see :meth:`.QuickLooks.names`."""
        check_prefix(prefix)
        with self._explain("list", prefix):
            return self._names.of(prefix)

    def mark(self, keys: Sequence[str]) -> bytes | None:
        """What these objects have until one changes; see :meth:`.QuickLooks.mark`."""
        return self._marks.of(keys)

    def list(self, prefix: str, *, recursive: bool = True) -> Iterator[StoredObject]:
        """Objects below a directory; see :meth:`.StorageNode.list`.

        Links and special files are no objects and are left out.
        """
        check_prefix(prefix)
        return self._walk(prefix, recursive)

    def _walk(self, prefix: str, recursive: bool) -> Iterator[StoredObject]:
        with self._explain("list", prefix):
            entries = self._tree.entries(prefix)
        for entry in entries:
            if entry.is_file:
                yield _stored(entry.key, entry.facts)
            elif entry.is_directory and recursive:
                yield from self._walk(entry.key, recursive)

    def _explain(self, verb: str, key: str) -> AbstractContextManager[None]:
        return explain(f"{verb} {key!r}", str(self.root))


def _directory(key: str) -> str:
    return key.rpartition("/")[0]


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"


def _stamp(descriptor: int, modified_ns: int) -> None:
    os.utime(descriptor, ns=(modified_ns, modified_ns))


def _stored(key: str, facts: os.stat_result) -> StoredObject:
    modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
    return StoredObject(key, facts.st_size, _etag(facts), modified_at)
