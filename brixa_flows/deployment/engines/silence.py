"""Closes connections whose request does not come: slow heads hold no place for ever.

uvicorn limits the time between two requests of a connection, and nothing limits the time
that one takes to send a request's head. Connections are looked at once a second, so
requests pay nothing for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

__all__ = ["SilentConnections"]

_TOO_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class SilentConnections:
    """Those that a request is awaited on, and since when.

    Args:
        seconds: How long a head may take, and the first byte of a new connection.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Any, tuple[object, float]] = {}

    def look(self, connections: Iterable[Any]) -> None:
        """Close those that were awaited for too long.

        Args:
            connections: ``HttpToolsProtocol`` of uvicorn; its ``scope`` is that of the
                head that is read, and the ``scope`` of its ``cycle`` that of the last
                one that was whole.
        """
        now, before = time.monotonic(), self._since
        self._since = {}
        for each in filter(_is_awaited, connections):
            head, since = before.get(each, (None, now))
            since = since if head is each.scope else now
            self._since[each] = (each.scope, since)
            if now - since > self._seconds:
                if each.scope is not None:
                    each.transport.write(_TOO_LATE)
                each.transport.close()


def _is_awaited(connection: Any) -> bool:
    cycle = connection.cycle
    if cycle is None:
        return True
    # An empty line after an answer ends uvicorn's own clock and begins no request.
    is_begun = cycle.scope is not connection.scope
    is_free = is_begun or connection.timeout_keep_alive_task is None
    return bool(cycle.response_complete and is_free)
