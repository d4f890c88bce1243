"""What the time stamps of a file or directory are worth.

Who remembers what it read, to read it again only after a change, needs stamps that the
kernel sets on every change and that no two changes share.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

__all__ = ["SETTLED_AFTER_NANOSECONDS", "is_settled", "times_are_true"]

SETTLED_AFTER_NANOSECONDS = 2 * 10**9
"""What changed less long ago may change once more within one tick of the clock."""

_LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "xfs", "zfs"}
_MOUNTS = Path("/proc/self/mountinfo")


def is_settled(*stamps_ns: int) -> bool:
    """Every change from now on gets another stamp than these."""
    return time.time_ns() - max(stamps_ns) >= SETTLED_AFTER_NANOSECONDS


def times_are_true(descriptor: int, mounts: Path = _MOUNTS) -> bool:
    """The kernel itself keeps the times of an open file, on a disk of this machine."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
        mount = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
        for line in mounts.read_text().splitlines():
            if line.split(" ", 1)[0] == mount:
                return line.partition(" - ")[2].split(" ", 1)[0] in _LOCAL
    return False
