"""Real tracking backends that all files and all xdist workers of a run share.

Each is started by whoever asks first and stopped by the last that used it. They hold
the models of every test, so a test takes a name of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
import requests

from brixa_flows.tracking import open_store
from tests.postgres import free_port, start_cluster

__all__ = [
    "Backend",
    "copy_template",
    "running_server",
    "shared_mlflow_server",
    "shared_postgres",
]

_START_SECONDS = 90
_STOP_SECONDS = 30
_CHILDREN: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Backend:
    """A backend that runs.

    Attributes:
        uri: Its address.
        pid: Its process; the others of its group end with it.
        folder: What it keeps; removed with it.
        signal: What ends it.
        database: URI of the database behind it.
    """

    uri: str
    pid: int
    folder: str
    signal: int
    database: str


@contextlib.contextmanager
def _shared(
    run: Path, name: str, start: Callable[[Path], Backend]
) -> Iterator[Backend]:
    """Use what ``start`` starts, which happens once in a run of the tests."""
    state = run / f"shared-{name}.json"
    with _locked(run / f"shared-{name}.lock"):
        known = json.loads(state.read_text()) if state.exists() else None
        found = Backend(**known["backend"]) if known else start(run)
        users = [*(known["users"] if known else []), os.getpid()]
        state.write_text(json.dumps({"backend": asdict(found), "users": users}))
    try:
        yield found
    finally:
        with _locked(run / f"shared-{name}.lock"):
            users = json.loads(state.read_text())["users"]
            users.remove(os.getpid())
            users = [each for each in users if psutil.pid_exists(each)]
            state.write_text(json.dumps({"backend": asdict(found), "users": users}))
            if not users:
                state.unlink()
                _stop(found)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stop(backend: Backend) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(backend.pid)
        os.killpg(backend.pid, backend.signal)
        until = time.monotonic() + _STOP_SECONDS
        # Who started it may be another process, which does not wait for it.
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.05)
    for child in _CHILDREN:
        child.poll()
    shutil.rmtree(backend.folder, ignore_errors=True)


def shared_postgres(run: Path) -> contextlib.AbstractContextManager[Backend]:
    """A PostgreSQL database that has the tables of MLflow.

    Args:
        run: Folder of this run of the tests.
    """

    def start(_run: Path) -> Backend:
        uri, pid, folder = start_cluster()
        # Made by a store of ours: an MLflow server that starts asks for no lock.
        open_store(uri, storage_root=folder).ping()
        uri = uri.replace("postgresql:", "postgresql+psycopg2:")
        return Backend(uri, pid, str(folder), signal.SIGQUIT, uri)

    return _shared(run, "postgres", start)


def shared_mlflow_server(
    run: Path, name: str, database: str | Path
) -> contextlib.AbstractContextManager[Backend]:
    """An ``mlflow server`` on a free port of the loopback, artifacts through it.

    Args:
        run: Folder of this run of the tests.
        name: Of the server, which is one for each name.
        database: URI of a database that is migrated, or the file to copy.
    """

    def start(run: Path) -> Backend:
        folder = run / f"{name}-home"
        folder.mkdir()
        behind = str(database)
        if isinstance(database, Path):
            copy_template(database, folder / "mlflow.db")
            behind = f"sqlite:///{folder / 'mlflow.db'}"
        return _start_server(folder, behind)

    return _shared(run, name, start)


@contextlib.contextmanager
def running_server(folder: Path, template: Path) -> Iterator[str]:
    """Address of a server of the test's own, which ends with the context."""
    folder.mkdir()
    copy_template(template, folder / "mlflow.db")
    backend = _start_server(folder, f"sqlite:///{folder / 'mlflow.db'}")
    try:
        yield backend.uri
    finally:
        _stop(backend)


def _start_server(folder: Path, database: str) -> Backend:
    port = free_port()
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": database,
        "--artifacts-destination": str(folder / "artifacts"),
    }
    words = [word for pair in options.items() for word in pair]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *words],
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _CHILDREN.append(server)  # its end is waited for when all are through with it
    uri = f"http://127.0.0.1:{port}"
    until = time.monotonic() + _START_SECONDS
    while not _answers(uri):
        if server.poll() is not None or time.monotonic() > until:
            told = (folder / "log").read_text()[-3000:]
            pytest.fail(f"the MLflow server did not start:\n{told}")
        time.sleep(0.2)
    return Backend(uri, server.pid, str(folder), signal.SIGTERM, database)


def _answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=2).ok
    except requests.RequestException:
        return False


def copy_template(template: Path, database: Path) -> None:
    """Copy the template; runs of its Default experiment go beside the copy."""
    shutil.copy(template, database)
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'Default'",
            (str(database.parent / "mlruns" / "0"),),
        )
    connection.close()
