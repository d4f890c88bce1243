"""A uvicorn server that leaves without losing a request."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import Protocol

import uvicorn

from brixa_flows.deployment.engines.silence import SilentConnections

__all__ = ["DrainingServer"]

_LEAVE_SECONDS = 2.0
_POLL_SECONDS = 0.02
_LOOK_TICKS = 10  # of a tenth of a second


class _Drainable(Protocol):
    draining: bool
    leaving: set[tuple[str, int]]


class _Beside(Protocol):
    async def start(self) -> None: ...

    async def drain(self) -> None: ...


class DrainingServer(uvicorn.Server):
    """Serves on a socket that others listen on too, and drains on SIGTERM.

    Closing the listener here leaves the socket open in the other replicas, which take
    what comes next. Every answer from then on carries ``Connection: close``, so clients
    with a kept connection come back to another replica; those that stay silent are let
    go after two seconds, and requests in flight are finished.

    Args:
        config: Of uvicorn.
        application: Is told that it drains.
        on_ready: Called once requests are taken.
        beside: A server of another protocol, which starts and leaves with this one.
        on_end: Called after the last answer, in a thread: uvicorn ends the process by
            the signal that it got, so nothing that follows ``run`` is ever reached.
        head_seconds: How long a client may take to send a request's head.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: _Drainable,
        on_ready: Callable[[], None],
        beside: _Beside | None = None,
        on_end: Callable[[], None] | None = None,
        head_seconds: float = 60.0,
    ) -> None:
        super().__init__(config)
        self._on_end = on_end
        self._beside = beside
        self._application = application
        self._on_ready = on_ready
        self._silent = SilentConnections(head_seconds)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets=sockets)
        if self.started:
            if self._beside is not None:
                await self._beside.start()
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn does ten times a second, and a look at silent connections."""
        if counter % _LOOK_TICKS == 0:
            self._silent.look(self.server_state.connections)
        return await super().on_tick(counter)

    def spread(self, share: float) -> int:
        """Ask a share of the clients that are connected to come by a new connection.

        Returns:
            How many are connected.
        """
        connected = [
            client
            for connection in self.server_state.connections
            if (client := getattr(connection, "client", None)) is not None
        ]
        leaving = random.sample(connected, round(share * len(connected)))
        self._application.leaving = set(leaving)
        return len(connected)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, let the kept ones leave, then end."""
        for server in self.servers:
            server.close()
        self._application.draining = True
        drained = self._beside.drain() if self._beside else asyncio.sleep(0)
        await asyncio.gather(self._let_leave(), drained)
        await super().shutdown(sockets=[])
        if self._on_end is not None:
            await asyncio.to_thread(self._on_end)

    async def _let_leave(self) -> None:
        deadline = time.monotonic() + _LEAVE_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
