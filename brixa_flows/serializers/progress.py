"""A progress bar for what takes long, where somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

__all__ = ["SHOWN_FROM_BYTES", "is_shown", "progress"]

SHOWN_FROM_BYTES = 256 * 2**20
_TERMINAL = Lock()


def is_shown(total_bytes: int) -> bool:
    """Whether so much is worth a bar, and somebody is there to see it."""
    return total_bytes >= SHOWN_FROM_BYTES and _somebody_watches()


@contextmanager
def progress(what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a save or load of many bytes is.

    A bar is drawn on stderr if that is a terminal, the total is at least
    :data:`SHOWN_FROM_BYTES`, and no other bar is being drawn by this process; it
    vanishes at the end. Otherwise nothing is shown, imported or locked.

    Args:
        what: What is being done, such as ``"checking sentiment 1.0.0"``.
        total_bytes: How much there is to do, in bytes.

    Yields:
        A function to call with the number of bytes done since its last call, from any
        thread.
    """
    if not is_shown(total_bytes):
        yield _say_nothing
        return
    if not _TERMINAL.acquire(blocking=False):
        yield _say_nothing
        return
    try:
        with _bar(what, total_bytes) as advance:
            yield advance
    finally:
        _TERMINAL.release()


def _say_nothing(done_bytes: int) -> None:
    """Stands in for a bar."""


def _somebody_watches() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


@contextmanager
def _bar(what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    # Here, because hardly any process draws one.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    # What the program prints meanwhile stays on stdout, which may be a file.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as drawn:
        task = drawn.add_task(escape(what), total=total_bytes)
        yield lambda done_bytes: drawn.advance(task, done_bytes)
