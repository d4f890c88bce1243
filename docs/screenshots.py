"""``make screenshots``: the demo, looked at in Chromium; writes docs/images/*.png.

With ``--home DIR`` a demo that was kept there (`make demo KEEP=1`) is looked at instead.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.running import Demo
from brixa_flows.demo.scenario import MODEL
from docs.browser import Browser

IMAGES = Path(__file__).parent / "images"
BYTES_AT_MOST = 300_000
_UI = "/v2"  # what the server's root leads to


@dataclass(frozen=True)
class Picture:
    """A page and what it must show before it is taken.

    Attributes:
        name: Of the file.
        path: Of the page, found on the server.
        texts: What the page shows when it is whole.
        height: Of the picture, in pixels.
    """

    name: str
    path: Callable[[Server], str]
    texts: tuple[str, ...]
    height: int


@dataclass(frozen=True)
class Server:
    """The demo's Prefect server."""

    url: str

    def find(self, kind: str, **facts: Any) -> list[dict[str, Any]]:
        """Objects of a kind, newest first."""
        answer = httpx.post(
            f"{self.url}/api/{kind}/filter", json={"limit": 100, **facts}, timeout=30
        )
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def report(self, key: str, *texts: str) -> str:
        """Page of the newest report with that key whose data say all of ``texts``."""
        for artifact in self.find("artifacts", sort="CREATED_DESC"):
            data = str(artifact["data"])
            if artifact["key"] == key and all(text in data for text in texts):
                return f"{_UI}/artifacts/artifact/{artifact['id']}"
        raise SystemExit(f"the demo made no report {key} that says {texts}")

    def run(self, name: str) -> str:
        """Page of the newest flow run whose name begins so."""
        for run in self.find("flow_runs", sort="START_TIME_DESC"):
            if run["name"].startswith(name):
                return f"{_UI}/runs/flow-run/{run['id']}"
        raise SystemExit(f"the demo had no run {name!r}")


PICTURES = (
    Picture("runs", lambda server: f"{_UI}/runs", ("promote", "deploy"), 1150),
    Picture(
        "automations",
        lambda server: f"{_UI}/automations",
        ("Retrain after an alarm on a month",),
        1000,
    ),
    Picture(
        "promotion",
        lambda server: server.report(f"decided-{MODEL}", "allowed", "against"),
        ("Lineage", "better"),
        1340,
    ),
    Picture(
        "drift-alarm",
        lambda server: server.report(f"drift-{MODEL}", "# A drift alarm"),
        ("A drift alarm about",),
        1050,
    ),
    Picture(
        "run",
        lambda server: server.run(f"promote {MODEL}"),
        ("Report: ",),
        900,
    ),
    Picture(
        "registry-block",
        lambda server: f"{_UI}/blocks/catalog/brixa-registry/create",
        ("Trust Policy",),
        800,
    ),
)


def take(pictures: tuple[Picture, ...], url: str, folder: Path) -> None:
    """Take pictures of a server's pages.

    Raises:
        SystemExit: If one is larger than README and docs should carry.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("there is no Chromium on this machine; install it first")
    folder.mkdir(exist_ok=True)
    server = Server(url)
    with Browser(program) as browser:
        for picture in pictures:
            browser.open(url + picture.path(server), *picture.texts)
            path = browser.picture(
                folder / f"{picture.name}.png", height=picture.height
            )
            size = path.stat().st_size
            print(f"{path}: {size // 1000} kB")
            if size > BYTES_AT_MOST:
                raise SystemExit(f"{path} is larger than {BYTES_AT_MOST} bytes")


@contextlib.contextmanager
def _running(home: str | None) -> Iterator[str]:
    """URL of a demo's Prefect: one that was kept, or one of our own."""
    if home:
        yield json.loads(DemoHome(home).links.read_text())["prefect"]
        return
    with tempfile.TemporaryDirectory(prefix="brixa-screenshots-") as folder:
        demo = Demo(DemoHome(Path(folder) / "home"), Console(stderr=True))
        try:
            yield demo.run(keep=True).links["prefect"]
        finally:
            demo.keeper.stop_all()


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="folder of a demo that was kept")
    parser.add_argument("names", nargs="*", help="pictures to take; all without any")
    given = parser.parse_args()
    wanted = tuple(
        each for each in PICTURES if not given.names or each.name in given.names
    )
    with _running(given.home) as url:
        take(wanted, url, IMAGES)


if __name__ == "__main__":
    sys.exit(main())
