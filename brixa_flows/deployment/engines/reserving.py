"""A port that several processes listen on, kept by the one that starts them."""

from __future__ import annotations

import socket

__all__ = ["ReservedPort"]


class ReservedPort:
    """Bound, so that no stranger gets it between two listeners.

    Listeners with SO_REUSEPORT of the same user bind beside it; connections go to them
    alone, as long as nobody listens on this one.

    Attributes:
        bound: The socket, if one is kept.
    """

    def __init__(self) -> None:
        self.bound: socket.socket | None = None

    def hold(self, host: str, port: int) -> int:
        """Keep a port until this process ends, or another one is asked for.

        Args:
            host: Address to bind.
            port: The port, 0 for the one that is kept, else a free one.

        Returns:
            The port.

        Raises:
            OSError: If it is in use; what was kept is kept.
        """
        if self.bound is None or port not in (0, self._port):
            bound, address = _like_grpc(host)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((address, port))
                # Shared once it is bound: asked for before, another deployment's port
                # of the same user would do as well.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            except OSError:
                bound.close()
                raise
            self.close()
            self.bound = bound
        return self._port

    def close(self) -> None:
        """Keep none."""
        if self.bound is not None:
            self.bound.close()
            self.bound = None

    @property
    def _port(self) -> int:
        assert self.bound is not None
        return int(self.bound.getsockname()[1])


def _like_grpc(host: str) -> tuple[socket.socket, str]:
    """A socket of the family that grpc takes for an address, and the address.

    Where there is IPv6 it serves IPv4 by sockets of both families; one of another family
    would stand before its listeners or behind them, and not beside.
    """
    if ":" in host or not socket.has_dualstack_ipv6():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.socket(family), host
    address = socket.gethostbyname(host)
    both = socket.socket(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return both, "::" if address == "0.0.0.0" else f"::ffff:{address}"
