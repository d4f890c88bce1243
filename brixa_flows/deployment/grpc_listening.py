"""A gRPC server that leaves without losing a call.

Each replica listens on the deployment's port with SO_REUSEPORT. A server of grpcio that
is stopped cancels the calls which reach it while its GOAWAY travels. So it is stopped
only when nobody is connected any more: connections live for a few seconds, after which
the server asks their clients, call by call, to come back by a new one
(``max_connection_age``), and once it listens no longer these go to other replicas.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from grpc import aio

from brixa_flows.deployment.grpc_service import InferenceService
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.switch import Switch
from brixa_flows.deployment.tls import TlsFiles

__all__ = ["GrpcServer"]

_AGE_SECONDS = 5.0
_LEAVE_SECONDS = _AGE_SECONDS * 1.1 + 1.0  # grpc adds or takes a tenth at random
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05
_HIGH_DESCRIPTOR = 65536  # the kernel's table of descriptors grows to it: half a MB


class GrpcServer:
    """Serves on a port that other replicas serve, too; lives on one event loop.

    Args:
        switch: In front of what is served.
        host: Address to bind.
        port: Port to share.
        limits: How much is taken at once.
        tls: What to encrypt with.
    """

    def __init__(
        self,
        switch: Switch,
        host: str,
        port: int,
        limits: Limits,
        tls: TlsFiles | None = None,
    ) -> None:
        self._switch = switch
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._port = port
        self._limits = limits
        self._tls = tls
        self._server: aio.Server | None = None

    async def start(self) -> None:
        """Begin to take calls.

        Raises:
            RuntimeError: If the port can't be bound.
            OSError: If the files of TLS can't be read.
        """
        self._server = aio.server(
            options=(
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", self._limits.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_age_ms", int(1000 * _AGE_SECONDS)),
            )
        )
        self._server.add_generic_rpc_handlers((InferenceService(self._switch),))
        if self._tls is None:
            self._server.add_insecure_port(self._address)
        else:
            files = (Path(self._tls.key), Path(self._tls.certificate))
            pair = tuple(file.read_bytes() for file in files)
            self._server.add_secure_port(
                self._address, grpc.ssl_server_credentials((pair,))
            )
        await self._server.start()
        for listening in _sockets(self._port, listening=True):
            _close_first(listening)

    async def drain(self) -> None:
        """Take no new connection, wait until those there are left, then stop."""
        assert self._server is not None
        for listening in _sockets(self._port, listening=True):
            # grpcio closes its listener and its connections at the same time only.
            listening.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _LEAVE_SECONDS
        while any(_sockets(self._port, listening=False)):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        await self._server.stop(_GRACE_SECONDS)


def _close_first(listening: socket.socket) -> None:
    """Have the kernel close a listener before this process's connections if it is killed.

    Linux lets go of what a dead process had open from the highest descriptor down, so
    clients would hear of their connections' end first and come back to a listener that
    dies too, in place of other replicas: their channels then fail calls for a second. A
    second descriptor above all others turns that round.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY or most > _HIGH_DESCRIPTOR:
        most = _HIGH_DESCRIPTOR
    with contextlib.suppress(OSError):
        fcntl.fcntl(listening, fcntl.F_DUPFD_CLOEXEC, most - 16)


def _sockets(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """This process's sockets on a port of its own that listen, or are connected.

    Yields duplicates, which are closed after use.
    """
    for name in os.listdir("/dev/fd"):
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(int(name))) as one,
        ):
            is_there = one.family in (socket.AF_INET, socket.AF_INET6)
            if not is_there or one.getsockname()[1] != port:
                continue
            if bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
                if listening:
                    yield one
            elif (
                not listening and one.getpeername()
            ):  # raises if it is connected to none
                yield one
