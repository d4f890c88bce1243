"""Finds the tracking backend that the settings mean and opens it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from brixa_flows.errors import SettingsError
from brixa_flows.plugins import import_adapter
from brixa_flows.tracking.base import TrackingStore

__all__ = ["embedded_uri", "open_store", "open_store_in_use"]

_WITHOUT_SCHEME = ("databricks", "databricks-uc", "uc")


def open_store(
    uri: str | None = None,
    *,
    registry_uri: str | None = None,
    storage_root: Path | None = None,
    registry_folder: str = "models",
) -> TrackingStore:
    """Open the backend.

    The first of these that is given: ``uri``, the variable ``BRXA_TRACKING_URI``, the
    variable ``MLFLOW_TRACKING_URI`` (with ``MLFLOW_REGISTRY_URI``, if the team keeps
    its registry elsewhere), else an embedded sqlite file below ``storage_root``. This
    is the one place that imports MLflow, and it does so on the call, with MLflow's
    telemetry off unless the environment says otherwise. The backend is not touched
    before its first use.

    Args:
        uri: Any tracking URI of MLflow (``sqlite:///``, ``postgresql://``, ``http://``).
        registry_uri: Where its model registry is, if it is elsewhere.
        storage_root: Root of a local storage; ``None`` for an object store.
        registry_folder: Folder of the registry below that root.

    Raises:
        SettingsError: If nothing says where the backend is, or the address is none.
    """
    chosen = uri or os.environ.get("BRXA_TRACKING_URI")
    if not chosen:
        chosen = os.environ.get("MLFLOW_TRACKING_URI")
        if chosen and not registry_uri:
            registry_uri = os.environ.get("MLFLOW_REGISTRY_URI")
    folder = None if storage_root is None else storage_root / registry_folder / "_meta"
    if not chosen and folder is not None:
        chosen = embedded_uri(folder)
    if not chosen:
        raise SettingsError(
            "BRXA_TRACKING_URI",
            "is not set, and this storage has no local folder for an embedded "
            "backend; set it (or MLFLOW_TRACKING_URI, or pass tracking_uri=) to your "
            "MLflow backend, such as http://mlflow.example:5000",
        )
    _check_address(chosen)
    if registry_uri:
        _check_address(registry_uri)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it once
    adapter = import_adapter("brixa_flows.tracking.mlflow_store")
    store: TrackingStore = adapter.MlflowTrackingStore(
        chosen, registry_uri=registry_uri, artifact_folder=folder
    )
    return store


def _check_address(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as err:
        raise _no_address(f"can't be read ({err})") from err
    has_kind = "://" in uri or parts.path in _WITHOUT_SCHEME
    if not has_kind or parts.scheme == "file":
        shown = uri.rpartition("@")[2][:80]
        raise _no_address(f"is {shown!r}, which names neither a server nor a database")


def _no_address(reason: str) -> SettingsError:
    return SettingsError(
        "the address of the MLflow backend",
        f"{reason}; write it such as http://mlflow.example:5000 or "
        "sqlite:////folder/mlflow.db",
    )


def open_store_in_use() -> TrackingStore | None:
    """The backend that MLflow itself uses in this process, ``None`` if none is set.

    For code that MLflow calls, which knows no other settings.
    """
    adapter = import_adapter("brixa_flows.tracking.mlflow_store")
    store: TrackingStore | None = adapter.store_in_use()
    return store


def embedded_uri(folder: Path) -> str:
    """URI of the embedded backend that lives in ``folder``."""
    return f"sqlite:///{folder.resolve() / 'mlflow.db'}"
