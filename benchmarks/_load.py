"""Keep-alive clients that never ask twice and count honestly; a process of its own.

    python benchmarks/_load.py HOST PORT CONNECTIONS BODY [PATH] < stops-at-end-of-file
    python benchmarks/_load_grpc.py HOST PORT CONNECTIONS BODY < stops-at-end-of-file

Every request that is sent is counted once: by the version that answered it, or as failed,
also when its connection ends before an answer came. ``Connection: close`` is obeyed, as
every client does; nothing else is forgiven. A line of JSON a second says how far it is,
and the last one is the result.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import Any

_VERSION = re.compile(rb'"model_version":\s*"([^"]*)"')


class Load:
    """Many connections to one endpoint.

    Args:
        host: Of the endpoint.
        port: Of the endpoint.
        body: Of every request.
        path: That is asked.
    """

    def __init__(
        self, host: str, port: int, body: bytes, path: str = "/predict"
    ) -> None:
        self._host, self._port = host, port
        self._request = (
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
        )
        self.answers: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.slowest = 0.0
        self.ending = False

    async def client(self) -> None:
        """One connection, again and again."""
        streams = None
        while not self.ending:
            began = time.perf_counter()
            try:
                streams = streams or await asyncio.open_connection(
                    self._host, self._port
                )
                version, leave = await asyncio.wait_for(self._ask(*streams), 30)
            except (OSError, EOFError, ValueError) as err:
                self.failed[f"{type(err).__name__}: {err}"[:80]] += 1
                leave = True
            else:
                self.answers[version] += 1
                self.slowest = max(self.slowest, time.perf_counter() - began)
            if leave and streams is not None:
                streams[1].close()
                streams = None
        if streams is not None:
            streams[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, bool]:
        writer.write(self._request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        if length is None:
            raise ValueError("no content-length")
        content = await reader.readexactly(int(length[1]))
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(f"{head[:12].decode()} {content[:60]!r}")
        found = _VERSION.search(content)
        version = found[1].decode() if found else ""  # peers tell none
        return version, b"connection: close" in head

    def result(self) -> dict[str, Any]:
        """What was counted so far."""
        return {
            "answers": dict(self.answers),
            "failed": dict(self.failed),
            "slowest_ms": round(1000 * self.slowest, 1),
        }


async def run(load: Any, connections: int) -> None:
    """Ask until stdin ends.

    Args:
        load: With ``client()``, ``result()`` and ``ending``.
        connections: How many ask at the same time.
    """
    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    clients = [asyncio.create_task(load.client()) for _ in range(connections)]
    while not over.done():
        say(load)
        await asyncio.wait([over], timeout=0.25)
    load.ending = True
    await asyncio.gather(*clients)
    say(load)


def say(load: Any) -> None:
    """A line of what was counted, and when, on a clock that all processes share."""
    facts = {**load.result(), "at_seconds": time.monotonic()}
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    host, port, connections, body, *path = sys.argv[1:]
    asyncio.run(run(Load(host, int(port), body.encode(), *path), int(connections)))
