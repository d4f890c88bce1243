"""A client that does not finish its request's head holds no connection for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import uvicorn

from brixa_flows.deployment.engines.draining import DrainingServer

WHOLE = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
LONG_SECONDS = 2.5


async def application(scope, receive, send):
    if scope["path"] == "/long":
        await asyncio.sleep(LONG_SECONDS)
    head = {"status": 200, "headers": [(b"content-length", b"2")]}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": b"ok"})


async def answer_to(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes until the server closes the connection, or for a long time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def receive() -> None:
        with contextlib.suppress(ConnectionError):  # it was still sending
            while got := await reader.read(1000):
                received.extend(got)
        received.extend(b"<closed>")

    receiving = asyncio.create_task(receive())
    for part in parts:
        await asyncio.sleep(pause)
        if receiving.done():
            break
        writer.write(part)
    await asyncio.wait([receiving], timeout=1.4 * LONG_SECONDS)
    receiving.cancel()
    writer.close()
    return bytes(received)


async def scenario() -> list[bytes]:
    config = uvicorn.Config(
        application, http="httptools", lifespan="off", ws="none", log_config=None
    )
    ready = asyncio.Event()
    switch = SimpleNamespace(draining=False, leaving=set())
    server = DrainingServer(config, switch, ready.set, head_seconds=0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await ready.wait()
        try:
            return await asyncio.gather(
                answer_to(port),
                answer_to(port, *(bytes([each]) for each in WHOLE * 2), pause=0.1),
                answer_to(port, WHOLE % b"", b"\r\n", pause=0.1),
                answer_to(port, WHOLE % b"long", b"GET /", pause=0.1),
                answer_to(port, WHOLE % b"", WHOLE % b"", pause=1.8),
            )
        finally:
            server.should_exit = True
            await serving


def test_who_sends_no_whole_head_is_let_go_and_all_others_are_answered():
    silent, slow, empty_line, long, kept = asyncio.run(scenario())
    assert silent == b"<closed>"
    assert slow.startswith(b"HTTP/1.1 408 ") and slow.endswith(b"<closed>")
    assert empty_line.count(b"200 OK") == 1 and empty_line.endswith(b"<closed>")
    assert long.count(b"200 OK") == 1, "its second head began while it was answered"
    assert kept.count(b"200 OK") == 2 and not kept.endswith(b"<closed>")
