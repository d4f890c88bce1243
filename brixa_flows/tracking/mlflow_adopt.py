"""Finds models that somebody logged to MLflow, with ``log_model`` or autolog."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel as Entity
from mlflow.entities import LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.utils.uri import is_local_uri

from brixa_flows.errors import TrackingError, some_of
from brixa_flows.tracking.base import AdoptableModel, LoggedModel
from brixa_flows.tracking.mlflow_access import without_credentials
from brixa_flows.tracking.mlflow_datasets import datasets_of
from brixa_flows.tracking.mlflow_runs import error_code
from brixa_flows.tracking.mlflow_versions import MISSING

__all__ = ["fetch_logged_model", "find_logged_models"]

_PAGE = 100

_FORMS = "runs:/RUN_ID/model, models:/MODEL_ID, models:/NAME/3 or models:/NAME@ALIAS"


def fetch_logged_model(
    client: MlflowClient, model_uri: str, download_folder: Path
) -> AdoptableModel:
    """Find the model through ``client`` alone and bring its files here.

    MLflow's own resolution of ``models:/`` asks the process's global tracking URI.

    Args:
        client: The backend that knows it.
        model_uri: See :meth:`TrackingStore.adopt`.
        download_folder: Where remote files go; local ones stay where they are.

    Raises:
        TrackingError: If the URI can't be read or nothing is there.
    """
    location, run_id = _found(client, model_uri)
    remote = not is_local_uri(location)
    folder = Path(
        download_artifacts(
            artifact_uri=location,
            dst_path=str(download_folder) if remote else None,
            tracking_uri=client.tracking_uri,
        )
    ).resolve()
    if not (folder / "MLmodel").is_file():
        raise TrackingError(
            f"there is no MLflow model at {model_uri}: no file MLmodel in {location}"
        )
    run = client.get_run(run_id) if run_id else None
    server = client.tracking_uri if client.tracking_uri.startswith("http") else ""
    return AdoptableModel(
        uri=model_uri,
        directory=folder,
        location=location if remote else folder.as_uri(),
        server=without_credentials(server),
        run_id=None if run is None else str(run.info.run_id),
        params={} if run is None else dict(run.data.params),
        metrics={} if run is None else dict(run.data.metrics),
        datasets=() if run is None else datasets_of(run),
        tags={} if run is None else dict(run.data.tags),
    )


def find_logged_models(
    client: MlflowClient, experiment: str, since: datetime, until: datetime
) -> list[LoggedModel]:
    """See :meth:`TrackingStore.logged_models`.

    Raises:
        TrackingError: If there is no such experiment.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        known = [each.name for each in client.search_experiments(max_results=_PAGE)]
        place = without_credentials(client.tracking_uri)
        raise TrackingError(
            f"there is no experiment {experiment!r} in the MLflow backend of the "
            f"registry, {place}; it has: {some_of(known)}"
        )
    first, last = (int(moment.timestamp() * 1000) for moment in (since, until))
    asked = f"creation_timestamp >= {first} AND creation_timestamp <= {last}"
    models: list[LoggedModel] = []
    token: str | None = None
    while token != "":
        page = client.search_logged_models(
            [found.experiment_id], asked, max_results=_PAGE, page_token=token
        )
        ready = [each for each in page if each.status == LoggedModelStatus.READY]
        models.extend(map(_as_ours, ready))
        token = page.token or ""
    return sorted(models, key=lambda each: each.at)


def _as_ours(model: Entity) -> LoggedModel:
    at = datetime.fromtimestamp(model.creation_timestamp / 1000, UTC)
    return LoggedModel(model.model_uri, model.name, model.source_run_id or "", at)


def _found(client: MlflowClient, model_uri: str) -> tuple[str, str | None]:
    """As :func:`_locate`; what is missing was mostly logged to another backend."""
    try:
        return _locate(client, model_uri)
    except MlflowException as err:
        if error_code(err) not in MISSING:
            raise
        place = without_credentials(client.tracking_uri)
        raise TrackingError(
            f"there is no {model_uri} in the MLflow backend of the registry, {place}; "
            "let the training log there: mlflow.set_tracking_uri(registry.tracking.uri)"
        ) from err


def _locate(client: MlflowClient, model_uri: str) -> tuple[str, str | None]:
    """Where the files are, and the run that made them."""
    if model_uri.startswith("runs:/"):
        run_id, _, path = model_uri.removeprefix("runs:/").strip("/").partition("/")
        if not run_id or not path:
            raise TrackingError(f"{model_uri!r} names no model of a run: give {_FORMS}")
        return _of_run(client, client.get_run(run_id), path), run_id
    if not model_uri.startswith("models:/"):
        raise TrackingError(f"{model_uri!r} is no URI of a logged model: give {_FORMS}")
    try:
        parsed = _parse_model_uri(model_uri)
    except MlflowException as err:
        raise TrackingError(
            f"{model_uri!r} is no URI of a logged model: give {_FORMS}"
        ) from err
    if parsed.model_id is not None:
        logged = client.get_logged_model(parsed.model_id)
        return str(logged.artifact_location), logged.source_run_id
    if parsed.alias is not None:
        found = client.get_model_version_by_alias(parsed.name, parsed.alias)
    elif parsed.version is not None:
        found = client.get_model_version(parsed.name, parsed.version)
    else:
        raise TrackingError(f"{model_uri!r} names no version: give {_FORMS}")
    source = client.get_model_version_download_uri(found.name, found.version)
    if source.startswith(("runs:/", "models:/")):
        location, maker = _locate(client, source)
        return location, found.run_id or maker
    return str(source), found.run_id or None


def _of_run(client: MlflowClient, run: Run, path: str) -> str:
    """A LoggedModel (MLflow 3) of that name, else the run's own artifacts."""
    outputs = run.outputs.model_outputs if run.outputs else []
    logged = [client.get_logged_model(output.model_id) for output in outputs]
    ready = [
        model
        for model in logged
        if model.name == path and model.status == LoggedModelStatus.READY
    ]
    if ready:  # a name may be logged again, and an attempt that failed stays listed
        newest = max(ready, key=lambda model: int(model.creation_timestamp))
        return str(newest.artifact_location)
    if not _holds_model(client, run, path):
        there = some_of(f"{model.name} ({model.status})" for model in logged)
        raise TrackingError(
            f"the run {run.info.run_id} has no model {path!r} that is READY; it has: "
            f"{there}"
        )
    return f"{run.info.artifact_uri}/{path}"


def _holds_model(client: MlflowClient, run: Run, path: str) -> bool:
    """Whether a model is among the run's own artifacts, where MLflow 2 put it."""
    try:
        items = client.list_artifacts(run.info.run_id, path)
    except MlflowException as err:
        if error_code(err) not in MISSING:  # a model that was begun has no folder yet
            raise
        return False
    return f"{path}/MLmodel" in {item.path for item in items}
