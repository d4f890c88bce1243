"""Chromium, headless, through its DevTools protocol: pages as a person sees them."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import ClientConnection, connect

__all__ = ["Browser", "BrowserError"]

_START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.2
_REST_SECONDS = 1.5
# What Prefect's pages fade in with, and what blinks, would be caught half-way.
_STILL = "*{transition:none!important;animation:none!important;caret-color:transparent}"


class BrowserError(RuntimeError):
    """The browser did not start, or a page did not show what it should."""


class Browser:
    """One tab; use it in a ``with`` block.

    Args:
        program: Chromium or Chrome.
        width: Of the window, in pixels.
        height: The same.
    """

    def __init__(self, program: str, width: int = 1360, height: int = 900) -> None:
        self._program = program
        self._size = (width, height)
        self._number = 0
        self._asked, self._since = -1, 0.0

    def __enter__(self) -> Browser:
        self._profile = tempfile.TemporaryDirectory(
            prefix="brixa-browser-", ignore_cleanup_errors=True
        )
        width, height = self._size
        self._process = subprocess.Popen(
            [
                self._program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--window-size={width},{height}",
                f"--user-data-dir={self._profile.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._tab = self._connect()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tab.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._profile.cleanup()

    def _connect(self) -> ClientConnection:
        file = Path(self._profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + _START_SECONDS
        while not file.exists() or "\n" not in file.read_text():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BrowserError(f"{self._program} did not start")
            time.sleep(_POLL_SECONDS)
        port = file.read_text().splitlines()[0]
        tabs = httpx.get(f"http://127.0.0.1:{port}/json", timeout=_ANSWER_SECONDS)
        [page, *_] = [tab for tab in tabs.json() if tab["type"] == "page"]
        return connect(page["webSocketDebuggerUrl"], max_size=None)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol.

        Raises:
            BrowserError: If the browser refuses it.
        """
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        self._tab.send(json.dumps(call))
        while True:
            answer = json.loads(self._tab.recv(timeout=_ANSWER_SECONDS))
            if answer.get("id") == self._number:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.ask(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise BrowserError(f"{script}: {found['exceptionDetails']['text']}")
        return found["result"].get("value")

    def open(self, url: str, *texts: str, timeout_seconds: float = 60.0) -> str:
        """Go to a page and return its text when it shows all of ``texts``.

        Raises:
            BrowserError: If it does not within the time; quotes what it shows.
        """
        self.ask("Page.navigate", url=url)
        self._asked, self._since = -1, time.monotonic()
        deadline = time.monotonic() + timeout_seconds
        shown = ""
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            shown = str(self.run("document.body ? document.body.innerText : ''"))
            if self._rests() and all(text in shown for text in texts):
                return shown
        missing = [text for text in texts if text not in shown]
        raise BrowserError(f"{url} does not show {missing}, but: {shown[:500]!r}")

    def click(self, selector: str, text: str = "") -> None:
        """Click on the first element that a CSS selector finds, as a mouse does.

        Args:
            selector: Of the element, for which is waited.
            text: What it must say, and nothing else.

        Raises:
            BrowserError: If there is none within a minute.
        """
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})].find(each =>"
            f" !{json.dumps(text)} || each.innerText.trim() == {json.dumps(text)})"
        )
        script = (
            f"(() => {{const found = {find}; if (!found) return null;"
            "found.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const at = found.getBoundingClientRect();"
            "return [at.x + at.width / 2, at.y + at.height / 2]})()"
        )
        deadline = time.monotonic() + _ANSWER_SECONDS
        before, place = None, self.run(script)
        while place is None or place != before:  # until it is there and moves no more
            if time.monotonic() > deadline:
                raise BrowserError(f"there is no {selector} {text!r} to click on")
            time.sleep(_POLL_SECONDS)
            before, place = place, self.run(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def write(self, text: str) -> None:
        """Type into what was clicked on."""
        self.ask("Input.insertText", text=text)

    def _rests(self) -> bool:
        """Whether the page asked its server for nothing more for a while."""
        asked = self.run(
            "document.readyState == 'complete' ?"
            " performance.getEntriesByType('resource').length : -1"
        )
        if asked != self._asked or asked < 0:
            self._asked, self._since = asked, time.monotonic()
        return time.monotonic() - self._since > _REST_SECONDS

    def picture(self, path: Path, *, height: int | None = None) -> Path:
        """Write what is seen as a PNG of at most 256 colours, which keeps it small.

        Args:
            path: Where to.
            height: Of the picture, in pixels; that of the window without it.
        """
        width, seen = self._size
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height or seen,
            deviceScaleFactor=1,
            mobile=False,
        )
        style = json.dumps(_STILL)
        self.run(
            "(() => {const s = document.createElement('style');"
            f"s.textContent = {style}; document.head.append(s)}})()"
        )
        time.sleep(1.0)  # what depends on the size is laid out anew
        shot = self.ask("Page.captureScreenshot", format="png")
        image = Image.open(io.BytesIO(base64.b64decode(shot["data"])))
        image.convert("RGB").quantize(256).save(path, optimize=True)
        return path
