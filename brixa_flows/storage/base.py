"""What the registry asks of a place that keeps bytes.

Keys are ``/``-separated relative paths (``models/NAME/1.0.0_meta.json``). Small records
are single objects; a model version is a directory, published whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["QuickLooks", "StorageNode", "StoredObject"]


@dataclass(frozen=True)
class StoredObject:
    """Facts of one stored object.

    Attributes:
        key: Its key.
        size_bytes: Its length.
        etag: Changes whenever its content does.
        modified_at: Aware UTC time of the last write.
    """

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime


@runtime_checkable
class StorageNode(Protocol):
    """A durable place with conditional writes.

    What every node guarantees: no observer ever sees a partial object or a partial
    published directory; a write that returned survives a power cut; of many writers
    that create one key exactly one succeeds. All methods are safe to call from many
    threads and processes. A key that would leave the root raises ``UnsafeKeyError``
    before anything is touched; anything else that goes wrong is a ``StorageError``.
    """

    @property
    def uri(self) -> str:
        """Where it is, for messages and lineage (``file:///...``, ``s3://...``)."""
        ...

    def create(self, key: str, data: bytes) -> str:
        """Write a new object.

        Returns:
            Its etag.

        Raises:
            ObjectExistsError: If the key is taken; the stored object is unchanged.
        """
        ...

    def replace(
        self, key: str, data: bytes, *, etag: str | None, durable: bool = True
    ) -> str:
        """Write an object if it is still the one that was read (compare-and-swap).

        Args:
            key: Its key.
            data: The new content.
            etag: What :meth:`read` returned; ``None`` means it must not exist.
            durable: ``False`` for what can be made anew: a power cut may take it back
                or leave it damaged.

        Returns:
            The new etag.

        Raises:
            StaleWriteError: If it was changed, removed or made meanwhile.
        """
        ...

    def read(self, key: str) -> tuple[bytes, str]:
        """Content and etag of an object.

        Raises:
            ObjectNotFoundError: If there is none.
        """
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Facts of an object, ``None`` if there is none (a directory is none)."""
        ...

    def list_directories(self, prefix: str) -> list[str]:
        """Names (not keys) of the directories right below ``prefix``, sorted."""
        ...

    def list(self, prefix: str, *, recursive: bool = True) -> Iterator[StoredObject]:
        """Objects below the directory ``prefix``, sorted by key; empty if none.

        Args:
            prefix: A directory key; ``""`` is the root.
            recursive: Also those in subdirectories.
        """
        ...

    def delete(self, key: str, *, durable: bool = True) -> None:
        """Remove an object or a whole directory; nothing there is no error.

        Args:
            key: Its key.
            durable: ``False`` where a power cut may bring it back.
        """
        ...

    def staging(self) -> AbstractContextManager[Path]:
        """A private empty directory to build a version in, removed at exit.

        On a local node it is on the same filesystem as the root, so that
        :meth:`publish` moves nothing.
        """
        ...

    def publish(self, directory: Path, prefix: str) -> None:
        """Make a finished directory visible under ``prefix``, whole or not at all.

        The content is on disk (fsync, multipart completed) before it is visible.

        Raises:
            ObjectExistsError: If something is there already; it is unchanged.
            UnsafeKeyError: If the directory holds a symlink or special file.
        """
        ...

    def fetch(self, prefix: str) -> Path:
        """A local directory with the published content of ``prefix``, read only.

        Raises:
            ObjectNotFoundError: If nothing is published there.
        """
        ...


@runtime_checkable
class QuickLooks(Protocol):
    """What a node may offer beside: cheap ways to see that nothing has changed.

    A registry asks the same places again and again, and remembers what it read there.
    Both methods are safe to call from many threads, raise as those of
    :class:`StorageNode`, and never hide a change whose call returned before, whichever
    process made it.
    """

    def names(self, prefix: str) -> tuple[str, ...]:
        """Names (not keys) of the objects right below ``prefix``, sorted.

        The very same tuple is returned for as long as no name came or went, as far as
        the node can tell; so who is given another one looks for what is new.

        Raises:
            StorageError: If something is there that is no directory.
        """
        ...

    def mark(self, keys: Sequence[str]) -> bytes | None:
        """A value that stays the same until one of these objects changes.

        One that comes or goes has changed; one that is absent is no error.

        Returns:
            ``None`` where the node can't promise that, as for objects that were
            written just now.
        """
        ...
