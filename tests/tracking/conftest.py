"""The real backends: an MLflow server over HTTP and a PostgreSQL database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.conftest import copy_template
from tests.postgres import free_port, private_cluster

_DATABASES: dict[str, str] = {}


@contextmanager
def running_server(folder: Path, template: Path) -> Iterator[str]:
    """An ``mlflow server`` on a free port of the loopback, artifacts through it."""
    folder.mkdir()
    copy_template(template, folder / "mlflow.db")
    port = free_port()
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
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
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(uri), server, folder / "log")
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=2).ok
    except requests.RequestException:
        return False


def wait_for(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path
) -> None:
    until = time.monotonic() + 90
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"the MLflow server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def mlflow_server_uri(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template_db: Path
) -> Iterator[str]:
    """URI of a server that the whole session shares; use model names of your own."""
    folder = tmp_path_factory.mktemp("server") / "home"
    with running_server(folder, mlflow_template_db) as uri:
        _DATABASES[uri] = f"sqlite:///{folder / 'mlflow.db'}"
        yield uri


@pytest.fixture(scope="session")
def mlflow_server_database(mlflow_server_uri: str) -> str:
    """URI of the sqlite file behind the server."""
    return _DATABASES[mlflow_server_uri]


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """URI of a database that the whole session shares, skipped where absent."""
    with private_cluster() as uri:
        yield uri


@pytest.fixture
def fluent() -> Iterator[Callable[[str], None]]:
    """Point MLflow's fluent API, a global of the process, somewhere; reset after."""
    import mlflow

    try:
        yield mlflow.set_tracking_uri
    finally:
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
