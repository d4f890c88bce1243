"""Listings of directories, read again only after somebody changed the directory.

The kernel stamps a directory when a name comes or goes. As with git's index, a stamp of
the last two seconds proves nothing, because the next change may get the same one; then
the directory is read. What this process itself adds is known without that: it holds the
lock that all who add or remove take, compares the stamp before, and sets one of its own
after, which no change by others leaves standing.
"""

from __future__ import annotations

import os
import time
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from brixa_flows.disks import is_settled
from brixa_flows.recent import Recent
from brixa_flows.storage.keys import is_key
from brixa_flows.storage.marks import TrueDisks
from brixa_flows.storage.scratch import Scratch
from brixa_flows.storage.tree import Tree

__all__ = ["KnownNames"]

_NAMES_AT_MOST = 1_000_000


class _Mark(NamedTuple):
    """What tells an unchanged directory from any other."""

    device: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> _Mark:
        facts = os.fstat(descriptor)
        return cls(facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns)


class _Known(NamedTuple):
    """Names, and the mark that the directory has for as long as they are right."""

    mark: _Mark | None
    names: tuple[str, ...]


class KnownNames:
    """Names of the objects in directories; for any thread.

    Args:
        tree: The directories.
        scratch: Where locks are.
        disks: Which devices keep true times.
        at_most: How many names are kept; the longest unused directories go first.
    """

    def __init__(
        self,
        tree: Tree,
        scratch: Scratch,
        disks: TrueDisks,
        at_most: int = _NAMES_AT_MOST,
    ) -> None:
        self._tree = tree
        self._scratch = scratch
        self._disks = disks
        self._known: Recent[str, _Known] = Recent(at_most)

    def of(self, directory: str) -> tuple[str, ...]:
        """Names of the objects right in a directory, sorted; of none if it is missing.

        The very same tuple is returned until a name comes or goes.

        Raises:
            NotADirectoryError: If something else is there.
        """
        try:
            with self._tree.directory(directory) as parent:
                mark = _Mark.of(parent)
                known = self._recall(directory)
                if known.mark == mark:
                    return known.names
                settled = is_settled(mark.mtime_ns, mark.ctime_ns)
                settled = settled and self._disks.has(mark.device, parent)
                names = _read(directory, parent, known.names)
        except FileNotFoundError:
            self._known.drop(directory)
            return ()
        self._remember(directory, _Known(mark if settled else None, names))
        return names

    @contextmanager
    def adding(self, directory: str, parent: int, name: str) -> Iterator[None]:
        """While an object is added to an open directory."""
        with self._scratch.lock_directory(directory):
            before = self._recall(directory)
            unchanged = before.mark == _Mark.of(parent)
            yield
            if unchanged:
                self._note(directory, parent, _with(before.names, name))

    @contextmanager
    def removing(self, directory: str) -> Iterator[None]:
        """While something is removed from a directory."""
        with self._scratch.lock_directory(directory):
            yield

    def _note(self, directory: str, parent: int, names: tuple[str, ...]) -> None:
        stamp_ns = max(time.time_ns(), os.fstat(parent).st_mtime_ns + 1)
        try:
            os.utime(parent, ns=(stamp_ns, stamp_ns))
        except OSError:  # a directory of another user
            return
        mark = _Mark.of(parent)
        if mark.mtime_ns == stamp_ns:  # not rounded to whole seconds
            self._remember(directory, _Known(mark, names))

    def _recall(self, directory: str) -> _Known:
        return self._known.get(directory) or _NOTHING

    def _remember(self, directory: str, known: _Known) -> None:
        self._known.put(directory, known, 1 + len(known.names))


_NOTHING = _Known(None, ())


def _read(directory: str, parent: int, known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the objects in an open directory; ``known`` itself if it is right."""
    checked = frozenset(known)
    start = f"{directory}/" if directory else ""
    with os.scandir(parent) as entries:
        found = [
            entry.name
            for entry in entries
            if (entry.name in checked or is_key(start + entry.name))
            and entry.is_file(follow_symlinks=False)
        ]
    names = tuple(sorted(found))
    return known if names == known else names


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    place = bisect(names, name)
    return (*names[:place], name, *names[place:])
