"""The first use of a database, by however many processes at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._model_registry.client import ModelRegistryClient
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from brixa_flows.errors import TrackingError
from brixa_flows.tracking.mlflow_access import quiet_migrations
from brixa_flows.tracking.mlflow_file import sqlite_file

__all__ = [
    "disconnect",
    "local_path",
    "open_client",
    "place_of_runs",
    "place_that_fits",
]

_FIRST_USE_LOCK = 0x42726978615F3031
"""Ours among the advisory locks of a PostgreSQL database."""
_LONGEST_RUN_FOLDER = 200
_RUN_ID_AND_ARTIFACTS = len("/") + 32 + len("/artifacts")
_SHORT_NAME = 16


def open_client(
    tracking_uri: str, registry_uri: str, artifact_location: str | None
) -> MlflowClient:
    """A client whose database is created and migrated.

    MLflow creates tables with no lock, so that of six processes five fail; a file
    lock beside a sqlite file, and an advisory lock in PostgreSQL, lets them in one
    after another.

    Args:
        tracking_uri: Tracking URI of MLflow.
        registry_uri: Registry URI of MLflow, given always, as a client without one
            takes the process's global one.
        artifact_location: Where files of runs go in a new database.
    """
    with (
        _alone(sqlite_file(tracking_uri)),
        _alone(_other_file(tracking_uri, registry_uri)),
        _alone_in_postgres(tracking_uri),
    ):
        if artifact_location is not None:
            quiet_migrations()
            SqlAlchemyStore(tracking_uri, artifact_location)
        return MlflowClient(tracking_uri, registry_uri)


def disconnect(client: MlflowClient, models: ModelRegistryClient) -> None:
    """Close the connections to databases that MLflow keeps for these clients."""
    for store in (client._tracking_client.store, models.store):
        engine = getattr(store, "engine", None)
        if engine is not None:
            engine.dispose()


def place_of_runs(uri: str, folder: Path | None) -> str | None:
    """URI of the folder where a database opened directly puts files of runs.

    MLflow's default is ``./mlruns`` of whoever happens to run.

    Args:
        uri: Tracking URI of the database.
        folder: Ours below a local storage root, if there is one; else the place is
            beside a sqlite file, and ``None`` for other databases.
    """
    file = sqlite_file(uri)
    beside = folder.resolve() if folder is not None else file and file.parent
    return None if beside is None else (beside / "mlruns").as_uri()


def place_that_fits(place: str, name: str) -> str:
    """Where files of a model's runs go, short enough for a database's columns.

    Raises:
        TrackingError: If the place itself is too long.
    """
    for folder in (name, hashlib.sha256(name.encode()).hexdigest()[:_SHORT_NAME]):
        if len(f"{place}/{folder}") + _RUN_ID_AND_ARTIFACTS <= _LONGEST_RUN_FOLDER:
            return f"{place}/{folder}"
    most = _LONGEST_RUN_FOLDER - _RUN_ID_AND_ARTIFACTS - _SHORT_NAME - 1
    raise TrackingError(
        f"the folder {place} for files of runs has {len(place)} characters, and MLflow "
        f"keeps {most} of them in this database; use a storage root with a shorter path"
    )


def local_path(source: str) -> Path | None:
    """The folder that a source means, ``None`` if it is no local one."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(source).resolve()


def _other_file(tracking_uri: str, registry_uri: str) -> Path | None:
    return None if registry_uri == tracking_uri else sqlite_file(registry_uri)


@contextlib.contextmanager
def _alone(database: Path | None) -> Iterator[None]:
    if database is None:
        yield
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock = database.with_name(f"{database.name}.lock").open("ab")
    except OSError as err:
        if database.exists():  # made already; whoever may only read needs no lock
            yield
            return
        raise TrackingError(
            f"the folder {database.parent} of the embedded MLflow database can't be "
            f"written ({err.strerror}); give the storage root to this user, or set "
            "BRXA_TRACKING_URI"
        ) from err
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _alone_in_postgres(uri: str) -> Iterator[None]:
    if not urlsplit(uri).scheme.startswith("postgresql"):
        yield
        return
    with create_engine(uri, poolclass=NullPool).connect() as connection:
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _FIRST_USE_LOCK})
        yield
