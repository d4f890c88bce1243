"""All replicas of a deployment: rolled, scaled, and started again when they crash."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from brixa_flows.deployment.engines.replica import (
    Place,
    Plan,
    Replica,
    ReplicaFailedError,
)
from brixa_flows.deployment.metrics import SLOTS

__all__ = ["Fleet"]

_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 30.0
_HEALTHY_AFTER_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Fleet:
    """The replicas behind one listening socket; lives on one event loop.

    Args:
        folder: Runtime folder of the deployment.
        listen_fd: The listening socket, opened before all of them.
    """

    def __init__(self, folder: Path, listen_fd: int) -> None:
        self.plan: Plan | None = None
        self.replicas: list[Replica] = []
        self.desired = 0
        self.restarts = 0
        self.last_error = ""
        self._folder = folder
        self._listen_fd = listen_fd
        self._turn = asyncio.Lock()
        self._taken: set[int] = set()
        self._watching: dict[Replica, asyncio.Task[None]] = {}

    @property
    def ready(self) -> list[Replica]:
        """Those that take requests."""
        return [replica for replica in self.replicas if replica.state == "ready"]

    async def roll(self, plan: Plan) -> None:
        """Serve ``plan`` instead of what is served.

        New replicas load, warm up and listen on the shared socket before the old ones
        drain; if one does not become ready the old ones serve on as if nothing was.

        Raises:
            ReplicaFailedError: If a new replica did not become ready.
        """
        async with self._turn:
            if plan.serves_like(self.plan):
                self.plan = plan
                await self._resize(plan.config.replicas)
                return
            fresh = [self._new(plan) for _ in range(plan.config.replicas)]
            try:
                await self._start_all(fresh)
            except BaseException:
                await self._retire(fresh)
                raise
            old, self.replicas = self.replicas, fresh
            self.plan, self.desired = plan, len(fresh)
            self.last_error = ""
            self._watch(fresh)
            await self._retire(old)

    async def scale(self, replicas: int) -> None:
        """Have that many replicas of what is served.

        Raises:
            ReplicaFailedError: If a new one did not become ready.
        """
        async with self._turn:
            await self._resize(replicas)

    async def stop(self) -> None:
        """Drain and end all."""
        async with self._turn:
            old, self.replicas = self.replicas, []
            self.desired = 0
            await self._retire(old)

    async def _resize(self, replicas: int) -> None:
        assert self.plan is not None
        surplus = self.replicas[replicas:]
        self.replicas = self.replicas[:replicas]
        fresh = [self._new(self.plan) for _ in range(replicas - len(self.replicas))]
        try:
            await self._start_all(fresh)
        except BaseException:
            await self._retire(fresh)
            raise
        self.replicas = [*self.replicas, *fresh]
        self.desired = replicas
        self._watch(fresh)
        await self._retire(surplus)

    def _new(self, plan: Plan) -> Replica:
        slot = next(slot for slot in range(SLOTS) if slot not in self._taken)
        self._taken.add(slot)
        return Replica(plan, Place(slot, self._folder, self._listen_fd))

    async def _start_all(self, fresh: list[Replica]) -> None:
        results = await asyncio.gather(
            *(replica.start() for replica in fresh), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _retire(self, old: list[Replica]) -> None:
        for replica in old:
            task = self._watching.pop(replica, None)
            if task is not None:
                task.cancel()
        await asyncio.gather(*(replica.stop() for replica in old))
        self._taken -= {replica.place.slot for replica in old}

    def _watch(self, fresh: list[Replica]) -> None:
        for replica in fresh:
            self._watching[replica] = asyncio.create_task(self._keep_alive(replica))

    async def _keep_alive(self, replica: Replica) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            self._note(await replica.wait())
            if loop.time() - started > _HEALTHY_AFTER_SECONDS:
                backoff = _FIRST_BACKOFF_SECONDS
            backoff = await self._revive(replica, backoff)

    async def _revive(self, replica: Replica, backoff: float) -> float:
        while True:
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
            replica.restarts += 1
            self.restarts += 1
            try:
                await replica.start()
                return backoff
            except ReplicaFailedError as err:
                self._note(f"replica {replica.place.slot} did not come back: {err}")

    def _note(self, sentence: str) -> None:
        logger.error(sentence)
        self.last_error = sentence
