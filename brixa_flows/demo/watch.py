"""Follows the loop from outside: what was announced, which runs it started."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from brixa_flows.demo.feed import EventFeed
from brixa_flows.demo.prefect_api import FlowRun, PrefectApi, SeenEvent
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.errors import OrchestrationError
from brixa_flows.events import EVENTS, EventPayload

__all__ = ["FAILED_ACTION", "LoopWatch"]

FAILED_ACTION = "prefect.automation.action.failed"
_EVER = datetime.min.replace(tzinfo=UTC)
_POLL_SECONDS = 1.0
_LISTEN_SECONDS = 0.1


class LoopWatch:
    """Listens to the server and waits for events; a failed run ends the waiting.

    Args:
        api: The server.
        feed: Its event stream, started.
        keeper: Whose processes must stay alive meanwhile.
        on_change: Called with the watch after each poll.

    Attributes:
        runs: Runs of deployments, in the order of their creation.
        events: Our events, oldest first.
    """

    def __init__(
        self,
        api: PrefectApi,
        feed: EventFeed,
        keeper: ProcessKeeper,
        on_change: Callable[[LoopWatch], None] = lambda watch: None,
    ) -> None:
        self._api = api
        self._feed = feed
        self._keeper = keeper
        self._on_change = on_change
        self.runs: list[FlowRun] = []
        self.events: list[SeenEvent] = []

    def poll(self) -> None:
        """Look once.

        Raises:
            OrchestrationError: If a run failed, an automation could not start one, or
                a process of the demo died; says which and quotes the log.
        """
        self._keeper.check_alive()
        self.runs = self._api.flow_runs()
        self._listen()
        for run in self.runs:
            if run.went_wrong:
                raise OrchestrationError(
                    f"the flow run {run.name!r} is {run.state}: {run.message}\n"
                    f"{self._api.log_tail(run.id)}",
                    flow_run=run.name,
                )

    def _listen(self) -> None:
        heard = self._feed.events()
        for event in heard:
            if event.name == FAILED_ACTION:
                raise OrchestrationError(
                    "an automation could not start its run: "
                    f"{event.payload.get('reason', event.payload)}"
                )
        self.events = [event for event in heard if event.name in EVENTS]
        self._on_change(self)

    def wait_for(
        self,
        payload: type[EventPayload],
        timeout_seconds: float,
        *,
        instead: type[EventPayload] | None = None,
        after: datetime = _EVER,
        **facts: object,
    ) -> SeenEvent:
        """Wait for an event whose payload has the given facts.

        Args:
            payload: Which event.
            timeout_seconds: How long at most.
            instead: Another event that ends the waiting as well.
            after: Events that occurred before this, or then, don't count.
            **facts: What its payload must say.

        Raises:
            OrchestrationError: If it does not come in time, or something failed.
        """
        names = {payload.event, *([instead.event] if instead else [])}
        deadline = time.monotonic() + timeout_seconds
        polled_at = 0.0
        while True:
            if time.monotonic() - polled_at > _POLL_SECONDS:
                self.poll()
                polled_at = time.monotonic()
            self._listen()
            for event in self.events:
                known = event.name in names and event.occurred_at > after
                if known and all(event.payload.get(k) == v for k, v in facts.items()):
                    return event
            if time.monotonic() > deadline:
                raise OrchestrationError(
                    f"no event {payload.event} with {facts or 'any facts'} within "
                    f"{timeout_seconds:.0f} s; {self._under_way()}"
                )
            time.sleep(_LISTEN_SECONDS)

    def settle(self, timeout_seconds: float = 30.0) -> None:
        """Wait until no run is under way, so that a summary has all their times.

        Raises:
            OrchestrationError: If one failed, or takes longer.
        """
        deadline = time.monotonic() + timeout_seconds
        self.poll()
        while not all(run.is_over for run in self.runs):
            if time.monotonic() > deadline:
                raise OrchestrationError(self._under_way())
            time.sleep(_POLL_SECONDS)
            self.poll()

    def _under_way(self) -> str:
        waiting = [f"{run.name} ({run.state})" for run in self.runs if not run.is_over]
        return "runs not over: " + (", ".join(waiting) or "none")
