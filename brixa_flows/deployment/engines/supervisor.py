"""The process that keeps one deployment serving, whoever started it.

Started as ``python -m brixa_flows.deployment.engines.supervisor``; it leaves its
caller's session, owns the listening socket and the replicas, and takes orders as lines
of JSON on a loopback port whose token only its owner can read. It ends by order, on
SIGTERM, or by itself when the deployment's ``config.json`` is gone, so a storage folder
that was thrown away leaves nothing running.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import os
import platform
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from brixa_flows.deployment.engines.autoscale import CpuAutoscaler
from brixa_flows.deployment.engines.doorkeeping import Doorkeeper
from brixa_flows.deployment.engines.fleet import Fleet
from brixa_flows.deployment.engines.listening import why_unusable
from brixa_flows.deployment.engines.observing import Observer
from brixa_flows.deployment.engines.replica import Plan, ReplicaFailedError
from brixa_flows.deployment.engines.reserving import ReservedPort
from brixa_flows.deployment.engines.runtime import RuntimeFolder, SupervisorRecord
from brixa_flows.deployment.quantities import cpu_cores
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import StorageError
from brixa_flows.storage.opening import open_storage

__all__ = ["Supervisor", "main"]

_TICK_SECONDS = 0.5
_GONE_SECONDS = 3.0
_AUTOSCALE_SECONDS = 5.0
_LINE_LIMIT_BYTES = 4 * 1024 * 1024
_LOCK_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Keeps a deployment as it should be.

    Args:
        name: Name of the deployment.
        store: Where its files are.
        runtime: Its runtime folder.
        listen_fd: The listening socket.
    """

    def __init__(
        self, name: str, store: DeploymentStore, runtime: RuntimeFolder, listen_fd: int
    ) -> None:
        self._name = name
        self._store = store
        self._runtime = runtime
        inherited = (listen_fd, runtime.accompany())
        self._fleet = Fleet(runtime.path, inherited, self._keep_door)
        self._observer = Observer(name, self._fleet, runtime.path / "metrics.bin")
        self._grpc_port = ReservedPort()
        self._doorkeeper = Doorkeeper()
        self._token = secrets.token_hex(32)
        self._ending = asyncio.Event()
        self._changes: set[asyncio.Task[Any]] = set()
        self._autoscaler: CpuAutoscaler | None = None
        self._processes: dict[int, psutil.Process] = {}
        self._there_at = time.monotonic()
        self._written: tuple[object, ...] | None = None

    async def run(self) -> None:
        """Serve until the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        control = await asyncio.start_server(
            self._converse, "127.0.0.1", 0, limit=_LINE_LIMIT_BYTES
        )
        port = control.sockets[0].getsockname()[1]
        here = SupervisorRecord(os.getpid(), port, self._token, platform.node())
        self._runtime.write_record(here)
        tasks = [
            asyncio.create_task(self._repeat(self._look_around, _TICK_SECONDS)),
            asyncio.create_task(self._repeat(self._autoscale, _AUTOSCALE_SECONDS)),
        ]
        await self._ending.wait()
        for task in (*tasks, *self._changes):
            task.cancel()
        self._doorkeeper.close()
        await self._fleet.stop()
        control.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            request = json.loads(await asyncio.wait_for(reader.readline(), 10))
            answer = await self._answer(request)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ValueError, OSError) as err:
            logger.warning("a caller of the control channel failed: %s", err)
        finally:
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if not hmac.compare_digest(str(request.get("token")), self._token):
            return {"ok": False, "error": "the token is wrong"}
        op = request.get("op")
        if op == "status":
            return {"ok": True, "result": self._status()}
        if op == "stop":
            self._ending.set()
            return {"ok": True, "result": {}}
        return await self._change(request)

    async def _change(self, request: dict[str, Any]) -> dict[str, Any]:
        task = asyncio.current_task()
        assert task is not None
        self._changes.add(task)
        try:
            if request.get("op") == "apply":
                plan = self._with_port(Plan.model_validate(request["plan"]))
                if plan.config.protocol != "rest" and self._grpc_port.bound:
                    await self._doorkeeper.listen(self._grpc_port.bound)
                await self._apply(plan)
                await self._doorkeeper.prove()
                return {"ok": True, "result": {"grpc_port": plan.config.grpc_port}}
            await self._fleet.scale(int(request["replicas"]))
            self._note_choice()
            return {"ok": True, "result": {}}
        except ReplicaFailedError as err:
            return {"ok": False, "error": str(err)}
        except Exception as err:  # noqa: B902 - told to the caller, with a log line
            logger.exception("%s failed", request.get("op"))
            return {"ok": False, "error": f"the supervisor failed: {err!r}"}
        finally:
            self._changes.discard(task)
            self._keep_door()

    def _with_port(self, plan: Plan) -> Plan:
        """The plan with the port that its replicas share for gRPC, if they serve it.

        Raises:
            ReplicaFailedError: If the port can't be had.
        """
        config = plan.config
        if config.protocol == "rest":
            return plan
        try:
            port = self._grpc_port.hold(config.host, config.grpc_port)
        except OSError as err:
            raise ReplicaFailedError(
                why_unusable(config.host, config.grpc_port, err, " for gRPC")
            ) from err
        return plan.model_copy(
            update={"config": config.model_copy(update={"grpc_port": port})}
        )

    def _keep_door(self) -> None:
        """Tell who holds callers of gRPC how many replicas listen."""
        plan = self._fleet.plan
        if plan is None or plan.config.protocol == "rest":
            self._doorkeeper.close()
        else:
            self._doorkeeper.expect(len(self._fleet.ready))

    async def _apply(self, plan: Plan) -> None:
        before = self._fleet.plan
        await self._fleet.roll(plan, self._replicas(plan))
        limits, replicas = plan.config.autoscaling, plan.config.replicas
        if before is None or limits != before.config.autoscaling:
            self._autoscaler = CpuAutoscaler(limits) if limits else None
            self._note_choice()
        elif replicas != before.config.replicas:
            self._note_choice()
        self._observer.fault = ""
        self._observer.tidy()
        logger.info("serving %s %s", plan.config.model_name, plan.config.version)

    def _note_choice(self) -> None:
        """Leave the number of replicas that there are now for a scale-down window."""
        if self._autoscaler is not None:
            self._autoscaler.chose(time.monotonic(), self._fleet.desired)

    def _replicas(self, plan: Plan) -> int:
        """As many as were asked for; as CPU use chose, where nobody asked anew."""
        config, before = plan.config, self._fleet.plan
        limits = config.autoscaling
        if (
            limits is None
            or before is None
            or config.replicas != before.config.replicas
        ):
            return config.replicas
        return max(limits.min_replicas, min(self._fleet.desired, limits.max_replicas))

    def _status(self) -> dict[str, Any]:
        return self._observer.status().model_dump(mode="json")

    async def _repeat(
        self, step: Callable[[], Awaitable[None]], every_seconds: float
    ) -> None:
        """Do a step for ever; one that fails is told once and tried again."""
        told = ""
        while not self._ending.is_set():
            try:
                await step()
                told = ""
            except Exception as err:  # noqa: B902 - told in the status and the log
                fault = f"the supervisor failed in {step.__name__.strip('_')}: {err!r}"
                self._observer.fault = fault
                if fault != told:
                    logger.exception(fault)
                told = fault
            await asyncio.sleep(every_seconds)

    async def _look_around(self) -> None:
        """Write what changed to ``status.json``; end when the deployment is gone."""
        self._observer.sample()
        self._runtime.bound_printed()
        if bool(self._changes) or await asyncio.to_thread(self._is_wanted):
            self._there_at = time.monotonic()
            if self._fleet.plan is not None and not self._changes:
                await self._write_status()
        elif time.monotonic() - self._there_at > _GONE_SECONDS:
            logger.warning("the config of %s is gone; ending", self._name)
            self._ending.set()

    def _is_wanted(self) -> bool:
        if not self._runtime.path.exists():
            return False
        try:
            return (
                self._store.storage.stat(self._store.config_key(self._name)) is not None
            )
        except StorageError as err:
            logger.warning("the storage does not answer: %s", err)
            return True

    async def _write_status(self) -> None:
        status = self._observer.status()
        facts = _facts(status)
        if facts == self._written:
            return
        try:
            await asyncio.to_thread(self._store.put_status, status)
        except StorageError as err:
            logger.warning("status.json was not written: %s", err)
            return
        self._written = facts

    async def _autoscale(self) -> None:
        await self._fleet.level()
        plan, ready = self._fleet.plan, self._fleet.ready
        if self._autoscaler is None or plan is None or self._changes or not ready:
            return
        used = self._cpu_percent([replica.pid for replica in ready if replica.pid])
        asked = cpu_cores(plan.config.resources.cpu)
        wanted = self._autoscaler.decide(
            time.monotonic(), self._fleet.desired, used / asked / len(ready)
        )
        if wanted != self._fleet.desired:
            logger.info("CPU asks for %d replicas", wanted)
            await self._fleet.scale(wanted)

    def _cpu_percent(self, pids: list[int]) -> float:
        """CPU used by the processes since the last call, in percent of one core."""
        self._processes = {
            pid: self._processes.get(pid) or psutil.Process(pid)
            for pid in pids
            if psutil.pid_exists(pid)
        }
        total = 0.0
        for process in self._processes.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.cpu_percent(None)
        return total


def _facts(status: DeploymentStatus) -> tuple[object, ...]:
    """What makes a status worth writing down."""
    replicas = tuple((each.slot, each.pid, each.state) for each in status.replicas)
    return (status.state, status.version, status.desired_replicas, replicas) + (
        status.restarts,
        status.last_error,
    )


def main() -> int:
    """Leave the caller's session and supervise.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--storage-uri", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--listen-fd", required=True, type=int)
    parser.add_argument("--log-level", default="INFO")
    arguments = parser.parse_args()
    runtime = RuntimeFolder(arguments.folder)
    runtime.start_logging("supervisor", arguments.log_level)
    held = runtime.hold(_LOCK_SECONDS)
    if held is None:
        logger.error("another supervisor of %s lives", arguments.name)
        return 1
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    store = DeploymentStore(open_storage(arguments.storage_uri), arguments.prefix)
    asyncio.run(_supervise(arguments, store, runtime))
    return 0


async def _supervise(
    arguments: argparse.Namespace, store: DeploymentStore, runtime: RuntimeFolder
) -> None:
    listen_fd: int = arguments.listen_fd
    await Supervisor(arguments.name, store, runtime, listen_fd).run()


if __name__ == "__main__":
    sys.exit(main())
