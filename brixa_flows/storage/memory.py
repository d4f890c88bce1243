"""A storage node in this process's memory, for tests and trials."""

from __future__ import annotations

import builtins
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from brixa_flows.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
)
from brixa_flows.passing_folders import make_folder, remove_folder
from brixa_flows.storage.base import StoredObject
from brixa_flows.storage.durable import check_tree
from brixa_flows.storage.keys import check_key, check_prefix

__all__ = ["MemoryStorageNode"]


class _Kept(NamedTuple):
    data: bytes
    etag: str
    modified_at: datetime


class MemoryStorageNode:
    """The contract of :class:`~brixa_flows.storage.base.StorageNode`, kept in memory.

    Shared by the threads of one process; nothing outlives it. Staged and fetched
    directories are real ones below the system's temporary folder, which are removed
    with the node.

    Args:
        uri: What :attr:`uri` answers; every node is empty at first, whatever it says.
    """

    def __init__(self, uri: str = "memory://") -> None:
        self.uri = uri
        self._kept: dict[str, _Kept] = {}
        self._writes = 0
        self._lock = threading.RLock()
        self._folder = make_folder("memory")
        self._fetched: dict[str, tuple[tuple[str, ...], Path]] = {}
        weakref.finalize(self, remove_folder, self._folder)

    def __repr__(self) -> str:
        return f"MemoryStorageNode({self.uri!r})"

    def create(self, key: str, data: bytes) -> str:
        """Write a new object; see :meth:`.StorageNode.create`."""
        check_key(key)
        with self._lock:
            if key in self._kept or self._below(key):
                raise ObjectExistsError(key, self.uri)
            return self._put(key, data)

    def replace(
        self, key: str, data: bytes, *, etag: str | None, durable: bool = True
    ) -> str:
        """Compare and swap; see :meth:`.StorageNode.replace`."""
        check_key(key)
        with self._lock:
            found = self._kept.get(key)
            taken = found is not None or bool(self._below(key))
            if taken if etag is None else found is None or found.etag != etag:
                raise StaleWriteError(key, self.uri)
            return self._put(key, data)

    def read(self, key: str) -> tuple[bytes, str]:
        """Content and etag; see :meth:`.StorageNode.read`."""
        check_key(key)
        found = self._kept.get(key)
        if found is None:
            raise ObjectNotFoundError(key, self.uri)
        return found.data, found.etag

    def stat(self, key: str) -> StoredObject | None:
        """Facts of an object; see :meth:`.StorageNode.stat`."""
        check_key(key)
        found = self._kept.get(key)
        return None if found is None else _stored(key, found)

    def delete(self, key: str, *, durable: bool = True) -> None:
        """Remove an object or directory; see :meth:`.StorageNode.delete`."""
        check_key(key)
        with self._lock:
            for one in (key, *self._below(key)):
                self._kept.pop(one, None)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A private directory; see :meth:`.StorageNode.staging`."""
        path = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, directory: Path, prefix: str) -> None:
        """Make a directory visible; see :meth:`.StorageNode.publish`."""
        check_key(prefix)
        directory = Path(directory)
        try:
            files, _ = check_tree(directory)
            content = {
                f"{prefix}/{file.relative_to(directory).as_posix()}": file.read_bytes()
                for file in files
            }
        except (FileNotFoundError, NotADirectoryError) as err:
            raise StorageError(f"can't publish {prefix!r}: {err}") from err
        if not content:
            raise StorageError(
                f"{directory.name!r} holds no file; it can't be published"
            )
        with self._lock:
            if prefix in self._kept or self._below(prefix):
                raise ObjectExistsError(prefix, self.uri)
            for key, data in content.items():
                self._put(key, data)

    def fetch(self, prefix: str) -> Path:
        """A copy in the temporary folder; see :meth:`.StorageNode.fetch`.

        Fetching again what has not changed gives the same directory.
        """
        check_key(prefix)
        with self._lock:
            content = {key: self._kept[key] for key in self._below(prefix)}
            if not content:
                raise ObjectNotFoundError(prefix, self.uri)
            state = tuple(f"{key} {kept.etag}" for key, kept in content.items())
            known, path = self._fetched.get(prefix, ((), Path()))
            if known != state:
                path = Path(tempfile.mkdtemp(dir=self._folder))
                for key, kept in content.items():
                    file = path / key.removeprefix(f"{prefix}/")
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(kept.data)
                self._fetched[prefix] = (state, path)
            return path

    def list_directories(self, prefix: str) -> list[str]:
        """Directories right below a directory; see :class:`.StorageNode`."""
        check_prefix(prefix)
        start = len(prefix) + 1 if prefix else 0
        with self._lock:
            rests = [key[start:] for key in self._below(prefix)]
        return sorted({rest.split("/")[0] for rest in rests if "/" in rest})

    def list(self, prefix: str, *, recursive: bool = True) -> Iterator[StoredObject]:
        """Objects below a directory; see :meth:`.StorageNode.list`."""
        check_prefix(prefix)
        start = len(prefix) + 1 if prefix else 0
        with self._lock:
            found = [
                _stored(key, self._kept[key])
                for key in self._below(prefix)
                if recursive or "/" not in key[start:]
            ]
        return iter(found)

    def _below(self, prefix: str) -> builtins.list[str]:
        """Keys of a directory, sorted."""
        start = f"{prefix}/" if prefix else ""
        return sorted(key for key in self._kept if key.startswith(start))

    def _put(self, key: str, data: bytes) -> str:
        above, _, _ = key.rpartition("/")
        while above:
            if above in self._kept:
                raise StorageError(
                    f"can't write {key!r} in {self.uri}: {above!r} is an object, not a "
                    "directory"
                )
            above, _, _ = above.rpartition("/")
        self._writes += 1
        kept = _Kept(bytes(data), f"{self._writes:x}", datetime.now(UTC))
        self._kept[key] = kept
        return kept.etag


def _stored(key: str, kept: _Kept) -> StoredObject:
    return StoredObject(key, len(kept.data), kept.etag, kept.modified_at)
