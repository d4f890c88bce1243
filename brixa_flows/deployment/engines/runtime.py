"""The runtime folder of a deployment on this machine, and who lives there.

::

    supervisor.lock     held (flock) by the supervisor as long as it lives
    replicas.lock       held by it and its replicas as long as one of them lives
    supervisor.json     its pid, control port and token; believed only while locked
    metrics.bin         counters of all replicas
    logs/               supervisor.log, replica-N.log, and *.out: what they printed

A lock dies with its process, so a stale file or a pid that was used again confuses
nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import logging.handlers
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brixa_flows.errors import DeploymentError, InvalidDeploymentError
from brixa_flows.storage.base import StorageNode

__all__ = ["RuntimeFolder", "SupervisorRecord", "serving_root"]

_REPLY_LIMIT_BYTES = 4 * 1024 * 1024
_LOG_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class SupervisorRecord:
    """How to reach a supervisor.

    Attributes:
        pid: Its process id.
        port: Loopback port of its control channel.
        token: What a caller must show; the file is readable by its owner only.
        machine: Name of the machine that it lives on.
    """

    pid: int
    port: int
    token: str
    machine: str = ""


class RuntimeFolder:
    """The files above, for one deployment.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_path = path / "supervisor.lock"
        self.replicas_path = path / "replicas.lock"
        self.record_path = path / "supervisor.json"
        self.log_path = path / "logs"

    def make(self) -> None:
        """Make the folder, readable by its owner only."""
        self.log_path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def start_logging(self, name: str, level: str) -> None:
        """Log to a file of this process's own, with one older one beside it.

        Args:
            name: Of the file.
            level: Its least level.
        """
        handler = logging.handlers.RotatingFileHandler(
            self.log_path / f"{name}.log",
            maxBytes=_LOG_BYTES,
            backupCount=1,
            encoding="utf-8",
            errors="backslashreplace",
        )
        logging.basicConfig(
            level=level,
            format="%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s",
            handlers=[handler],
        )
        logging.captureWarnings(True)

    def bound_printed(self) -> None:
        """Empty what processes printed where it grew large; they write on at its end."""
        for path in self.log_path.glob("*.out"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > _LOG_BYTES:
                    os.truncate(path, 0)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other deployer of this machine works on the deployment."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / f".{self.path.name}.turn").open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def hold(self, timeout_seconds: float) -> int | None:
        """Take the supervisor's lock for the life of this process.

        Returns:
            The descriptor that holds it, ``None`` if another supervisor lives.
        """
        held = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return held
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(held)
                    return None
                time.sleep(0.02)

    def write_record(self, record: SupervisorRecord) -> None:
        """Say how to reach this supervisor."""
        partial = self.record_path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(record), file)
        partial.replace(self.record_path)

    def forget_record(self) -> None:
        """Remove what a dead supervisor said, before the next one is started."""
        self.record_path.unlink(missing_ok=True)

    def accompany(self) -> int:
        """Take the lock that a supervisor shares with all who inherit it.

        Returns:
            The descriptor that holds it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        shared = os.open(self.replicas_path, flags, 0o600)
        fcntl.flock(shared, fcntl.LOCK_SH)
        return shared

    def is_held(self) -> bool:
        """Does a supervisor live?"""
        return _is_locked(self.lock_path, fcntl.LOCK_SH)

    def has_replicas(self) -> bool:
        """Does a supervisor live, or a replica of one that was killed?"""
        return _is_locked(self.replicas_path, fcntl.LOCK_EX)

    def supervisor(self) -> SupervisorRecord | None:
        """The supervisor that lives and takes orders, ``None`` if there is none."""
        return self.last_supervisor() if self.is_held() else None

    def last_supervisor(self) -> SupervisorRecord | None:
        """The one that wrote the record; it may be dead."""
        try:
            return SupervisorRecord(**json.loads(self.record_path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def ask(self, timeout_seconds: float, **request: Any) -> dict[str, Any]:
        """Ask the supervisor something.

        Args:
            timeout_seconds: How long it may take.
            **request: ``op`` and what belongs to it.

        Returns:
            Its answer.

        Raises:
            DeploymentError: If it refuses, or none lives or answers.
        """
        record = self.supervisor()
        if record is None:
            raise DeploymentError(
                f"the deployment {self.path.name!r} is stopped; start it with "
                "`brixa deployment up` (ModelDeployer.up())"
            )
        try:
            answer = _exchange(record, request, timeout_seconds)
        except (OSError, ValueError) as err:
            raise DeploymentError(
                f"the supervisor of {self.path.name!r} (process {record.pid}) does not "
                f"answer ({err}); its log is in {self.log_path}"
            ) from err
        if not answer.get("ok"):
            raise DeploymentError(str(answer.get("error", "the supervisor refused")))
        result: dict[str, Any] = answer["result"]
        return result


def _is_locked(path: Path, against: int) -> bool:
    """Does somebody hold the file, in a way that does not allow ``against``?"""
    try:
        probe = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(probe, against | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(probe)


def _exchange(
    record: SupervisorRecord, request: dict[str, Any], timeout_seconds: float
) -> dict[str, Any]:
    address = ("127.0.0.1", record.port)
    with socket.create_connection(address, timeout=timeout_seconds) as connection:
        line = json.dumps({"token": record.token, **request}).encode() + b"\n"
        connection.sendall(line)
        with connection.makefile("rb") as replies:
            reply = replies.readline(_REPLY_LIMIT_BYTES)
    if not reply.endswith(b"\n"):
        raise ConnectionResetError("it ended before it answered")
    answer: dict[str, Any] = json.loads(reply)
    return answer


def serving_root(storage: StorageNode, registry_path: str) -> Path:
    """Folder of the runtime folders: in a local storage, else in the user's state.

    Raises:
        InvalidDeploymentError: If the storage lives in this process only.
    """
    root = getattr(storage, "root", None)
    if isinstance(root, Path):
        return root / registry_path / "_meta" / "serving"
    if storage.uri.startswith("memory"):
        raise InvalidDeploymentError(
            f"the storage {storage.uri} lives in this process, so replicas can't read "
            "it; deploy from a storage on disk"
        )
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    which = hashlib.sha256(storage.uri.encode()).hexdigest()[:16]
    return state / "brixa-flows" / "serving" / which
