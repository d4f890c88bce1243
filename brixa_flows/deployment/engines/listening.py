"""The ports of a deployment: opened, waited for, and why one can't be had."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from brixa_flows.deployment.engines.reserving import ReservedPort
from brixa_flows.deployment.engines.runtime import RuntimeFolder
from brixa_flows.errors import DeploymentError

__all__ = ["open_port", "why_unusable"]

_QUEUE_LENGTH = 2048
_LINGER_SECONDS = 40.0  # a replica that drains ends by force after thirty
_POLL_SECONDS = 0.02
_ADDRESSES = "give 127.0.0.1, 0.0.0.0 for all addresses of this machine, or one of them"

_Result = TypeVar("_Result")


def open_port(
    host: str, port: int, grpc_port: int, runtime: RuntimeFolder
) -> socket.socket:
    """Listen, as soon as replicas of a supervisor that was killed have left both ports.

    Args:
        host: Address to bind.
        port: Of HTTP, 0 for a free one.
        grpc_port: Checked to be free, as the supervisor takes it later; 0 for none.
        runtime: Of the deployment; tells whether such replicas live.

    Returns:
        The listening socket.

    Raises:
        DeploymentError: If a port can't be had.
    """
    _check_address(host)
    listening = _outlast(lambda: _listen(host, port), runtime)
    try:
        if grpc_port:
            _outlast(lambda: _check_free(host, grpc_port), runtime)
    except DeploymentError:
        listening.close()
        raise
    return listening


def _outlast(take: Callable[[], _Result], runtime: RuntimeFolder) -> _Result:
    """Take a port, again and again while replicas that nobody looks after live."""
    deadline = time.monotonic() + _LINGER_SECONDS
    while True:
        linger = runtime.has_replicas()
        try:
            return take()
        except DeploymentError:
            if not linger or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _check_address(host: str) -> None:
    """Refuse the short forms that HTTP would be served on and gRPC knows nothing of.

    Raises:
        DeploymentError: If it looks like an address and is none.
    """
    if re.fullmatch(r"[\d.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError as err:
            raise DeploymentError(f"host = {host[:80]!r}: {err}; {_ADDRESSES}") from err


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(_family(host))
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_QUEUE_LENGTH)
    except OSError as err:
        listening.close()
        raise DeploymentError(why_unusable(host, port, err)) from err
    return listening


def _check_free(host: str, port: int) -> None:
    with contextlib.closing(ReservedPort()) as tried:
        try:
            tried.hold(host, port)
        except OSError as err:
            raise DeploymentError(why_unusable(host, port, err, " for gRPC")) from err


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def why_unusable(host: str, port: int, err: OSError, use: str = "") -> str:
    """What is wrong with the address, or the port there, as a sentence.

    Args:
        host: That was to be bound.
        port: The same.
        err: What the machine said.
        use: What for, in words that follow on "can't be used".
    """
    if isinstance(err, socket.gaierror):
        return f"host = {host[:80]!r} is not known here ({err.strerror}); {_ADDRESSES}"
    if err.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        return f"host = {host!r} is no address of this machine; {_ADDRESSES}"
    if err.errno in (errno.EACCES, errno.EPERM):
        return (
            f"port {port} of {host} can't be used{use} ({err.strerror}); ports below "
            "1024 need rights that you don't have, so choose another one"
        )
    return (
        f"port {port} of {host} can't be used{use} ({err.strerror}); stop what uses it, "
        "or choose another port (one that is deployed keeps its own until it is "
        "deleted)"
    )
