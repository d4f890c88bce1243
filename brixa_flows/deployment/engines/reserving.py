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
        """Keep a port until this process ends, or another one is asked for.

        Args:
            host: Address to bind.
            port: The port, 0 for the one that is kept, else a free one.

        Returns:
            The port.

        Raises:
            OSError: If it is in use; what was kept is kept.
        """
        if self._bound is None or port not in (0, self._port):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            bound = socket.socket(family)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((host, port))
                # Shared once it is bound: asked for before, another deployment's port
                # of the same user would do as well.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            except OSError:
                bound.close()
                raise
            self.close()
            self._bound = bound
        return self._port

    def close(self) -> None:
        """Keep none."""
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    @property
    def _port(self) -> int:
        assert self._bound is not None
        return int(self._bound.getsockname()[1])
