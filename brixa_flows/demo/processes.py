"""Processes that a demo starts, and that nothing of them is left behind.

Every process carries the demo's folder in its environment (``BRIXA_DEMO_HOME``) and so
do its children, whatever session they move to: a worker's flow runs, a deployment's
replicas. Each one started here is also recorded with its pid and the time it was made,
so that a later ``--stop`` finds it even if the demo itself was killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from brixa_flows.demo.home import DemoHome
from brixa_flows.errors import OrchestrationError

__all__ = ["ProcessKeeper"]

_MARKER = "BRIXA_DEMO_HOME"
_OWNER = "demo"
_SAME_TIME_SECONDS = 1.0


class ProcessKeeper:
    """Starts, records and ends the processes of one demo.

    Args:
        home: The demo's folder.
    """

    def __init__(self, home: DemoHome) -> None:
        self._home = home
        self._record = home.path / "processes.json"
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, its output in ``logs/NAME.log``."""
        marked = {**environment, _MARKER: str(self._home.path)}
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=marked,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = process
        self._write_down(name, process.pid)
        return process

    def claim(self) -> None:
        """Record this very process as the one demo that runs in the folder.

        Raises:
            OrchestrationError: If another one does.
        """
        owner = self.owner()
        if owner is not None and owner.pid != os.getpid():
            raise OrchestrationError(
                f"a demo is running in {self._home.path} (process {owner.pid}); wait "
                "for it, end it with `make demo-stop`, or name another --home",
                pid=owner.pid,
            )

    def record_owner(self) -> None:
        """Write this process down, once the folder is fresh."""
        self._write_down(_OWNER, os.getpid())

    def forget_owner(self) -> None:
        """The demo is over and what it kept has no owner."""
        entries = self._recorded()
        entries.pop(_OWNER, None)
        self._write(entries)

    def owner(self) -> psutil.Process | None:
        """The demo that runs in this folder, if one does."""
        entry = self._recorded().get(_OWNER)
        return _find(*entry) if entry else None

    def check_alive(self) -> None:
        """Return if every started process still runs or ended well.

        Raises:
            OrchestrationError: If one failed; quotes the end of its log.
        """
        for name, process in self._started.items():
            if process.poll() not in (None, 0):
                raise OrchestrationError(
                    f"{name} ended with exit code {process.returncode}; the end of "
                    f"{self.log_path(name)}:\n{self.log_tail(name)}",
                    process=name,
                )

    def wait(self, name: str, timeout_seconds: float) -> None:
        """Wait until a started process ended well.

        Raises:
            OrchestrationError: If it failed or takes longer; quotes its log.
        """
        try:
            self._started[name].wait(timeout_seconds)
        except subprocess.TimeoutExpired as err:
            raise OrchestrationError(
                f"{name} is not done after {timeout_seconds:.0f} s; the end of "
                f"{self.log_path(name)}:\n{self.log_tail(name)}",
                process=name,
            ) from err
        self.check_alive()

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self._home.logs / f"{name.replace(' ', '-')}.log"

    def log_tail(self, name: str, lines: int = 25) -> str:
        """The last lines of a process's output."""
        path = self.log_path(name)
        if not path.exists():
            return "(nothing)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def stop_all(self, grace_seconds: float = 6.0) -> int:
        """End everything that a demo in this folder started, whoever started it.

        Returns:
            How many processes were ended.
        """
        ended: set[int] = set()
        for _ in range(3):  # a supervisor may have started a child meanwhile
            processes = self.survivors()
            if not processes:
                break
            ended.update(process.pid for process in processes)
            _end(processes, grace_seconds)
        for process in self._started.values():
            process.poll()  # reaps ours
        return len(ended)

    def survivors(self) -> list[psutil.Process]:
        """Processes of this demo that run, this one and its ancestors left out."""
        me = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = {
            process.pid: process
            for entry in self._recorded().values()
            if (process := _find(*entry)) is not None
        }
        for process in psutil.process_iter():
            if _marker_of(process) == str(self._home.path):
                found[process.pid] = process
        return [process for pid, process in found.items() if pid not in me]

    def _recorded(self) -> dict[str, tuple[int, float]]:
        try:
            content = json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {name: (int(pid), float(made)) for name, (pid, made) in content.items()}

    def _write_down(self, name: str, pid: int) -> None:
        entries = self._recorded()
        entries[name] = (pid, psutil.Process(pid).create_time())
        self._write(entries)

    def _write(self, entries: Mapping[str, tuple[int, float]]) -> None:
        draft = self._record.with_suffix(".part")
        draft.write_text(json.dumps(entries))
        draft.replace(self._record)


def _find(pid: int, made: float) -> psutil.Process | None:
    """The process ``pid`` if it is the one that was made then, not a later one."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - made) < _SAME_TIME_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _marker_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        environment: dict[str, str] = process.environ()
        return environment.get(_MARKER)
    except (psutil.Error, OSError):
        return None  # another user's, or gone


def _end(processes: list[psutil.Process], grace_seconds: float) -> None:
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + grace_seconds
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=max(1.0, deadline + 3 - time.monotonic()))
