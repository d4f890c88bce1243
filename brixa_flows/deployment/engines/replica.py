"""A replica as its supervisor sees it: one worker process and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.deployment.config import DeploymentConfig
from brixa_flows.deployment.engines.machine import replica_environment
from brixa_flows.deployment.engines.orders import (
    CanaryOrder,
    ChangeOrder,
    Op,
    ServedVersions,
    VersionOrder,
)
from brixa_flows.deployment.status import ReplicaStatus

__all__ = ["Plan", "Replica", "ReplicaFailedError"]

_WORKER = "brixa_flows.deployment.engines.worker"
_KILL_AFTER_SECONDS = 20.0
_QUICK_SECONDS = 5.0
_CHANGED_WHILE_RUNNING: Any = {
    "config": {
        *("version", "canary", "replicas", "autoscaling"),
        *("history", "rolled_out", "created_at", "updated_at", "host", "port"),
        *("api_keys", "shut"),
        "grpc_port",
    },
    "digest": True,
    "canary_digest": True,
    "log_level": True,
    "ready_timeout_seconds": True,
}


class ReplicaFailedError(Exception):
    """A replica did not become ready; the text says why."""


class Plan(BaseModel):
    """What every replica of one generation serves.

    Attributes:
        config: The desired state.
        digest: What the tracking backend recorded for the version.
        canary_digest: The same of the canary.
        model_storage_uri: Where its files are.
        registry_path: Folder of the registry there.
        trust_policy: What may be loaded.
        keys_path: Folder of the keys whose signatures are believed.
        log_level: Used unless the environment says otherwise.
        ready_timeout_seconds: How long a replica may take.
        deployments_uri: Storage that keeps what was asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    config: DeploymentConfig
    digest: str | None
    canary_digest: str | None = None
    model_storage_uri: str
    registry_path: str
    trust_policy: str
    keys_path: str
    log_level: str
    ready_timeout_seconds: float
    deployments_uri: str

    @property
    def versions(self) -> ServedVersions:
        """What a replica holds."""
        config, canary = self.config, self.config.canary
        return ServedVersions(
            main=VersionOrder(version=config.version, digest=self.digest),
            canary=canary
            and CanaryOrder(
                version=canary.version,
                digest=self.canary_digest,
                id=canary.id,
                share=canary.share,
                shadow=canary.shadow,
            ),
        )

    @property
    def key_digests(self) -> tuple[str, ...]:
        """Of the keys of those who may ask."""
        return self.config.key_digests

    def serves_like(self, other: Plan | None) -> bool:
        """Would replicas of ``other`` do as well (their number aside)?"""
        return self.swaps_from(other) and (
            other is not None and self.versions == other.versions
        )

    def swaps_from(self, other: Plan | None) -> bool:
        """Do running replicas of ``other`` need other versions and nothing else?"""
        return other is not None and self._process_facts() == other._process_facts()

    def _process_facts(self) -> dict[str, Any]:
        """All that a running process can't change."""
        return self.model_dump(exclude=_CHANGED_WHILE_RUNNING)

    def loads_beside(self, other: Plan) -> bool:
        """Is there a version to load that replicas of ``other`` don't hold?"""
        held = {each.key for each in other.versions.all}
        return any(each.key not in held for each in self.versions.all)


@dataclass(frozen=True)
class Place:
    """Where a replica runs.

    Attributes:
        slot: Its slot in the metrics file, its alone while it lives.
        folder: Runtime folder of the deployment.
        listen_fd: The listening socket.
        held_fd: A lock that it holds while it lives.
    """

    slot: int
    folder: Path
    listen_fd: int
    held_fd: int


