"""Reaching what lies below a root, name by name and never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from brixa_flows.errors import UnsafeKeyError
from brixa_flows.storage.keys import is_key

__all__ = ["Entry", "Tree", "link_refused", "lstat"]

_T = TypeVar("_T")

_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ATTEMPTS = 50


class Entry(NamedTuple):
    """What lies in a directory.

    Attributes:
        key: Its key.
        name: Last part of the key.
        facts: ``lstat`` of it.
    """

    key: str
    name: str
    facts: os.stat_result

    @property
    def is_file(self) -> bool:
        """Whether it is an object; a link is none."""
        return stat.S_ISREG(self.facts.st_mode)

    @property
    def kind(self) -> str:
        """What it is, in words of people."""
        mode = self.facts.st_mode
        if stat.S_ISLNK(mode):
            return "symbolic link"
        if self.is_file:
            return "file"
        return "folder" if self.is_directory else "special file"

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory; a link to one is none."""
        return stat.S_ISDIR(self.facts.st_mode)


class Tree:
    """The directories below a root.

    Each step opens one name relative to the directory before it with ``O_NOFOLLOW``,
    so a link that is put there meanwhile is refused too. A path that ends early is a
    ``FileNotFoundError`` or ``NotADirectoryError``.

    Args:
        root: An existing directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def directory(self, key: str, *, make: bool = False) -> Iterator[int]:
        """Descriptor of the directory ``key`` (``""`` is the root).

        Args:
            key: A checked key.
            make: Make what is missing on the way.

        Raises:
            UnsafeKeyError: If there is a symlink on the way.
        """
        current = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in key.split("/") if key else ():
                below = _enter(current, name, key, make)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    @contextmanager
    def parent(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Descriptor of the directory that holds ``key``, and its name in there."""
        above, _, name = key.rpartition("/")
        with self.directory(above, make=make) as descriptor:
            yield descriptor, name

    def change(
        self, key: str, act: Callable[[int, str], _T], *, durable: bool = True
    ) -> _T:
        """Act on the key's directory and, if ``durable``, force it to the device.

        The directory is made where it is missing, again where another process prunes
        it at the same time.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.parent(key, make=True) as (parent, name):
                    result = act(parent, name)
                    if durable:
                        os.fsync(parent)
                    return result
            except FileNotFoundError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def prune(self, key: str) -> None:
        """Remove the directories above ``key`` that have become empty."""
        above, _, _ = key.rpartition("/")
        with suppress(OSError):  # the first that is not empty ends it
            while above:
                with self.parent(above) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
                above, _, _ = above.rpartition("/")

    def facts(self, key: str) -> os.stat_result | None:
        """``lstat`` of an object, ``None`` if there is none.

        Raises:
            UnsafeKeyError: If it is, or lies behind, a symlink.
        """
        try:
            with self.parent(key) as (parent, name):
                facts = lstat(name, parent)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if facts is not None and stat.S_ISLNK(facts.st_mode):
            raise link_refused(key)
        return facts if facts is not None and stat.S_ISREG(facts.st_mode) else None

    def entries(self, key: str) -> list[Entry]:
        """What lies in a directory, in the order of keys; empty if there is none."""
        found: list[Entry] = []
        try:
            with self.directory(key) as parent:
                for name in os.listdir(parent):
                    below = f"{key}/{name}" if key else name
                    facts = lstat(name, parent) if is_key(below) else None
                    if facts is not None:
                        found.append(Entry(below, name, facts))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda one: one.name + "/" * one.is_directory)

    def no_keys(self, key: str) -> list[str]:
        """Names in a directory that no key can have, but hidden ones, sorted."""
        try:
            with self.directory(key) as parent:
                names = os.listdir(parent)
        except (FileNotFoundError, NotADirectoryError):
            return []
        start = f"{key}/" if key else ""
        return sorted(n for n in names if n[0] != "." and not is_key(start + n))

    def holds_object(self, key: str) -> bool:
        """Whether there is, or may be, an object somewhere below a directory."""
        below: list[str] = []
        try:
            with self.directory(key) as parent, os.scandir(parent) as entries:
                for each in entries:
                    if not is_key(f"{key}/{each.name}"):
                        continue
                    if each.is_file(follow_symlinks=False):
                        return True
                    if each.is_dir(follow_symlinks=False):
                        below.append(f"{key}/{each.name}")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:  # nobody can say that there is none
            return True
        return any(map(self.holds_object, below))


def lstat(name: str, parent: int) -> os.stat_result | None:
    """Facts of a name in an open directory, ``None`` if there is none."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def link_refused(key: str) -> UnsafeKeyError:
    """The error of a symlink on a key's path."""
    return UnsafeKeyError(key, "there is a symbolic link on its path; remove the link")


def _enter(parent: int, name: str, key: str, make: bool) -> int:
    try:
        return os.open(name, _ENTER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as err:
        facts = lstat(name, parent)
        if facts is not None and stat.S_ISLNK(facts.st_mode):
            raise link_refused(key) from err
        raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, _ENTER, dir_fd=parent)
