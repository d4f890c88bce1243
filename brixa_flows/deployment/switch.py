"""Which version of a replica answers a request: the one served, or its canary.

Versions are exchanged between two requests, with the sockets, the connections and the
process as they were: a request that began with one version is finished by it.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from functools import partial

from brixa_flows.deployment.access import Access
from brixa_flows.deployment.answers import Answer, unauthorized
from brixa_flows.deployment.application import (
    Message,
    PredictorApplication,
    Receive,
    Scope,
    Send,
)

__all__ = ["Switch", "settle"]

# What probes ask, which have no keys; it tells nothing of the model.
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
_LONGEST_REQUEST_SECONDS = 60.0
_POLL_SECONDS = 0.05


class Switch:
    """An ASGI application in front of one or two predictors; lives on one event loop.

    Args:
        main: What is served.

    Attributes:
        main: Answers what nobody else does.
        canary: Answers its share of the requests to predict, and what names its version.
        share: Of the canary, 0 to 1.
        access: Who may ask; whether the server lives is told to everybody.
        leaving: Addresses of clients that are asked, with their next answer, to come back
            by a new connection.
    """

    def __init__(self, main: PredictorApplication) -> None:
        self.main = main
        self.canary: PredictorApplication | None = None
        self.share = 0.0
        self.access = Access()
        self.leaving: set[tuple[str, int]] = set()
        self._draining = False
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def draining(self) -> bool:
        """Does every answer ask the client to come back by a new connection?"""
        return self._draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
        for each in self._held():
            each.draining = draining

    def _held(self) -> list[PredictorApplication]:
        return [self.main] if self.canary is None else [self.main, self.canary]

    def choose(self, version: str | None = None) -> PredictorApplication:
        """Who answers the next request to predict.

        Args:
            version: The one that the request names; ``None`` if it names none. One that
                is not held is refused by whoever is served.
        """
        canary = self.canary
        if canary is None:
            return self.main
        if version is not None:
            return canary if canary.version == version else self.main
        return canary if random.random() < self.share else self.main

    def turn(
        self,
        main: PredictorApplication,
        canary: PredictorApplication | None = None,
        share: float = 0.0,
    ) -> None:
        """Send the next request there; who is held no longer ends its own and goes."""
        before = self._held()
        self.main, self.canary, self.share = main, canary, share
        self.draining = self._draining
        for each in before:
            if each not in self._held():
                task = asyncio.get_running_loop().create_task(_see_off(each))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI defines it."""
        if self.leaving and scope.get("client") in self.leaving:
            self.leaving.discard(scope["client"])
            send = partial(_closing, send)
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif (refused := self._refusal(scope)) is not None:
            self.main.running.note_refusal()
            await self.main.reply(refused, send)
        elif self.canary is None or scope["type"] != "http":
            await self.main(scope, receive, send)
        else:
            await self._chosen(scope)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Answer | None:
        if not self.access.asks or scope["path"] in _OPEN:
            return None
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        sentence = self.access.refusal(shown[0] if shown else None)
        return unauthorized(sentence, known=bool(shown)) if sentence else None

    def _chosen(self, scope: Scope) -> PredictorApplication:
        _, named, rest = scope["path"].partition("/versions/")
        if named:
            return self.choose(rest.partition("/")[0])
        return self.choose() if scope["method"] == "POST" else self.main

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                for each in self._held():
                    each.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _closing(send: Send, message: Message) -> None:
    """Have the client close its connection after this answer."""
    if message["type"] == "http.response.start":
        headers = [*message["headers"], (b"connection", b"close")]
        message = {**message, "headers": headers}
    await send(message)


async def _see_off(application: PredictorApplication) -> None:
    deadline = time.monotonic() + _LONGEST_REQUEST_SECONDS
    while application.in_flight and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
    application.close()
    await asyncio.get_running_loop().run_in_executor(None, settle)


def settle() -> None:
    """Collect garbage, and have later collections pass over all that is left.

    It is what was imported and loaded: to look through it takes a tenth of a second, in
    which nobody is answered, and finds nothing.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
