"""A real browser, for tests of what people look at."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.requirements_present import require

__all__ = ["page_after_loading"]

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--proxy-server=127.0.0.1:9",  # nobody listens: the browser's own calls end here
]


def page_after_loading(url: str, profile: Path, milliseconds: int) -> str:
    """The elements of a page as HTML, after its scripts ran; skips without Chromium.

    Args:
        url: A file, or a server on the loopback.
        profile: Folder of the browser's own files.
        milliseconds: Virtual time, which does not pass while something is loaded.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    require("Chromium", browser is not None)
    own = [f"--user-data-dir={profile}", f"--virtual-time-budget={milliseconds}"]
    done = subprocess.run(
        [str(browser), *_FLAGS, *own, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
