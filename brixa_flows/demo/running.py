"""Runs a demo from an empty folder to the summary, and leaves nothing behind."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import psutil
from rich.console import Console

from brixa_flows.demo.display import Display
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.project import project_files
from brixa_flows.demo.scenario import MODEL, STEPS, Plan, Scenario
from brixa_flows.demo.stack import PrefectStack, free_port, wait_until
from brixa_flows.demo.summary import Summary
from brixa_flows.demo.watch import LoopWatch
from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage import open_storage
from brixa_flows.tracking import open_store

__all__ = ["Demo", "stop_demo"]

_SET_UP_STEPS = 2
_MLFLOW_SECONDS = 90.0
_OWNER_SECONDS = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the demo to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class Demo:
    """One demo in one folder.

    Args:
        home: The folder.
        console: Where the story is told.
        plan: How much of the year is played.
    """

    def __init__(
        self, home: DemoHome, console: Console, plan: Plan | None = None
    ) -> None:
        self.home = home
        self.console = console
        self.plan = plan or Plan()
        self.keeper = ProcessKeeper(home)

    def run(self, *, keep: bool = False) -> Summary:
        """Start afresh, play, sum up.

        Args:
            keep: Leave Prefect, MLflow's UI and the endpoint running.

        Returns:
            What happened.

        Raises:
            OrchestrationError: If something failed; says what and quotes its log.
            Interrupted: If a signal came. Nothing is left running in either case.
        """
        with _signals_as_exceptions():
            self.home.check_ours()
            self.keeper.claim()
            self.keeper.stop_all()
            self.home.make_fresh()
            self.keeper.record_owner()
            kept = False
            try:
                summary = self._play(keep)
                kept = keep
                return summary
            finally:
                with _signals_ignored():
                    if kept:
                        self.keeper.forget_owner()
                    else:
                        self.keeper.stop_all()

    def _play(self, keep: bool) -> Summary:
        stack = PrefectStack(self.home, self.keeper, project_files())
        display = Display(self.console, _SET_UP_STEPS + STEPS)
        with closing(stack), _own_models_are_trusted(), display:
            registry = self._set_up(stack, display)
            with stack.feed() as feed:
                watch = LoopWatch(stack.api, feed, self.keeper, display.follow)
                scenario = Scenario(
                    self.home, stack, watch, display, registry, self.plan
                )
                story = scenario.play()
                watch.settle()
            if keep:
                self._keep(stack, story.endpoint)
        summary = Summary.gather(self.home, registry, watch, story, display.times)
        summary.write(self.home)
        return summary

    def _set_up(self, stack: PrefectStack, display: Display) -> ModelRegistry:
        settings = BrixaSettings(storage_path=str(self.home.storage))
        registry = ModelRegistry(
            open_storage(str(self.home.storage), settings),
            tracking_uri=self.home.tracking_uri,
            settings=settings,
        )
        with ThreadPoolExecutor(1) as beside:
            with display.step("Start Prefect; read a year of flights meanwhile"):
                stack.start_server()
                data = beside.submit(self._prepare_data)
                stack.wait_for_server()
            with display.step("Deploy prefect.yaml and start a worker"):
                stack.deploy()
                stack.wait_for_worker()
                rows = data.result(_MLFLOW_SECONDS)
        display.say(f"{sum(rows.values()):,} flights of {len(rows)} months are real")
        return registry

    def _prepare_data(self) -> dict[str, int]:
        """Write the labelled months and make MLflow's database."""
        traffic = importlib.import_module("brixa_flows.demo.traffic")
        written: dict[str, int] = traffic.write_months(self.home.data, self.plan.months)
        open_store(self.home.tracking_uri, storage_root=self.home.storage).ping()
        return written

    def _keep(self, stack: PrefectStack, endpoint: str) -> None:
        """Start MLflow's UI and write down what is left running."""
        port = free_port()
        backend = ["--backend-store-uri", self.home.tracking_uri]
        place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        self.keeper.start(
            "mlflow ui",
            [sys.executable, "-m", "mlflow", "server", *backend, *place],
            environment=stack.environment,
            directory=self.home.path,
        )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), _MLFLOW_SECONDS, "MLflow's UI")
        traffic = importlib.import_module("brixa_flows.demo.traffic")
        rows = traffic.month_window(self.home.data, self.plan.traffic_months[0]).rows
        self.home.keep_links(
            {
                "prefect": stack.ui_url,
                "mlflow": url,
                "endpoint": endpoint,
                "curl": traffic.curl_line(endpoint, MODEL, rows),
            }
        )


def _answers(url: str) -> bool:
    httpx = importlib.import_module("httpx")
    try:
        return bool(httpx.get(url, timeout=2).status_code == httpx.codes.OK)
    except httpx.TransportError:
        return False


def stop_demo(home: DemoHome) -> int:
    """End whatever a demo in this folder left running, a running demo included.

    Returns:
        How many processes were ended.
    """
    keeper = ProcessKeeper(home)
    owner = keeper.owner()
    if owner is not None:
        owner.terminate()
        try:
            owner.wait(_OWNER_SECONDS)
        except psutil.TimeoutExpired:
            owner.kill()
    return keeper.stop_all() + (owner is not None)


@contextmanager
def _own_models_are_trusted() -> Iterator[None]:
    """No warning about models that this demo trained itself tears the display."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        yield


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handlers(interrupt):
        yield


@contextmanager
def _signals_ignored() -> Iterator[None]:
    with _handlers(signal.SIG_IGN):
        yield


@contextmanager
def _handlers(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
