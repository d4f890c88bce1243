"""A progress bar for what takes long, where somebody is watching."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

__all__ = [
    "SHOWN_AFTER_SECONDS",
    "SHOWN_FROM_BYTES",
    "is_shown",
    "progress",
    "progress_of_rows",
]

SHOWN_FROM_BYTES = 256 * 2**20
SHOWN_AFTER_SECONDS = 2.0
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
    with _drawn_once(what, total_bytes, in_bytes=True) as advance:
        yield advance


@contextmanager
def progress_of_rows(
    what: str, total_rows: int | None
) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many rows are done, from :data:`SHOWN_AFTER_SECONDS` on.

    Args:
        what: What is being done, such as ``"asking flights 1.0.0"``.
        total_rows: How many there are, if that is known.

    Yields:
        A function to call with the number of rows done since its last call.
    """
    if not _somebody_watches():
        yield _say_nothing
        return
    with ExitStack() as stack:
        start, done = time.monotonic(), 0
        drawn: Callable[[int], None] | None = None

        def advance(rows: int) -> None:
            nonlocal drawn, done
            done += rows
            if drawn is not None:
                drawn(rows)
            elif time.monotonic() - start > SHOWN_AFTER_SECONDS:
                bar = _drawn_once(what, total_rows, in_bytes=False)
                drawn = stack.enter_context(bar)
                drawn(done)

        yield advance


@contextmanager
def _drawn_once(
    what: str, total: int | None, *, in_bytes: bool
) -> Iterator[Callable[[int], None]]:
    """A bar, unless another one is being drawn."""
    if not _TERMINAL.acquire(blocking=False):
        yield _say_nothing
        return
    try:
        with _bar(what, total, in_bytes=in_bytes) as advance:
            yield advance
    finally:
        _TERMINAL.release()


def _say_nothing(done: int) -> None:
    """Stands in for a bar."""


def _somebody_watches() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


@contextmanager
def _bar(
    what: str, total: int | None, *, in_bytes: bool
) -> Iterator[Callable[[int], None]]:
    # Here, because hardly any process draws one.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counted = (
        (DownloadColumn(binary_units=True), TransferSpeedColumn())
        if in_bytes
        else (MofNCompleteColumn(),)
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *counted,
        TimeRemainingColumn(),
    )
    # What the program prints meanwhile stays on stdout, which may be a file.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as drawn:
        task = drawn.add_task(escape(what), total=total)
        yield lambda done: drawn.advance(task, done)
