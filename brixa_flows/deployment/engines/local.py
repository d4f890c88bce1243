"""The ``local`` engine: a detached supervisor per deployment on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import psutil

from brixa_flows.deployment.config import DeploymentConfig
from brixa_flows.deployment.engines.base import EngineContext, Release
from brixa_flows.deployment.engines.listening import open_port
from brixa_flows.deployment.engines.machine import check_fits, check_installed
from brixa_flows.deployment.engines.observing import (
    base_url,
    grpc_address,
    reach_facts,
)
from brixa_flows.deployment.engines.replica import Plan
from brixa_flows.deployment.engines.runtime import RuntimeFolder, serving_root
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.errors import DeploymentError

__all__ = ["LocalEngine"]

_SUPERVISOR = "brixa_flows.deployment.engines.supervisor"
_START_SECONDS = 30.0
_STOP_SECONDS = 45.0
_STATUS_SECONDS = 5.0
_DYING_SECONDS = 1.0  # one that was killed holds its lock until its memory is freed
_SPARE_SECONDS = 60.0
_POLL_SECONDS = 0.02


class LocalEngine:
    """Serves on this machine, with nothing to install.

    The supervisor and its replicas live in a session of their own and survive whoever
    started them. CPU and memory of ``resources`` are checked against the machine and
    handed to numeric libraries as a number of threads; memory is not capped.

    Args:
        context: Where things are.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._store = context.store

    def _runtime(self, name: str) -> RuntimeFolder:
        self._store.config_key(name)
        settings = self._context.settings
        root = serving_root(self._store.storage, settings.model_registry_path)
        return RuntimeFolder(root / name)

    def apply(self, config: DeploymentConfig, release: Release) -> DeploymentConfig:
        """Serve what ``config`` says (see ``ServingEngine``).

        Raises:
            DeploymentError: If it did not become ready.
        """
        check_fits(config)
        check_installed(config)
        runtime = self._runtime(config.name)
        with runtime.turn():
            fresh = runtime.supervisor() is None
            if fresh:
                config = self._start(config, runtime)
            try:
                answer = runtime.ask(
                    self._patience, op="apply", plan=self._plan(config, release)
                )
            except DeploymentError as err:
                if fresh:
                    self._stop(runtime)
                versions = _versions_of(config)
                raise DeploymentError(
                    f"{config.model_name} {versions} did not become ready: "
                    f"{err.message}"
                ) from err
        return config.model_copy(update={"grpc_port": answer["grpc_port"]})

    @property
    def _patience(self) -> float:
        return self._context.ready_timeout_seconds + _SPARE_SECONDS

    def _plan(self, config: DeploymentConfig, release: Release) -> dict[str, object]:
        context = self._context
        plan = Plan(
            config=config,
            digest=release.digest,
            canary_digest=release.canary_digest,
            model_storage_uri=context.model_storage_uri,
            registry_path=context.settings.model_registry_path,
            trust_policy=context.settings.trust_policy,
            keys_path=str(context.settings.keys_folder),
            log_level=context.settings.log_level,
            ready_timeout_seconds=context.ready_timeout_seconds,
            deployments_uri=self._store.storage.uri,
        )
        return plan.model_dump(mode="json")

    def _start(
        self, config: DeploymentConfig, runtime: RuntimeFolder
    ) -> DeploymentConfig:
        """Open the listening socket and start a supervisor that inherits it."""
        grpc_port = 0 if config.protocol == "rest" else config.grpc_port
        with open_port(config.host, config.port, grpc_port, runtime) as listening:
            runtime.make()
            runtime.forget_record()
            listen_fd = listening.fileno()
            command = [
                *(sys.executable, "-m", _SUPERVISOR),
                *("--name", config.name),
                *("--storage-uri", self._store.storage.uri),
                *("--prefix", self._store.prefix),
                *("--folder", str(runtime.path)),
                *("--listen-fd", str(listen_fd)),
                *("--log-level", self._context.settings.log_level),
            ]
            with (runtime.log_path / "supervisor.out").open("ab") as log:
                subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": _import_path()},
                    pass_fds=(listen_fd,),
                    check=False,
                )
            port = int(listening.getsockname()[1])
        deadline = time.monotonic() + _START_SECONDS
        while runtime.supervisor() is None:
            if not runtime.is_held() or time.monotonic() > deadline:
                raise DeploymentError(
                    f"the supervisor of {config.name!r} did not start; its log is in "
                    f"{runtime.log_path}"
                )
            time.sleep(_POLL_SECONDS)
        return config.model_copy(update={"port": port})

    def scale(self, config: DeploymentConfig) -> None:
        """Have ``config.replicas`` replicas.

        Raises:
            DeploymentError: If they did not become ready.
        """
        check_fits(config)
        runtime = self._runtime(config.name)
        with runtime.turn():
            runtime.ask(self._patience, op="scale", replicas=config.replicas)

    def status(self, config: DeploymentConfig) -> DeploymentStatus:
        """What the supervisor sees; without one, what was last seen, as stopped."""
        runtime = self._runtime(config.name)
        if runtime.supervisor() is not None:
            try:
                answer = runtime.ask(_STATUS_SECONDS, op="status")
                return DeploymentStatus.model_validate(answer)
            except DeploymentError as err:
                if not _wait_until_gone(runtime, _DYING_SECONDS):
                    return self._last(config, runtime, "failed", err.message)
        return self._last(config, runtime, "stopped", _why_stopped(config, runtime))

    def _last(
        self,
        config: DeploymentConfig,
        runtime: RuntimeFolder,
        state: str,
        last_error: str,
    ) -> DeploymentStatus:
        seen = self._store.last_status(config.name)
        now = datetime.now(UTC)
        facts = {} if seen is None else seen.model_dump()
        facts |= {
            "name": config.name,
            "state": state,
            "model_name": config.model_name,
            "version": config.version,
            "endpoint": base_url(config),
            "desired_replicas": config.replicas,
            "ready_replicas": 0,
            "replicas": (),
            "request_rate": 0.0,
            "since": seen.observed_at if seen else now,
            "observed_at": now,
            "last_error": last_error or (seen.last_error if seen else ""),
            "pid": None,
            "log_path": str(runtime.log_path),
            **reach_facts(config),
        }
        if (lived := runtime.last_supervisor()) is not None:
            facts["machine"] = (
                lived.machine
            )  # it may have died before it wrote a status
        return DeploymentStatus.model_validate(facts)

    def endpoint(self, config: DeploymentConfig, protocol: str) -> str:
        """Base URL for REST, ``host:port`` for gRPC.

        Raises:
            DeploymentError: If ``protocol`` is not what it serves.
        """
        if protocol not in ("rest", "grpc") or config.protocol not in (
            protocol,
            "both",
        ):
            served = "rest and grpc" if config.protocol == "both" else config.protocol
            raise DeploymentError(
                f"the deployment {config.name!r} serves {served} only, not "
                f"{str(protocol)[:40]!r}; deploy it with protocol='both' for another"
            )
        return base_url(config) if protocol == "rest" else grpc_address(config)

    def delete(self, name: str) -> None:
        """Drain, stop and forget.

        Raises:
            DeploymentError: If the supervisor can't be stopped.
        """
        runtime = self._runtime(name)
        with runtime.turn():
            self._stop(runtime)
            shutil.rmtree(runtime.path, ignore_errors=True)

    def _stop(self, runtime: RuntimeFolder) -> None:
        record = runtime.supervisor()
        if record is not None:
            with contextlib.suppress(DeploymentError):
                runtime.ask(_STATUS_SECONDS, op="stop")
        if _wait_until_gone(runtime, _STOP_SECONDS):
            return
        if record is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(record.pid).kill()
        if not _wait_until_gone(runtime, _STATUS_SECONDS):
            raise DeploymentError(
                f"the supervisor of {runtime.path.name!r} can't be stopped; its log is "
                f"in {runtime.log_path}"
            )


def _why_stopped(config: DeploymentConfig, runtime: RuntimeFolder) -> str:
    """What to do about a deployment that is wanted and served by nobody."""
    return (
        f"no supervisor of {config.name} lives on this machine (it was killed, or the "
        "machine was restarted), so nothing answers; `brixa deployment up` serves it "
        f"again, and its log is in {runtime.log_path}"
    )


def _wait_until_gone(runtime: RuntimeFolder, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while runtime.is_held():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _versions_of(config: DeploymentConfig) -> str:
    canary = config.canary
    return f"{config.version} with {canary.version}" if canary else config.version


def _import_path() -> str:
    """Where this process finds the modules that a model may need, for its replicas."""
    installed = (sys.prefix, sys.base_prefix)
    here = [path or os.getcwd() for path in sys.path if not path.startswith(installed)]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(path for path in (*given, *here) if path))
