"""A replica as its supervisor sees it: one worker process and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.deployment.config import DeploymentConfig, ReplicaStatus
from brixa_flows.deployment.engines.machine import replica_environment

__all__ = ["Plan", "Replica", "ReplicaFailedError"]

_WORKER = "brixa_flows.deployment.engines.worker"
_KILL_AFTER_SECONDS = 20.0


class ReplicaFailedError(Exception):
    """A replica did not become ready; the text says why."""


class Plan(BaseModel):
    """What every replica of one generation serves.

    Attributes:
        config: The desired state.
        digest: What the tracking backend recorded for the version.
        model_storage_uri: Where its files are.
        registry_path: Folder of the registry there.
        trust_policy: What may be loaded.
        keys_path: Folder of the keys whose signatures are believed.
        log_level: Used unless the environment says otherwise.
        ready_timeout_seconds: How long a replica may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    config: DeploymentConfig
    digest: str | None
    model_storage_uri: str
    registry_path: str
    trust_policy: str
    keys_path: str
    log_level: str
    ready_timeout_seconds: float

    def serves_like(self, other: Plan | None) -> bool:
        """Would replicas of ``other`` do as well (their number aside)?"""
        if other is None:
            return False
        mine, theirs = self.config, other.config
        return (mine.model_name, mine.version, mine.env_vars, mine.resources) == (
            theirs.model_name,
            theirs.version,
            theirs.env_vars,
            theirs.resources,
        ) and (self.digest, self.trust_policy, self.keys_path) == (
            other.digest,
            other.trust_policy,
            other.keys_path,
        )


@dataclass(frozen=True)
class Place:
    """Where a replica runs.

    Attributes:
        slot: Its slot in the metrics file, its alone while it lives.
        folder: Runtime folder of the deployment.
        listen_fd: The listening socket.
    """

    slot: int
    folder: Path
    listen_fd: int


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

    @property
    def pid(self) -> int | None:
        """Process id, ``None`` if no process lives."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> None:
        """Start the worker and wait until it is ready.

        Raises:
            ReplicaFailedError: If it is not; no process is left.
        """
        self._become("starting")
        reading, writing = os.pipe()
        try:
            self._process = await self._launch(writing)
        except OSError as err:
            os.close(reading)
            self._become("crashed")
            raise ReplicaFailedError(f"no process could be started: {err}") from err
        finally:
            os.close(writing)
        timeout = self.plan.ready_timeout_seconds
        try:
            report = await asyncio.wait_for(_read_report(reading), timeout)
        except TimeoutError:
            report = {"error": f"it was not ready within {timeout:g} seconds"}
        except asyncio.CancelledError:
            await self.stop()
            raise
        if report.get("event") != "ready":
            await self._end()
            self._become("crashed")
            raise ReplicaFailedError(report.get("error") or self._last_words())
        if self.state == "starting":
            self._become("ready")

    async def _launch(self, report_fd: int) -> asyncio.subprocess.Process:
        plan, place = self.plan, self.place
        config = plan.config
        orders = {
            "deployment": config.name,
            "model_name": config.model_name,
            "version": config.version,
            "digest": plan.digest,
            "storage_uri": plan.model_storage_uri,
            "registry_path": plan.registry_path,
            "trust_policy": plan.trust_policy,
            "keys_path": plan.keys_path,
            "slot": place.slot,
            "listen_fd": place.listen_fd,
            "report_fd": report_fd,
            "folder": str(place.folder),
            "log_level": plan.log_level,
        }
        with self._out_path.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(place.listen_fd, report_fd),
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
        await self._end()

    async def _end(self) -> None:
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


async def _read_report(descriptor: int) -> dict[str, str]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        line = await reader.readline()
    finally:
        transport.close()
    report: dict[str, str] = json.loads(line) if line else {}
    return report
