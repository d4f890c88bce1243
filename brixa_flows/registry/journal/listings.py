"""What lies in the folders of a registry, and what is told of one that can't be listed.

A link, a file or a device where a folder of records belongs, or a folder that this user
may not read, makes the records behind it unknown. Here alone that becomes the error of
the model whose folder it is, so that whoever goes through all models can go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from brixa_flows.errors import StorageError
from brixa_flows.registry.facts.damage import (
    LINK,
    NO_FOLDER,
    damaged_folder,
    why_unreadable,
)
from brixa_flows.storage.base import QuickLooks, StorageNode, StoredObject

__all__ = ["FOLDER", "SYMBOLIC_LINK", "Listings"]

FOLDER = "folder"
SYMBOLIC_LINK = "symbolic link"


class Listings:
    """Names of what is in folders; each raises ``DamagedArtifactError`` if it is none.

    Args:
        storage: Where they are.
    """

    def __init__(self, storage: StorageNode) -> None:
        self._storage = storage
        self._quick = storage if isinstance(storage, QuickLooks) else None

    def names(self, prefix: str) -> tuple[str, ...]:
        """Of the objects, sorted; the very same tuple only if nothing came or went."""
        with self._told(prefix):
            if self._quick is not None:
                return self._quick.names(prefix)
            listed = self._storage.list(prefix, recursive=False)
            return tuple(stored.key.rpartition("/")[2] for stored in listed)

    def objects(self, prefix: str, *, recursive: bool = False) -> list[StoredObject]:
        """The objects, in the order of their keys."""
        with self._told(prefix):
            found = list(self._storage.list(prefix, recursive=recursive))
        if not found:
            self.names(prefix)  # a file in its place lists as empty
        return found

    def holds_object(self, prefix: str) -> bool:
        """Whether there is an object anywhere below."""
        with self._told(prefix):
            if next(iter(self._storage.list(prefix)), None) is not None:
                return True
        self.names(prefix)
        return False

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders that hold an object, sorted."""
        with self._told(prefix):
            found = self._storage.list_directories(prefix)
        if not found:
            self.names(prefix)
        return found

    def others(self, prefix: str) -> Mapping[str, str]:
        """What is no object, by name: ``folder``, ``symbolic link`` ...

        A file system has more of it than other nodes.
        """
        with self._told(prefix):
            others = getattr(self._storage, "others", None)
            if others is not None:
                found: Mapping[str, str] = others(prefix)
                return found
            return dict.fromkeys(self._storage.list_directories(prefix), FOLDER)

    def no_keys(self, prefix: str) -> list[str]:
        """Names below that no object can have; only a file system has any."""
        no_keys = getattr(self._storage, "no_keys", None)
        with self._told(prefix):
            return [] if no_keys is None else list(no_keys(prefix))

    def mark(self, keys: tuple[str, ...]) -> bytes | None:
        """Stays the same until one of the objects changes; ``None`` if unknown."""
        return None if self._quick is None else self._quick.mark(keys)

    @contextmanager
    def _told(self, prefix: str) -> Iterator[None]:
        try:
            yield
        except StorageError as err:
            reason = why_unreadable(err)
            if reason is None and err.facts.get("errno_name") != "ENOTDIR":
                raise
            if reason not in (None, LINK):
                raise damaged_folder(prefix, str(reason)) from err
            key, what = self._no_folder(prefix)
            raise damaged_folder(key, NO_FOLDER.format(what)) from err

    def _no_folder(self, prefix: str) -> tuple[str, str]:
        """The first on the way to a folder that is none, and what it is."""
        above, _, name = prefix.rpartition("/")
        if above and (found := self._no_folder(above))[1] != FOLDER:
            return found
        if name in self.names(above):
            return prefix, "file"
        return prefix, self.others(above).get(name, FOLDER)
