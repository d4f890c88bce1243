"""All replicas of a deployment: rolled, scaled, and started again when they crash."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from brixa_flows.deployment.engines.orders import Op
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
_UNEVEN = 1.5

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


class Fleet:
    """The replicas behind one listening socket; lives on one event loop.

    Args:
        folder: Runtime folder of the deployment.
        inherited: Descriptors of every replica: the listening socket, opened before all
            of them, and a lock that says that one of them lives.
        on_change: Called when other replicas are ready than before.
    """

    def __init__(
        self,
        folder: Path,
        inherited: tuple[int, int],
        on_change: Callable[[], None],
    ) -> None:
        self.plan: Plan | None = None
        self.replicas: list[Replica] = []
        self.desired = 0
        self.restarts = 0
        self.last_error = ""
        self._folder = folder
        self._inherited = inherited
        self._on_change = on_change
        self._turn = asyncio.Lock()
        self._taken: set[int] = set()
        self._watching: dict[Replica, asyncio.Task[None]] = {}

    @property
    def ready(self) -> list[Replica]:
        """Those that take requests."""
        return [replica for replica in self.replicas if replica.state == "ready"]

    async def roll(self, plan: Plan, replicas: int) -> None:
        """Serve ``plan`` by so many replicas, instead of what is served.

        Versions alone are exchanged inside of the running replicas, after a trial in a
        fresh process. Else, or where the code that they run changed on disk, new
        replicas load, warm up and listen on the shared socket before the old ones
        drain. If something does not become ready the old serves on as if nothing was.

        Raises:
            ReplicaFailedError: If a version did not become ready.
        """
        async with self._turn:
            if self.plan is not None and plan.serves_like(self.plan):
                await self._admit(plan, self.plan)
                await self._resize(replicas)
            elif not (self._can_swap(plan) and await self._swap(plan, replicas)):
                await self._replace(plan, replicas)

    def _can_swap(self, plan: Plan) -> bool:
        all_ready = bool(self.replicas) and len(self.ready) == len(self.replicas)
        return all_ready and plan.swaps_from(self.plan)

    async def _swap(self, plan: Plan, replicas: int) -> bool:
        """Exchange the versions in the running replicas; ``False`` if they can't."""
        assert self.plan is not None
        if plan.loads_beside(self.plan):
            await self._try_out(plan)
        kept = self.replicas[:replicas]
        fresh = [self._new(plan) for _ in range(replicas - len(kept))]
        try:
            prepared = await _all(
                *(each.order("prepare", plan.versions) for each in kept)
            )
            if all(prepared):
                await self._start_all(fresh)
        except BaseException:
            await self._give_up(plan, kept, fresh)
            raise
        if not all(prepared):
            await self._give_up(plan, kept, fresh)
            logger.info("the code on disk changed, so fresh processes are started")
            return False
        surplus = self.replicas[len(kept) :]
        for each in kept:
            each.plan = plan  # also that of one that crashes from now on
        self.replicas = [*kept, *fresh]
        self.plan, self.desired, self.last_error = plan, len(self.replicas), ""
        self._watch(fresh)
        self._on_change()
        await asyncio.gather(*(self._order(each, "commit") for each in kept))
        await self._retire(surplus)
        return True

    async def _admit(self, plan: Plan, before: Plan) -> None:
        """Let in who has a key of the plan, and nobody else, when this returns."""
        self.plan = plan
        for each in self.replicas:
            each.plan = plan  # also that of one that is being started again
        if plan.key_digests != before.key_digests:
            await asyncio.gather(*(self._order(each, "admit") for each in self.ready))

    async def _try_out(self, plan: Plan) -> None:
        """Load and warm up in a process of its own, so that a crash costs nobody."""
        trial = self._new(plan)
        try:
            await trial.start(trial=True)
        finally:
            await self._retire([trial])

    async def _order(self, replica: Replica, op: Op) -> None:
        """Have it do what its plan says; one that can't is started afresh."""
        try:
            await replica.order(op, replica.plan.versions)
        except ReplicaFailedError as err:
            self._note(f"replica {replica.place.slot} is started again: {err}")
            replica.kill()

    async def _give_up(
        self, plan: Plan, kept: list[Replica], fresh: list[Replica]
    ) -> None:
        orders = (each.order("discard", plan.versions) for each in kept)
        await asyncio.gather(*orders, return_exceptions=True)
        await self._retire(fresh)

    async def _replace(self, plan: Plan, replicas: int) -> None:
        """A new generation of processes on the same socket; the old one drains."""
        fresh = [self._new(plan) for _ in range(replicas)]
        try:
            await self._start_all(fresh)
        except BaseException:
            await self._retire(fresh)
            raise
        old, self.replicas = self.replicas, fresh
        self.plan, self.desired = plan, len(fresh)
        self.last_error = ""
        self._watch(fresh)
        self._on_change()
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
        # Who is being started again goes first: to keep it would leave nobody to ask.
        ranked = sorted(self.replicas, key=lambda each: each.state != "ready")
        surplus = ranked[replicas:]
        self.replicas = [each for each in self.replicas if each not in surplus]
        fresh = [self._new(self.plan) for _ in range(replicas - len(self.replicas))]
        try:
            await self._start_all(fresh)
        except BaseException:
            await self._retire(fresh)
            raise
        stay, self.replicas = self.replicas, [*self.replicas, *fresh]
        self.desired = replicas
        self._watch(fresh)
        self._on_change()
        await self._spread(stay, len(fresh) / replicas)
        await self._retire(surplus)

    async def level(self) -> None:
        """Have replicas with far more connections than others share them.

        Whoever is quickest takes a connection, and clients keep theirs: without this a
        replica that crashed or was added may stay without work for ever.
        """
        ready = self.ready
        if len(ready) < 2 or self._turn.locked():
            return
        async with self._turn:
            with contextlib.suppress(ReplicaFailedError):  # it crashed; its watch knows
                counts = await _all(*(each.spread(0) for each in ready))
                mean = sum(counts) / len(ready)
                for replica, count in zip(ready, counts, strict=True):
                    if count > _UNEVEN * mean + 1:
                        await replica.spread(1 - mean / count)

    async def _spread(self, replicas: list[Replica], share: float) -> None:
        """Have clients with kept connections find the new replicas, too."""
        ready = [each for each in replicas if share and each.state == "ready"]
        told = await asyncio.gather(
            *(each.spread(share) for each in ready), return_exceptions=True
        )
        for failed in told:
            if isinstance(failed, ReplicaFailedError):
                logger.warning("a replica did not spread its connections: %s", failed)

    def _new(self, plan: Plan) -> Replica:
        slot = next(slot for slot in range(SLOTS) if slot not in self._taken)
        self._taken.add(slot)
        return Replica(plan, Place(slot, self._folder, *self._inherited))

    async def _start_all(self, fresh: list[Replica]) -> None:
        await _all(*(replica.start() for replica in fresh))

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
            self._on_change()
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
                if not replica.is_outdated:
                    self._on_change()
                    return backoff
                await replica.end()
            except ReplicaFailedError as err:
                self._note(f"replica {replica.place.slot} did not come back: {err}")

    def _note(self, sentence: str) -> None:
        logger.error(sentence)
        self.last_error = sentence


async def _all(*steps: Awaitable[_Result]) -> list[_Result]:
    """Wait until all steps are over, then raise what the first failed one raised."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
