"""Marks of objects, for who read them once and would not read them again unchanged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from struct import Struct

from brixa_flows.disks import is_settled, times_are_true
from brixa_flows.storage.keys import check_keys

__all__ = ["Marks", "TrueDisks"]

_MISSING = (0, 0, 0, 0, 0)


class TrueDisks:
    """Which devices keep true times; each is looked up once."""

    def __init__(self) -> None:
        self._devices: dict[int, bool] = {}

    def has(self, device: int, descriptor: int) -> bool:
        """Whether the device of an open file does."""
        if device not in self._devices:
            self._devices[device] = times_are_true(descriptor)
        return self._devices[device]

    def has_at(self, device: int, path: str) -> bool:
        """Whether the device of a file does."""
        if device in self._devices:
            return self._devices[device]
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags)
        try:
            return os.fstat(descriptor).st_dev == device and self.has(
                device, descriptor
            )
        finally:
            os.close(descriptor)


class Marks:
    """Marks of the objects below a root.

    Nothing is opened and no link is followed in the last place; a link before it leads
    to another inode than the one that was read.

    Args:
        root: Absolute path.
        disks: Which devices keep true times.
    """

    def __init__(self, root: Path, disks: TrueDisks) -> None:
        self._root = f"{root}/"
        self._disks = disks

    def of(self, keys: Sequence[str]) -> bytes | None:
        """One mark of all; ``None`` where a change could go unnoticed."""
        check_keys(keys)
        values: list[int] = []
        newest_ns = 0
        for key in keys:
            path = self._root + key
            try:
                facts = os.lstat(path)
                if not self._disks.has_at(facts.st_dev, path):
                    return None
            except OSError:  # absent, or nothing that could be read either
                values += _MISSING
                continue
            changed_ns = facts.st_ctime_ns
            newest_ns = max(newest_ns, changed_ns)
            values += (facts.st_dev, facts.st_ino, facts.st_size, changed_ns)
            values.append(facts.st_mtime_ns)
        return _packer(len(keys)).pack(*values) if is_settled(newest_ns) else None


@cache
def _packer(count: int) -> Struct:
    return Struct("<" + "QQqqq" * count)
