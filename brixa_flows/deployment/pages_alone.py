"""What a deployment answers over HTTP whose predictions are asked by gRPC."""

from __future__ import annotations

from brixa_flows.deployment.answers import error_answer
from brixa_flows.deployment.application import Receive, Scope, Send
from brixa_flows.deployment.switch import Switch

__all__ = ["PagesAlone"]


class PagesAlone:
    """An ASGI application that lets pages through, and refuses to predict.

    Args:
        switch: What answers for them.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI defines it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            refused = error_answer(
                404, "this deployment predicts over gRPC; HTTP tells health and metrics"
            )
            await self._switch.main.reply(refused, send)
        else:
            await self._switch(scope, receive, send)
