"""What a version's own run carries, between our words and MLflow's entities."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import (
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunStatus,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.base import TrackedDataset, TrackedMeasurement
from brixa_flows.tracking.limits import LONGEST_KEY, is_name
from brixa_flows.tracking.mlflow_datasets import as_input, has_dataset

__all__ = [
    "as_metrics",
    "as_params",
    "change_tags",
    "create",
    "ensure_experiment",
    "ensure_model_of",
    "error_code",
    "fill",
    "find_experiment",
    "link_models",
    "log_measurement",
    "log_to_run",
    "milliseconds",
    "moment_of",
    "own_run",
    "runs_in",
]

_EPOCH = datetime.fromtimestamp(0, UTC)
_LONGEST_PARAM = 500
_PARAMS_A_CALL = 100
_METRICS_A_CALL = 1000
_RUNS_A_PAGE = 1000
_NO_LETTERS_OF_MODELS = re.compile("[/:.%\"']")
_MODEL_VERSIONS_TAG = "mlflow.modelVersions"
_KIND_TAG = {"mlflow.experimentKind": "custom_model_development"}
"""Else MLflow may take it for one with prompts and agents."""
_USER_TAG = "mlflow.user"
_ALLOWED_IN_KEYS = frozenset("_-. /")


def error_code(err: MlflowException) -> str:
    """MLflow's name for what went wrong."""
    return str(err.error_code)


def find_experiment(client: MlflowClient, name: str) -> str | None:
    """Id of the live experiment with the runs of model ``name``."""
    found = client.get_experiment_by_name(keys.experiment_of(name))
    alive = found is not None and found.lifecycle_stage == "active"
    return str(found.experiment_id) if found is not None and alive else None


def ensure_experiment(
    client: MlflowClient, name: str, artifact_location: str | None
) -> str:
    """Find, restore or create it; somebody else may create it meanwhile."""
    experiment = keys.experiment_of(name)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        try:
            return str(
                client.create_experiment(experiment, artifact_location, _KIND_TAG)
            )
        except MlflowException as err:
            found = client.get_experiment_by_name(experiment)
            if found is None or error_code(err) != "RESOURCE_ALREADY_EXISTS":
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def runs_in(
    client: MlflowClient,
    experiment_id: str,
    wanted: str = "",
    view: int = ViewType.ACTIVE_ONLY,
) -> list[Run]:
    """Runs of an experiment, oldest first.

    Args:
        client: Of the backend.
        experiment_id: Of the experiment.
        wanted: A filter of MLflow's.
        view: Whether deleted ones count.
    """
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id],
            wanted,
            view,
            max_results=_RUNS_A_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def own_run(client: MlflowClient, experiment_id: str, version: str) -> Run | None:
    """The version's own run: the oldest, so that a copy changes nothing."""
    found = runs_in(client, experiment_id, f"tags.`{keys.VERSION}` = {version!r}")
    return next((run for run in found if keys.MODEL in run.data.tags), None)


def change_tags(
    client: MlflowClient, run_id: str, changed: Mapping[str, str | None]
) -> None:
    """Set tags of a run, or remove those of ``None``."""
    for key, value in changed.items():
        if value is None:
            client.delete_tag(run_id, key)
        else:
            client.set_tag(run_id, key, value)


def create(
    client: MlflowClient,
    experiment_id: str,
    name: str,
    version: str,
    digest: str | None,
    tags: Mapping[str, str],
    at: datetime | None = None,
) -> Run:
    """Create the own run of a version, by whoever runs this process."""
    all_tags = {_USER_TAG: _user(), **tags, keys.MODEL: name, keys.VERSION: version}
    if digest is not None:
        all_tags[keys.DIGEST] = digest
    return client.create_run(
        experiment_id,
        start_time=None if at is None else milliseconds(at),
        tags=all_tags,
        run_name=f"{name} {version}",
    )


def _user() -> str:
    """Whom MLflow shows as the creator of a run."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return "unknown"


def fill(
    client: MlflowClient,
    run: Run,
    params: Mapping[str, Any],
    measured: Iterable[TrackedMeasurement],
    datasets: Iterable[TrackedDataset],
) -> None:
    """Log what a version's run has of its birth and since, and finish it.

    One that is not finished is filled again: what is there already stays once. How long
    that takes says nothing of the version, so the run ends when it began.
    """
    run_id = run.info.run_id
    plain: list[TrackedMeasurement] = []
    tied: list[TrackedMeasurement] = []
    for each in measured:
        (plain if each.dataset is None else tied).append(each)
    log_to_run(
        client,
        run_id,
        params=as_params(params),
        metrics=(metric for each in plain for metric in as_metrics(each)),
        datasets=datasets,
    )
    for each in tied:
        log_measurement(client, run_id, each)
    _finish(client, run_id, run.info.start_time)


def log_to_run(
    client: MlflowClient,
    run_id: str,
    *,
    params: Iterable[Param] = (),
    metrics: Iterable[Metric] = (),
    datasets: Iterable[TrackedDataset] = (),
) -> None:
    """Log all, in as few calls as MLflow's batch limits allow."""
    params, metrics = iter(params), iter(metrics)
    while True:
        some_params = list(islice(params, _PARAMS_A_CALL))
        some_metrics = list(islice(metrics, _METRICS_A_CALL - len(some_params)))
        if not some_params and not some_metrics:
            break
        client.log_batch(run_id, metrics=some_metrics, params=some_params)
    inputs = [as_input(dataset) for dataset in datasets]
    if inputs:
        client.log_inputs(run_id, inputs)