class Replica:
    """One worker process, started again under the same plan and place if need be.

    Args:
        plan: What it serves.
        place: Where it runs.
    """

    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan = plan
        self.place = place
        self.state: Literal["starting", "ready", "stopping", "crashed"] = "starting"
        self.restarts = 0
        self.since = datetime.now(UTC)
        self._process: asyncio.subprocess.Process | None = None
        self._reports: asyncio.StreamReader | None = None
        self._reading: asyncio.ReadTransport | None = None
        self._started_as: Plan | None = None
        self._orders = 0

    @property
    def pid(self) -> int | None:
        """Process id, ``None`` if no process lives."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    @property
    def is_outdated(self) -> bool:
        """Did the plan change while its process started?"""
        return self._started_as is not self.plan

    async def start(self, *, trial: bool = False) -> None:
        """Start the worker and wait until it is ready.

        Args:
            trial: It loads and warms up, and ends instead of serving.

        Raises:
            ReplicaFailedError: If it is not; no process is left.
        """
        self._become("starting")
        self._started_as = self.plan
        if self._reading is not None:
            self._reading.close()
        reading, writing = os.pipe()
        try:
            self._process = await self._launch(writing, trial)
        except OSError as err:
            os.close(reading)
            self._become("crashed")
            raise ReplicaFailedError(f"no process could be started: {err}") from err
        finally:
            os.close(writing)
        self._reports, self._reading = await _open_reports(reading)
        try:
            report = await self._report_on(0, self.plan.ready_timeout_seconds)
        except asyncio.CancelledError:
            await self.stop()
            raise
        if report.get("event") != "ready":
            await self.end()
            self._become("crashed")
            raise ReplicaFailedError(report.get("error") or self._last_words())
        if self.state == "starting":
            self._become("ready")

    async def order(self, op: Op, versions: ServedVersions) -> bool:
        """Have the running process change its versions (see ``ChangeOrder``).

        Returns:
            Whether it can; a fresh process is needed if not.

        Raises:
            ReplicaFailedError: If it failed; it serves on as before.
        """
        return bool((await self._ask(op, versions))["event"] == "done")

    async def spread(self, share: float) -> int:
        """Have a share of its clients come back by a new connection.

        Returns:
            How many connections it had.

        Raises:
            ReplicaFailedError: If it does not answer.
        """
        report = await self._ask("spread", self.plan.versions, share)
        return int(report["connections"])

    async def _ask(
        self, op: Op, versions: ServedVersions, share: float = 0.0
    ) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise ReplicaFailedError("it has no process")
        self._orders += 1
        order = ChangeOrder(
            id=self._orders,
            op=op,
            versions=versions,
            share=share,
            key_digests=self.plan.key_digests,
        )
        with contextlib.suppress(ConnectionError):
            process.stdin.write(order.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        quick = op in ("spread", "admit")  # and nobody waits long for one that hangs
        timeout = _QUICK_SECONDS if quick else self.plan.ready_timeout_seconds
        report = await self._report_on(order.id, timeout)
        if report.get("event") not in ("done", "stale"):
            raise ReplicaFailedError(report.get("error") or "its process ended")
        return report

    async def _report_on(self, order: int, timeout: float) -> dict[str, Any]:
        """What it says to an order; answers that came too late for theirs are skipped."""
        assert self._reports is not None
        try:
            async with asyncio.timeout(timeout):
                while line := await self._reports.readline():
                    report: dict[str, Any] = json.loads(line)
                    if report["order"] == order:
                        return report
        except TimeoutError:
            return {"error": f"it was not ready within {timeout:g} seconds"}
        return {}

    async def _launch(self, report_fd: int, trial: bool) -> asyncio.subprocess.Process:
        plan, place = self.plan, self.place
        config = plan.config
        orders = {
            "deployment": config.name,
            "model_name": config.model_name,
            "versions": plan.versions.model_dump(),
            "trial": trial,
            "storage_uri": plan.model_storage_uri,
            "registry_path": plan.registry_path,
            "trust_policy": plan.trust_policy,
            "keys_path": plan.keys_path,
            "slot": place.slot,
            "listen_fd": place.listen_fd,
            "report_fd": report_fd,
            "folder": str(place.folder),
            "log_level": plan.log_level,
            "launched_at": time.time(),
            "key_digests": plan.key_digests,
            "request_log": config.request_log and config.request_log.model_dump(),
            "requests_uri": plan.deployments_uri,
            "tls": config.tls and config.tls.model_dump(mode="json"),
            "protocol": config.protocol,
            "host": config.host,
            "grpc_port": config.grpc_port,
        }
        self._out_path.write_bytes(b"")
        with self._out_path.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(place.listen_fd, place.held_fd, report_fd),
                env={**os.environ, **replica_environment(config, place.slot)},
                process_group=0,
            )
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(orders).encode() + b"\n")
            await process.stdin.drain()
        return process

    @property
    def _out_path(self) -> Path:
        return self.place.folder / "logs" / f"replica-{self.place.slot}.out"

    def _last_words(self) -> str:
        code = self._process.returncode if self._process else None
        text = self._out_path.read_text(errors="replace") if self._exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = f": {lines[-1][:300]}" if lines else ""
        return f"its process ended with code {code}{said}"

    def _exists(self) -> bool:
        return self._out_path.exists()

    async def wait(self) -> str:
        """Wait until the process ends; returns how, as a sentence."""
        assert self._process is not None
        code = await self._process.wait()
        if self.state != "stopping":
            self._become("crashed")
        how = f"signal {-code}" if code < 0 else f"code {code}"
        return f"replica {self.place.slot} ended with {how}"

    async def stop(self) -> None:
        """Drain and end; kill what does not."""
        self._become("stopping")
        await self.end()

    def kill(self) -> None:
        """End at once; whoever watches it starts it again."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> None:
        """End the process; its place and plan are kept."""
        if self._reading is not None:
            self._reading.close()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _KILL_AFTER_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _become(
        self, state: Literal["starting", "ready", "stopping", "crashed"]
    ) -> None:
        self.state = state
        self.since = datetime.now(UTC)

    def status(self) -> ReplicaStatus:
        """How it is."""
        return ReplicaStatus(
            slot=self.place.slot,
            pid=self.pid,
            state=self.state,
            version=self.plan.config.version,
            restarts=self.restarts,
            since=self.since,
        )


async def _open_reports(
    descriptor: int,
) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader, transport
