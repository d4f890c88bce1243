"""The first use of a database, by however many processes at once."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from brixa_flows.errors import TrackingError
from brixa_flows.tracking.mlflow_access import quiet_migrations

__all__ = ["local_path", "open_client", "place_of_runs"]


def open_client(
    tracking_uri: str, registry_uri: str, artifact_location: str | None
) -> MlflowClient:
    """A client whose database is created and migrated.

    MLflow creates tables with no lock, so that of six processes five fail; a file
    lock beside a sqlite file lets them in one after another.

    Args:
        tracking_uri: Tracking URI of MLflow.
        registry_uri: Registry URI of MLflow, given always, as a client without one
            takes the process's global one.
        artifact_location: Where files of runs go in a new database.
    """
    with (
        _alone(_sqlite_file(tracking_uri)),
        _alone(_other_file(tracking_uri, registry_uri)),
    ):
        if artifact_location is not None:
            quiet_migrations()
            SqlAlchemyStore(tracking_uri, artifact_location)
        return MlflowClient(tracking_uri, registry_uri)


def place_of_runs(uri: str, folder: Path | None) -> str | None:
    """URI of the folder where a database opened directly puts files of runs.

    MLflow's default is ``./mlruns`` of whoever happens to run.

    Args:
        uri: Tracking URI of the database.
        folder: Ours below a local storage root, if there is one; else the place is
            beside a sqlite file, and ``None`` for other databases.
    """
    file = _sqlite_file(uri)
    beside = folder.resolve() if folder is not None else file and file.parent
    return None if beside is None else (beside / "mlruns").as_uri()


def local_path(source: str) -> Path | None:
    """The folder that a source means, ``None`` if it is no local one."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(source).resolve()


def _other_file(tracking_uri: str, registry_uri: str) -> Path | None:
    return None if registry_uri == tracking_uri else _sqlite_file(registry_uri)


def _sqlite_file(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if not parts.scheme.startswith("sqlite") or not parts.path.strip("/"):
        return None
    return Path(unquote(parts.path[1:])).resolve()


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
