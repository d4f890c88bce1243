"""The tracking store on MLflow, through a client of its own, never the fluent API.

Open it with :func:`brixa_flows.tracking.open_store`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from mlflow import (
    MlflowClient,
    get_registry_uri,
    get_tracking_uri,
    is_tracking_uri_set,
)
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking._model_registry.client import ModelRegistryClient

from brixa_flows.errors import TrackingError
from brixa_flows.tracking import mlflow_runs as runs
from brixa_flows.tracking import mlflow_versions as versions
from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.base import (
    AdoptableModel,
    LoggedModel,
    TrackedDataset,
    TrackedMeasurement,
    TrackedVersion,
)
from brixa_flows.tracking.limits import check_metrics
from brixa_flows.tracking.mlflow_access import MlflowAccess, with_installed_driver
from brixa_flows.tracking.mlflow_adopt import fetch_logged_model, find_logged_models
from brixa_flows.tracking.mlflow_first_use import (
    disconnect,
    open_client,
    place_of_runs,
    place_that_fits,
)
from brixa_flows.tracking.mlflow_own_run import OwnRuns
from brixa_flows.tracking.mlflow_recorded import RecordedDigests
from brixa_flows.tracking.mlflow_waits import bound_waits, transferring

__all__ = ["MlflowTrackingStore", "store_in_use"]

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


def _bounded(
    method: Callable[Concatenate[MlflowTrackingStore, _Arguments], _Result],
) -> Callable[Concatenate[MlflowTrackingStore, _Arguments], _Result]:
    """Let a method end in bounded time and only with our errors."""

    @functools.wraps(method)
    def call(
        self: MlflowTrackingStore, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        self._open(look=True)
        return self._access.call(lambda: method(self, *args, **kwargs))

    return cast("Callable[Concatenate[MlflowTrackingStore, _Arguments], _Result]", call)


class MlflowTrackingStore:
    """See :class:`~brixa_flows.tracking.base.TrackingStore`.

    Args:
        uri: Tracking URI of MLflow.
        registry_uri: Where the model registry is, if elsewhere.
        artifact_folder: Where files of runs go when the backend is a database that is
            opened directly; beside the file for sqlite if not given. A server decides
            for itself.
    """

    def __init__(
        self,
        uri: str,
        *,
        registry_uri: str | None = None,
        artifact_folder: Path | None = None,
    ) -> None:
        self._tracking_uri = with_installed_driver(uri)
        self._registry_uri = with_installed_driver(registry_uri or uri)
        self._access = MlflowAccess(self._tracking_uri, self._registry_uri)
        self._artifact_folder = artifact_folder
        self._lock = threading.Lock()
        self._opened: tuple[MlflowClient, ModelRegistryClient] | None = None
        self._recorded = RecordedDigests()
        # A number that the caller has cached may be one of before a rebuild.
        self._numbers: dict[tuple[str, str], str] = {}

    @property
    def uri(self) -> str:
        """Address of the backend, without credentials."""
        return self._access.shown

    def ping(self) -> None:
        """Return if the backend answers; a file does once it was opened."""
        embedded = self._access.is_embedded
        if not embedded:
            self._access.check_alive(again=True)
        client, _ = self._open(look=True)
        if not embedded:
            self._access.call(lambda: client.search_experiments(max_results=1))

    def open_run(
        self,
        name: str,
        version: str,
        *,
        digest: str | None,
        params: Mapping[str, Any],
        measured: Sequence[TrackedMeasurement] = (),
        datasets: Sequence[TrackedDataset] = (),
        tags: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> str:
        """Create the version's own run, or complete or return that of the digest."""
        for each in measured:
            check_metrics(each.metrics)
        run = self._ensure_run(name, version, digest, dict(tags or {}), at)
        if run.info.status != "FINISHED":
            self._fill_run(run, params, measured, datasets)
        return str(run.info.run_id)

    @_bounded
    def recorded_digest(
        self, name: str, version: str, *, run_id: str | None = None
    ) -> str | None:
        """The digest on the version's own run, ``None`` if there is none."""
        return self._recorded.digest(self._client, name, version, run_id)

    def create_version(
        self,
        name: str,
        version: str,
        *,
        source: str,
        run_id: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str | None = None,
        custom: Mapping[str, Any] | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> TrackedVersion:
        """Make the version visible, all tags in one call."""
        keys.check_user_tags(tags or {})
        # MLflow's list of versions shows the first tags best, and its own number.
        all_tags = {keys.VERSION: version, **(tags or {}), **(facts or {})}
        if owner:
            all_tags[keys.OWNER] = owner
        if custom:
            all_tags[keys.CUSTOM] = keys.dump_custom(custom)
        return self._ensure_version(
            name, version, source, run_id, description, all_tags
        )

    @_bounded
    def get_version(
        self, name: str, version: str, *, backend_version: str | None = None
    ) -> TrackedVersion | None:
        """What MLflow knows of the version, ``None`` if it knows nothing."""
        number = self._numbers.get((name, version), backend_version)
        found = versions.find(self._client, name, version, number)
        if found is None:
            return None
        self._numbers[name, version] = str(found.version)
        return versions.as_tracked(found, versions.run_of(self._client, found))

    @_bounded
    def list_versions(self, name: str) -> list[TrackedVersion]:
        """All versions of a model with our tag."""
        listed = versions.listed(self._client, name)
        self._numbers |= {(name, each.version): each.backend_version for each in listed}
        return listed

    @_bounded
    def newest_numbers(self, name: str) -> list[str]:
        """Semantic versions of the versions that were made last."""
        return versions.newest_numbers(self._client, name)

    def update_version(
        self,
        tracked: TrackedVersion,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        custom: Mapping[str, Any] | None = None,
        owner: str | None = None,
        stage: str | None = None,
        facts: Mapping[str, str | None] | None = None,
        run_facts: Mapping[str, str | None] | None = None,
    ) -> None:
        """Change what is given and leave the rest."""
        keys.check_user_tags(tags or {})
        changed: dict[str, str | None] = {**(tags or {}), **(facts or {})}
        if custom is not None:
            changed[keys.CUSTOM] = keys.dump_custom(custom)
        if owner is not None:
            changed[keys.OWNER] = owner or None
        if stage is not None:
            changed[keys.STAGE] = stage or None
        self._change_version(tracked, description, changed, run_facts or {})

    @_bounded
    def remove_version(self, tracked: TrackedVersion) -> None:
        """Show a version no more, nor its aliases."""
        self._client.delete_model_version(tracked.name, tracked.backend_version)

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        dataset: TrackedDataset | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add metrics to a run, tied to a dataset where given."""
        check_metrics(metrics)
        measured = TrackedMeasurement(metrics, at or datetime.now(UTC), dataset)
        self._log(run_id, measured)

    @_bounded
    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a file beside the run."""
        with transferring():
            self._client.log_artifact(run_id, str(path), folder or None)

    @_bounded
    def set_alias(self, name: str, alias: str, backend_version: str | None) -> None:
        """Point an alias at a version; ``None`` removes it.

        MlflowClient would first read the whole model to see that it is no prompt.
        """
        if backend_version is not None:
            self._models.set_registered_model_alias(name, alias, backend_version)
            return
        try:
            self._models.delete_registered_model_alias(name, alias)
        except MlflowException as err:
            if runs.error_code(err) not in versions.MISSING:
                raise

    @_bounded
    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> semantic version."""
        return versions.aliases_of(self._client, name)

    @_bounded
    def foreign_aliases(self, name: str) -> dict[str, str]:
        """Alias -> MLflow's number, for versions that somebody else made."""
        return versions.foreign_aliases_of(self._client, name)

    @_bounded
    def logged_models(
        self, experiment: str, since: datetime, until: datetime
    ) -> list[LoggedModel]:
        """The models that were logged to an experiment in a stretch of time."""
        return find_logged_models(self._client, experiment, since, until)

    @_bounded
    def adopt(self, model_uri: str, folder: Path) -> AdoptableModel:
        """Bring the files of a model that somebody logged."""
        try:
            with transferring():
                return fetch_logged_model(self._client, model_uri, folder)
        except OSError as err:
            raise TrackingError(f"{model_uri} can't be fetched: {err}") from err

    @property
    def _client(self) -> MlflowClient:
        return self._open()[0]

    @property
    def _models(self) -> ModelRegistryClient:
        return self._open()[1]

    def _open(self, *, look: bool = False) -> tuple[MlflowClient, ModelRegistryClient]:
        """The clients, made on first use; ``look``: and if their files are others."""
        with self._lock:
            if look and self._opened and self._access.is_replaced():
                disconnect(*self._opened)
                self._opened, self._recorded = None, RecordedDigests()
                self._numbers.clear()
            if self._opened is None:
                self._access.look_before_opening()
                self._opened = self._access.call(self._connect)
                if self._access.opened():
                    disconnect(*self._opened)
                    self._opened = self._access.call(self._connect)
                    self._access.opened()
            return self._opened

    def _connect(self) -> tuple[MlflowClient, ModelRegistryClient]:
        place = self._place_of_runs
        client = open_client(self._tracking_uri, self._registry_uri, place)
        models = ModelRegistryClient(self._registry_uri, self._tracking_uri)
        bound_waits(client, models)
        return client, models

    @property
    def _place_of_runs(self) -> str | None:
        if not self._access.is_database:
            return None
        return place_of_runs(self._tracking_uri, self._artifact_folder)

    def _artifacts_of(self, name: str) -> str | None:
        """Where files of a model's runs go; a server decides that for itself."""
        place = self._place_of_runs
        if place is None and self._access.is_database:
            raise TrackingError(
                f"{self.uri} is a database that is opened directly, and nothing says "
                "where files of runs go; use an MLflow server (http://...) with an "
                "artifact store, or a local storage root"
            )
        if place is None or self._access.is_embedded:
            return None if place is None else f"{place}/{name}"
        return place_that_fits(place, name)

    @_bounded
    def _ensure_run(
        self,
        name: str,
        version: str,
        digest: str | None,
        tags: dict[str, str],
        at: datetime | None,
    ) -> Run:
        place = self._artifacts_of(name)
        experiment_id = runs.ensure_experiment(self._client, name, place)
        own = OwnRuns(self._client, self._models, name, self.uri)
        return own.ensure(experiment_id, version, digest, tags, at)

    @_bounded
    def _fill_run(
        self,
        run: Run,
        params: Mapping[str, Any],
        measured: Sequence[TrackedMeasurement],
        datasets: Sequence[TrackedDataset],
    ) -> None:
        runs.fill(self._client, run, params, measured, datasets)

    @_bounded
    def _log(self, run_id: str, measured: TrackedMeasurement) -> None:
        runs.log_measurement(self._client, run_id, measured)

    @_bounded
    def _ensure_version(
        self,
        name: str,
        version: str,
        source: str,
        run_id: str,
        description: str,
        tags: dict[str, str],
    ) -> TrackedVersion:
        return versions.ensure(
            self._client,
            name,
            version,
            source=source,
            run_id=run_id,
            description=description,
            tags=tags,
            uploads=self._access.is_http,
            place=self.uri,
        )

    @_bounded
    def _change_version(
        self,
        tracked: TrackedVersion,
        description: str | None,
        changed: Mapping[str, str | None],
        run_facts: Mapping[str, str | None],
    ) -> None:
        if description is not None:
            number = tracked.backend_version
            self._client.update_model_version(tracked.name, number, description)
        versions.change_tags(self._models, tracked, changed)
        runs.change_tags(self._client, tracked.run_id or "", run_facts)


def store_in_use() -> MlflowTrackingStore | None:
    """On the URIs that the process's fluent MLflow has, read only, ``None`` if unset.

    Without a setting MLflow would make a new sqlite file in the working directory.
    """
    if not is_tracking_uri_set():
        return None
    return MlflowTrackingStore(get_tracking_uri(), registry_uri=get_registry_uri())
