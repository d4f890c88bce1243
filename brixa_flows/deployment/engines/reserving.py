"""A port that several processes listen on, kept by the one that starts them."""

from __future__ import annotations

import socket

__all__ = ["ReservedPort"]


class ReservedPort:
    """Bound and never listened on, so that no stranger gets it between two listeners.

    Listeners with SO_REUSEPORT of the same user bind beside it; connections go to them
    alone.
    """

    def __init__(self) -> None:
        self._bound: socket.socket | None = None

    def hold(self, host: str, port: int) -> int:
        """Keep a port until this process ends; once it is kept, that one.

        Args:
            host: Address to bind.
            port: The port, 0 for a free one.

        Returns:
            The port.

        Raises:
            OSError: If it is in use.
        """
        if self._bound is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as probe:  # alone, which the one kept is not
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                port = int(probe.getsockname()[1])
            bound = socket.socket(family)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                bound.bind((host, port))
            except OSError:
                bound.close()
                raise
            self._bound = bound
        return int(self._bound.getsockname()[1])
