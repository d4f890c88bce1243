"""A real Prefect server and worker of the demo's own, on free loopback ports."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.workers.process import ProcessWorker

from brixa_flows.demo.feed import EventFeed
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.prefect_api import PrefectApi
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.watch import FAILED_ACTION
from brixa_flows.errors import OrchestrationError

__all__ = ["POOL", "PrefectStack", "free_port", "wait_until"]

POOL = "brixa"
_RECONCILE = "reconcile/brixa"
_SERVER = "prefect server"
_WORKER = "prefect worker"
_SERVER_SECONDS = 120.0
_STEP_SECONDS = 120.0
_ATTEMPTS = 3
_FLOWS_AT_A_TIME = 3


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    done: Callable[[], bool], timeout_seconds: float, what: str, pause: float = 0.2
) -> None:
    """Ask until ``done`` says yes.

    Raises:
        OrchestrationError: If it does not within the time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not done():
        if time.monotonic() > deadline:
            raise OrchestrationError(f"{what}: not within {timeout_seconds:.0f} s")
        time.sleep(pause)


class PrefectStack:
    """Server, work pool, deployments, worker.

    Args:
        home: The demo's folder.
        keeper: Starts and ends the processes.
        project: The folder with prefect.yaml.
    """

    def __init__(self, home: DemoHome, keeper: ProcessKeeper, project: Path) -> None:
        self._home = home
        self._keeper = keeper
        self._project = project
        self._use_port(free_port())

    def _use_port(self, port: int) -> None:
        self._port = port
        self.environment = self._home.environment(port)
        self.api = PrefectApi(self.environment["PREFECT_API_URL"])

    @property
    def ui_url(self) -> str:
        """Where a person looks."""
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        """Close our connections; the processes are the keeper's."""
        self.api.close()

    def start_server(self) -> None:
        """Start the server; :meth:`wait_for_server` tells when it answers."""
        host = ["--host", "127.0.0.1", "--port", str(self._port)]
        self._start(_SERVER, ["-m", "brixa_flows.demo.prefect_server", *host])

    def wait_for_server(self) -> None:
        """Return when the server answers; a port that was taken meanwhile is left.

        Raises:
            OrchestrationError: If it does not start; quotes its log.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._until(self.api.is_healthy, _SERVER_SECONDS, "the Prefect server")
                return
            except OrchestrationError:
                taken = "in use" in self._keeper.log_tail(_SERVER)
                if not taken or attempt == _ATTEMPTS:
                    raise
            self.api.close()
            self._use_port(free_port())
            self.start_server()

    @contextmanager
    def feed(self) -> Iterator[EventFeed]:
        """The events of the loop, listened to while the block runs."""
        feed = EventFeed(self.api.url, ["brixa.", FAILED_ACTION])
        feed.start()
        try:
            yield feed
        finally:
            feed.close()

    def deploy(self) -> None:
        """Make the pool, the block documents and every deployment; start a worker.

        Raises:
            OrchestrationError: If a step fails; quotes its log.
        """
        self.api.create_pool(POOL, self._job_template(), _FLOWS_AT_A_TIME)
        self._start("blocks", ["-m", "blocks"])
        self._start(
            "prefect deploy", ["-m", "prefect", "--no-prompt", "deploy", "--all"]
        )
        self.start_worker()
        self._keeper.wait("blocks", _STEP_SECONDS)
        self._keeper.wait("prefect deploy", _STEP_SECONDS)
        self.api.pause_deployment(_RECONCILE)  # a demo of minutes loses nothing

    def _job_template(self) -> dict[str, Any]:
        """A process pool that starts the engine itself, in the project's folder.

        Without a command the worker starts a process that prepares a workspace and
        then another one for the flow, and each imports Prefect.
        """
        template = ProcessWorker.get_default_base_job_template()
        variables = template["variables"]["properties"]
        variables["command"]["default"] = f"{sys.executable} -m prefect.engine"
        variables["working_dir"]["default"] = str(self._project)
        return template

    def start_worker(self) -> None:
        """Start a process worker.

        How many flows run at a time is the pool's business: a worker of Prefect 3.8 with
        a ``--limit`` dies when a suspended run is resumed before its process has ended.
        """
        pool = ["--pool", POOL, "--type", "process", "--name", "demo"]
        command = ["-m", "prefect", "worker", "start", *pool]
        self._start(_WORKER, command)

    def wait_for_worker(self) -> None:
        """Return when the worker polls.

        Raises:
            OrchestrationError: If it does not; quotes its log.
        """
        polls = lambda: self.api.online_workers(POOL) > 0  # noqa: E731
        self._until(polls, _STEP_SECONDS, "the Prefect worker")

    def _until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        def done_or_dead() -> bool:
            self._keeper.check_alive()
            return done()

        wait_until(done_or_dead, seconds, what)

    def _start(self, name: str, arguments: list[str]) -> None:
        self._keeper.start(
            name,
            [sys.executable, *arguments],
            environment=self.environment,
            directory=self._project,
        )
