"""Callers of gRPC that come while no replica listens wait, and are not refused.

grpcio opens its listeners itself, so replicas can't inherit one as they do for HTTP: when
the last of them crashes nobody would hold the port, and a channel that was refused fails
calls for a second. So the supervisor listens beside them, as the first of the sockets
that share the port, and has the kernel choose among the others as long as there are any
(SO_ATTACH_REUSEPORT_CBPF, Linux; a program needs no rights). What reaches it nevertheless
is held until a replica listens, then handed on byte by byte: a replica asks such clients,
like all, to come by a new connection after some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct

__all__ = ["Doorkeeper"]

_ATTACH_REUSEPORT_CBPF = 51
_MOST_HELD = 1024
_HELD_SECONDS = 120.0
_PROOF_SECONDS = 0.05
_LOOPBACK = {"::": "::ffff:127.0.0.1", "0.0.0.0": "127.0.0.1"}
_PIECE_BYTES = 256 * 1024
# Of linux/filter.h, as (code, constant): load a random number, modulo, add, return.
_LOAD_RANDOM = (0x20, 0xFFFFF000 + 56)
_MODULO, _ADD, _RETURN_IT, _RETURN = 0x94, 0x04, 0x16, 0x06

logger = logging.getLogger(__name__)


class Doorkeeper:
    """Listens on a port behind the replicas that share it; lives on one event loop."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._held = 0
        self._asking: tuple[str, int] | None = None
        self._asks_itself = False

    async def listen(self, bound: socket.socket) -> None:
        """Listen on a port, before any replica does.

        Where the kernel can't choose it listens nowhere, and callers are refused while no
        replica does.

        Args:
            bound: Bound and shared (SO_REUSEPORT).
        """
        if bound is self._socket:
            return
        self.close()
        shared = bound.dup()
        try:
            _choose_among(shared, 0)
            self._server = await asyncio.start_server(self._meet, sock=shared)
        except OSError as err:
            shared.close()
            logger.info("callers of gRPC are refused while no replica listens: %s", err)
            return
        self._open.clear()
        self._socket = bound

    def expect(self, replicas: int) -> None:
        """Say how many replicas listen; one that leaves counts no more."""
        if self._socket is not None:
            _choose_among(self._socket, replicas)
            (self._open.set if replicas else self._open.clear)()

    async def prove(self) -> None:
        """Listen no longer if the replicas' listeners are asked behind this one."""
        if self._socket is None:
            return
        host, port = self._socket.getsockname()[:2]
        address = _LOOPBACK.get(host, host)
        with socket.socket(self._socket.family) as asking:
            asking.bind((address, 0))
            self._asking, self._asks_itself = asking.getsockname()[:2], False
            asking.setblocking(False)
            await asyncio.get_running_loop().sock_connect(asking, (address, port))
            await asyncio.sleep(_PROOF_SECONDS)
        if self._asks_itself:
            logger.info("callers of gRPC are refused while no replica listens")
            self.close()

    def close(self) -> None:
        """Listen no longer; the port stays bound."""
        if self._server is not None and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._server.close()
        self._socket = self._server = None

    async def _meet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hold a caller until somebody listens, then stand between both."""
        if writer.get_extra_info("peername")[:2] == self._asking:
            self._asks_itself = True
            writer.close()
            return
        self._held += 1
        try:
            if self._held <= _MOST_HELD:
                await asyncio.wait_for(self._open.wait(), _HELD_SECONDS)
                address = writer.get_extra_info("sockname")[:2]
                there, back = await asyncio.open_connection(*address)
                await asyncio.gather(_hand_on(reader, back), _hand_on(there, writer))
        except OSError as err:  # or nobody came back in time
            logger.info("a caller could not be handed on: %r", err)
        finally:
            self._held -= 1
            writer.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def _choose_among(shared: socket.socket, others: int) -> None:
    """Have the kernel give each new connection to one of the others, if there are any.

    They are numbered from 1, as ``shared`` was there first; when one goes the last takes
    its number. A number that nobody has means any of all.

    Raises:
        OSError: If this kernel can't.
    """
    if others:
        steps = [_LOAD_RANDOM, (_MODULO, others), (_ADD, 1), (_RETURN_IT, 0)]
    else:
        steps = [(_RETURN, 0)]
    code = b"".join(struct.pack("HBBI", step, 0, 0, value) for step, value in steps)
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(steps), ctypes.addressof(kept))
    shared.setsockopt(socket.SOL_SOCKET, _ATTACH_REUSEPORT_CBPF, program)
