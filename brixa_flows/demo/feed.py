"""The server's event stream, as it flows; its database hears of an event later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from prefect.events import Event
from prefect.events.clients import PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter

from brixa_flows.demo.prefect_api import SeenEvent

__all__ = ["EventFeed"]

_CLOSE_SECONDS = 5.0
_FLOW_RUN = "prefect.flow-run."


class EventFeed:
    """Collects events in a thread from :meth:`start` to :meth:`close`.

    What it misses while it is not connected, the server sends again.

    Args:
        api_url: The server's API.
        prefixes: Names of events begin with one of these.
    """

    def __init__(self, api_url: str, prefixes: Sequence[str]) -> None:
        self._api_url = api_url
        self._prefixes = list(prefixes)
        self._seen: dict[str, SeenEvent] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def events(self) -> list[SeenEvent]:
        """What came until now, oldest first."""
        return sorted(self._seen.copy().values(), key=lambda event: event.occurred_at)

    def close(self) -> None:
        """Stop listening."""
        if self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._task = self._loop.create_task(self._listen())
            self._loop.run_until_complete(self._task)
        except (asyncio.CancelledError, OSError):
            return  # closed by us, or the server is gone, which the watch reports
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _listen(self) -> None:
        names = EventFilter(event=EventNameFilter(prefix=self._prefixes))
        subscriber = PrefectEventSubscriber(self._api_url, names)
        async with subscriber as stream:
            async for event in stream:
                self._seen.setdefault(str(event.id), _seen(event))


def _seen(event: Event) -> SeenEvent:
    runs = [
        item.id.removeprefix(_FLOW_RUN)
        for item in event.related
        if item.id.startswith(_FLOW_RUN)
    ]
    return SeenEvent(
        id=str(event.id),
        name=event.event,
        occurred_at=event.occurred,
        payload=dict(event.payload),
        flow_run_id=runs[0] if runs else "",
        resource=dict(event.resource.root),
    )
