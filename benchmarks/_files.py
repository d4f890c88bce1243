"""What the benchmarks of files share: cold caches, turns, touching, memory."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PIECE_BYTES = 16 * 2**20


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256_pass(paths: Iterable[Path]) -> None:
    """Hash files one after the other."""
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def forget_pages(folder: Path) -> None:
    """Drop files from the page cache, so that the disk is read."""
    os.sync()
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def forget_verified(folder: Path) -> None:
    """Make files look changed (a new ctime), so that they are hashed again.

    What changed less than two seconds ago is not remembered as verified, so wait.
    """
    for path in files_below(folder):
        path.chmod(path.stat().st_mode)
    time.sleep(2.1)


def take_turns(
    sides: Mapping[str, Callable[[], Any]],
    rounds: int,
    before: Callable[[str], None] = lambda side: None,
) -> dict[str, float]:
    """Seconds of the best round of each side; the sides take turns.

    Args:
        sides: What is measured; what it returns is dropped after the clock stops.
        rounds: How often.
        before: Called with the side's name, not measured.
    """
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for side, run in sides.items():
            gc.collect()
            before(side)
            start = time.perf_counter()
            kept = run()
            best[side] = min(best[side], time.perf_counter() - start)
            del kept
    return best


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Bytes of anonymous memory that the process takes at most meanwhile, above now."""
    base, peak, stop = _anonymous_bytes(), [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            peak[0] = max(peak[0], _anonymous_bytes() - base)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this benchmark reads /proc/self/status, which Linux has")


def ratio(what: str, mine: float, peers: float, at_most: float | None = None) -> None:
    """Print one row, with what is to be reached where that is said."""
    found = mine / peers
    line = f"  {what:<40} {mine * 1e3:9.2f} ms against {peers * 1e3:9.2f} ms: {found:5.2f}x"
    if at_most is not None:
        line += f" (at most {at_most}x: {'reached' if found <= at_most else 'MISSED'})"
    print(line, flush=True)
