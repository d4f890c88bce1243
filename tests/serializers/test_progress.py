"""A bar is drawn where somebody watches, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from brixa_flows.serializers.progress import SHOWN_FROM_BYTES, progress

# Eight threads do a half together, so that what is drawn shows that none was lost.
_HALF_BY_THREADS = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from brixa_flows.serializers.progress import SHOWN_FROM_BYTES, progress
total = int(sys.argv[1])
with progress("checking [tiny] 1.0.0", total) as advance:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(advance, [total // 4096] * 2048))
    print("printed meanwhile")
    with progress("inner", total) as inner:
        inner(total)
    time.sleep(0.25)
print("rich" in sys.modules)
"""


def _drawn_by(total_bytes: int, *, on_terminal: bool) -> tuple[str, list[str]]:
    """What the script writes to stderr, and the lines it writes to stdout."""
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", _HALF_BY_THREADS, str(total_bytes)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        text=True,
    ) as process:
        os.close(theirs)
        drawn = b""
        while chunk := _read(ours):
            drawn += chunk
        assert process.stdout is not None
        printed = process.stdout.read().splitlines()
    os.close(ours)
    assert process.returncode == 0, drawn
    return drawn.decode(), printed


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that nobody holds the other end any more
        return b""


def test_a_long_job_on_a_terminal_draws_one_bar_that_counts_every_thread():
    drawn, printed = _drawn_by(SHOWN_FROM_BYTES, on_terminal=True)
    assert "checking [tiny] 1.0.0" in drawn
    assert "128.0/256.0 MiB" in drawn
    assert "inner" not in drawn
    assert printed == ["printed meanwhile", "True"]


@pytest.mark.parametrize(
    ("total_bytes", "on_terminal"),
    [(SHOWN_FROM_BYTES - 1, True), (SHOWN_FROM_BYTES, False)],
    ids=["short job", "no terminal"],
)
def test_otherwise_nothing_is_drawn_and_no_bar_is_imported(total_bytes, on_terminal):
    drawn, printed = _drawn_by(total_bytes, on_terminal=on_terminal)
    assert drawn == ""
    assert printed == ["printed meanwhile", "False"]


@pytest.mark.parametrize("absent", [None, "closed"])
def test_a_process_without_a_stderr_works_silently(absent, monkeypatch):
    if absent == "closed":
        with open(os.devnull, "w") as absent:
            pass
    monkeypatch.setattr(sys, "stderr", absent)
    with progress("saving", SHOWN_FROM_BYTES) as advance:
        advance(SHOWN_FROM_BYTES)


def test_an_error_ends_the_bar_and_the_next_one_is_drawn(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        for what in ("first", "second"):
            with pytest.raises(OSError, match="full"):
                _draw_and_fail(what)
        terminal.write("END")
        terminal.flush()
        drawn = b""
        while not drawn.endswith(b"END"):
            drawn += os.read(ours, 65536)
    os.close(ours)
    assert b"first" in drawn and b"second" in drawn


def _draw_and_fail(what: str) -> None:
    with progress(what, SHOWN_FROM_BYTES) as advance:
        advance(1)
        raise OSError("the disk is full")
