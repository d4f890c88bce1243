"""Fixtures that all rooms share.

``tracking_uri`` is a fresh, migrated MLflow database of the test's own::

    def test_something(tmp_path, tracking_uri):
        registry = ModelRegistry(LocalStorageNode(tmp_path), tracking_uri=tracking_uri)

It costs 50 ms, as it is a copy of ``mlflow_template_db``, which is migrated once for
the whole run (7 s). Use ``MemoryTrackingStore()`` where MLflow itself is not the point.
To make a database for a module or session, ``shutil.copy`` the template yourself (or
to ``<storage>/models/_meta/mlflow.db``, where the embedded backend lives).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import (
    Backend,
    copy_template,
    shared_mlflow_server,
    shared_postgres,
)

os.environ.update(
    DO_NOT_TRACK="1",
    OMP_NUM_THREADS="1",  # a worker a core: threads that spin take the others' time
    MLFLOW_DISABLE_TELEMETRY="true",
    # A call that a test gave up goes on in its thread; random pauses between its tries
    # would change the state that hypothesis replays elsewhere.
    MLFLOW_HTTP_REQUEST_BACKOFF_JITTER="0",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
)
for _variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "BRXA_TRACKING_URI"):
    os.environ.pop(_variable, None)

_MIGRATE = """
import logging, sys
logging.disable(logging.INFO)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs
Runs(sys.argv[1], sys.argv[2])
Models(sys.argv[1])
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start files with ``slow`` tests first, the longest before all.

    The others then fill the second core; a long file that comes last has one alone.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        for mark in item.iter_markers("slow"):
            longest = max(seconds.get(item.path, 0.0), mark.kwargs["seconds"])
            seconds[item.path] = longest
    items.sort(key=lambda item: -seconds.get(item.path, 0.0))


@pytest.fixture(autouse=True)
def mlflow_is_told_nothing() -> Iterator[None]:
    """Unset the tracking URI that a test gave MLflow; later ones would write there."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)


@pytest.fixture(autouse=True)
def absl_closes_no_captured_stream() -> Iterator[None]:
    """Prefect's logging closes other handlers; absl's then closes its stream.

    Which is pytest's capture, if TensorFlow was imported during a test.
    """
    yield
    if absl := sys.modules.get("absl.logging"):
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def mlflow_template_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty MLflow sqlite file; copy it, do not open it.

    Made once for all xdist workers, behind a lock in their common base folder.
    """
    base = _folder_of_run(tmp_path_factory)
    template = base / "mlflow-template.db"
    with (base / "mlflow-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            made = base / "mlflow-template.part"
            made.unlink(missing_ok=True)
            command = [sys.executable, "-c", _MIGRATE, f"sqlite:///{made}", "mlruns"]
            subprocess.run(command, check=True, cwd=base, timeout=120)
            made.rename(template)
    return template


@pytest.fixture
def tracking_uri(mlflow_template_db: Path, tmp_path: Path) -> str:
    """URI of the test's own empty MLflow database, artifacts in ``tmp_path`` too."""
    database = tmp_path / "mlflow-test" / "mlflow.db"
    database.parent.mkdir()
    copy_template(mlflow_template_db, database)
    return f"sqlite:///{database}"


def _folder_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all xdist workers of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def postgres_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a database that the whole run shares, skipped where absent."""
    with shared_postgres(_folder_of_run(tmp_path_factory)) as backend:
        yield backend.uri


@pytest.fixture(scope="session")
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template_db: Path
) -> Iterator[Backend]:
    """An MLflow server on sqlite that the whole run shares."""
    run = _folder_of_run(tmp_path_factory)
    with shared_mlflow_server(run, "server", mlflow_template_db) as backend:
        yield backend


@pytest.fixture(scope="session")
def mlflow_server_uri(mlflow_server: Backend) -> str:
    """Its address; use model names of your own."""
    return mlflow_server.uri


@pytest.fixture(scope="session")
def mlflow_server_database(mlflow_server: Backend) -> str:
    """URI of the sqlite file behind it."""
    return mlflow_server.database


@pytest.fixture(scope="session")
def postgres_server_uri(
    tmp_path_factory: pytest.TempPathFactory, postgres_uri: str
) -> Iterator[str]:
    """Address of an MLflow server on the database of ``postgres_uri``."""
    run = _folder_of_run(tmp_path_factory)
    with shared_mlflow_server(run, "postgres-server", postgres_uri) as backend:
        yield backend.uri