def _finish(client: MlflowClient, run_id: str, end_time: int) -> None:
    """Say that a run ended, and nothing on standard output.

    On a server ``MlflowClient.set_terminated`` prints two lines there, where a command
    prints its JSON.
    """
    client._tracking_client.store.update_run_info(
        run_id, RunStatus.FINISHED, end_time, None
    )


def log_measurement(
    client: MlflowClient, run_id: str, measured: TrackedMeasurement
) -> None:
    """Add metrics to a run, tied to a dataset where there is one."""
    dataset = measured.dataset
    if dataset is None:
        log_to_run(client, run_id, metrics=as_metrics(measured))
        return
    run = client.get_run(run_id)
    tied = as_metrics(measured, ensure_model_of(client, run))
    new = not has_dataset(run, dataset)
    log_to_run(client, run_id, metrics=tied, datasets=[dataset] if new else [])


def as_params(params: Mapping[str, Any]) -> list[Param]:
    """Hyperparameters as MLflow keeps them: text, long ones shortened.

    Their authority is ``config.json``, so nothing is refused here: what MLflow would
    not take as a name is spelt differently, and told apart by a number.
    """
    kept: dict[str, str] = {}
    for key, value in params.items():
        spelt = plain = _as_key(key)
        number = 1
        while spelt in kept:
            number += 1
            spelt = f"{plain[: LONGEST_KEY - 8]}_{number}"
        kept[spelt] = _as_text(value)
    return [Param(key, text) for key, text in kept.items()]


def as_metrics(
    measured: TrackedMeasurement, model_id: str | None = None
) -> list[Metric]:
    """Metrics of a moment, tied to a dataset where there is one.

    MLflow's databases keep the tie for metrics of a LoggedModel only, so ``model_id``
    goes with it.
    """
    dataset, tied = measured.dataset, {}
    if dataset is not None:
        shown = as_input(dataset).dataset
        tied = {"dataset_name": shown.name, "dataset_digest": shown.digest}
    at = milliseconds(measured.at)
    return [
        Metric(name, float(value), at, 0, model_id=model_id, **tied)
        for name, value in measured.metrics.items()
    ]


def milliseconds(moment: datetime) -> int:
    """A moment as MLflow keeps it; a float would lose one now and then."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(milliseconds_since: int) -> datetime:
    """A moment of MLflow's."""
    return _EPOCH + timedelta(milliseconds=milliseconds_since)


def ensure_model_of(client: MlflowClient, run: Run) -> str:
    """Id of the LoggedModel that carries the metrics by dataset of a version's run.

    It is made with the first of them and has no files: those are in our storage.
    """
    for output in run.outputs.model_outputs if run.outputs else ():
        return str(output.model_id)
    known = (keys.MODEL, keys.VERSION, keys.DIGEST)
    tags = {key: run.data.tags[key] for key in known if key in run.data.tags}
    name = f"{tags.get(keys.MODEL, 'model')}-{tags.get(keys.VERSION, '')}"
    registered = client.search_model_versions(f"run_id = {run.info.run_id!r}")
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=_NO_LETTERS_OF_MODELS.sub("_", name),
        source_run_id=run.info.run_id,
        tags={**tags, **_versions_tag(registered)},
        params=dict(run.data.params),
    )
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])
    return str(logged.model_id)


def link_models(client: MlflowClient, run: Run, version: ModelVersion) -> None:
    """Say of what is measured already, before the version was there, whose it is."""
    for output in run.outputs.model_outputs if run.outputs else ():
        client.set_logged_model_tags(output.model_id, _versions_tag([version]))


def _versions_tag(registered: Iterable[ModelVersion]) -> dict[str, str]:
    shown = [{"name": each.name, "version": int(each.version)} for each in registered]
    return {_MODEL_VERSIONS_TAG: json.dumps(shown)}


def _as_key(key: str) -> str:
    kept = (
        letter if letter.isalnum() or letter in _ALLOWED_IN_KEYS else "_"
        for letter in key
    )
    text = "".join(kept)[:LONGEST_KEY]
    if is_name(text):
        return text
    return text.replace("/", "_").replace(".", "_") or "_"


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(text) <= _LONGEST_PARAM:
        return text
    return f"{text[: _LONGEST_PARAM - 3]}..."
