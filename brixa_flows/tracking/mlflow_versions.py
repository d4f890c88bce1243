"""Model versions, between our words and MLflow's entities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from brixa_flows.errors import TrackingError
from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.base import TrackedVersion
from brixa_flows.tracking.mlflow_first_use import local_path
from brixa_flows.tracking.mlflow_runs import (
    error_code,
    find_experiment,
    link_models,
    moment_of,
    runs_in,
)
from brixa_flows.tracking.mlflow_waits import transferring

__all__ = [
    "MISSING",
    "aliases_of",
    "as_tracked",
    "change_tags",
    "create",
    "ensure",
    "find",
    "find_run",
    "foreign_aliases_of",
    "is_active",
    "is_ours",
    "listed",
    "newest_numbers",
    "run_of",
    "search",
]

MISSING = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_VERSIONS_A_PAGE = 1000
_NEWEST = 200
_UPLOAD_FOLDER = "model"
_CARD = "README.md"


def create(client: MlflowClient, name: str, **facts: Any) -> ModelVersion:
    """Create a version, and its registered model where that is not there yet.

    In this order, because creating a model that is there costs more than a version.
    """
    try:
        return client.create_model_version(name, await_creation_for=0, **facts)
    except MlflowException as err:
        if error_code(err) not in MISSING:
            raise
    _ensure_model(client, name)
    return client.create_model_version(name, await_creation_for=0, **facts)


def _ensure_model(client: MlflowClient, name: str) -> None:
    """Create the registered model unless it is there."""
    try:
        client.create_registered_model(name)
    except MlflowException as err:
        if error_code(err) != "RESOURCE_ALREADY_EXISTS":
            raise


def find(
    client: MlflowClient, name: str, version: str, number: str | None = None
) -> ModelVersion | None:
    """The version with our tag: by a cached number if that is right, else by search."""
    if number is not None:
        try:
            found = client.get_model_version(name, number)
            if found.tags.get(keys.VERSION) == version:
                return found
        except MlflowException as err:
            if error_code(err) not in MISSING:
                raise
    candidates = search(client, name, version)
    return min(candidates, key=lambda each: int(each.version), default=None)


def search(
    client: MlflowClient, name: str, version: str | None = None
) -> list[ModelVersion]:
    """Versions of a model, or those with one semantic version in their tag."""
    wanted = f"name = {name!r}"
    if version is not None:
        wanted += f" and tags.`{keys.VERSION}` = {version!r}"
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(
            wanted, max_results=_VERSIONS_A_PAGE, page_token=token
        )
        found.extend(page)
        token = page.token
        if not token:
            return found


def newest_numbers(client: MlflowClient, name: str) -> list[str]:
    """What our tag says on the versions that were made last, of which each takes time."""
    page = client.search_model_versions(
        f"name = {name!r}",
        max_results=_NEWEST,
        order_by=["version_number DESC"],
    )
    return [str(found.tags[keys.VERSION]) for found in page if is_ours(found)]


def ensure(
    client: MlflowClient,
    name: str,
    version: str,
    *,
    source: str,
    run_id: str,
    description: str,
    tags: Mapping[str, str],
    uploads: bool,
    place: str,
) -> TrackedVersion:
    """Make a version visible, or return the one that is.

    Args:
        client: Of the backend.
        name: Model.
        version: Semantic version.
        source: Where its files are.
        run_id: Its own run.
        description: Free text.
        tags: All of its tags.
        uploads: Whether local files go to the backend.
        place: Address of the backend, for messages.

    Raises:
        TrackingError: If the run is gone.
    """
    run = client.get_run(run_id)
    if run.info.lifecycle_stage != "active":
        raise TrackingError(
            f"the run {run_id} of {name} {version} in {place} was replaced or deleted "
            "meanwhile"
        )
    found = find(client, name, version)
    if found is None:
        found = create(
            client,
            name,
            source=_acceptable_source(client, source, run, uploads=uploads),
            run_id=run_id,
            tags={**tags, **_digest_tag(run)},
            description=description or None,
        )
    link_models(client, run, found)
    return as_tracked(found, run)


def listed(client: MlflowClient, name: str) -> list[TrackedVersion]:
    """All versions of a model with our tag, in our words."""
    ours = [found for found in search(client, name) if is_ours(found)]
    by_id = _runs_by_id(client, name, [found.run_id for found in ours if found.run_id])
    return [as_tracked(found, by_id.get(found.run_id)) for found in ours]


def _runs_by_id(
    client: MlflowClient, name: str, wanted: Iterable[str]
) -> dict[str, Run]:
    """Runs by id; those outside the model's experiment with all that are beside them.

    Somebody may have renamed or deleted the experiment, or deleted a run.
    """
    experiment_id = find_experiment(client, name)
    known = {} if experiment_id is None else _by_id(client, experiment_id)
    looked_at = {experiment_id}
    for run_id in wanted:
        run = None if run_id in known else find_run(client, run_id)
        if run is None:
            continue
        known[run_id] = run
        if run.info.experiment_id not in looked_at:
            looked_at.add(run.info.experiment_id)
            known |= _by_id(client, run.info.experiment_id)
    return known


def _by_id(client: MlflowClient, experiment_id: str) -> dict[str, Run]:
    found = runs_in(client, experiment_id, view=ViewType.ALL)
    return {str(run.info.run_id): run for run in found}


def change_tags(
    models: Any, tracked: TrackedVersion, changed: Mapping[str, str | None]
) -> None:
    """Set tags of a version, or remove those of ``None``.

    Args:
        models: MLflow's client of the registry, one layer below, at a flat cost.
        tracked: The version.
        changed: By key.
    """
    name, number = tracked.name, tracked.backend_version
    for key, value in changed.items():
        if value is None:
            models.delete_model_version_tag(name, number, key)
        else:
            models.set_model_version_tag(name, number, key, value)


def _acceptable_source(
    client: MlflowClient, source: str, run: Run, *, uploads: bool
) -> str:
    """A source that the backend takes.

    A server refuses local folders but those of the run itself, so with ``uploads`` the
    files go there. Else only the model card does, for those who look at the run.
    """
    local = local_path(source)
    if local is None:
        return source
    if not uploads:
        if (local / _CARD).is_file():
            with transferring():
                client.log_artifact(run.info.run_id, str(local / _CARD))
        return local.as_uri()
    with transferring():
        client.log_artifacts(run.info.run_id, str(local), _UPLOAD_FOLDER)
    return f"{run.info.artifact_uri}/{_UPLOAD_FOLDER}"


def _digest_tag(run: Run) -> dict[str, str]:
    """What a version repeats of the digest on its run; nothing if there is none."""
    recorded = run.data.tags.get(keys.DIGEST)
    return {} if recorded is None else {keys.DIGEST: recorded}


def aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    """Alias -> semantic version, for versions with our tag."""
    found = _aliased(client, name).items()
    return {alias: str(v.tags[keys.VERSION]) for alias, v in found if is_ours(v)}


def foreign_aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    """Alias -> MLflow's number, for versions that somebody else made."""
    found = _aliased(client, name).items()
    return {alias: str(v.version) for alias, v in found if not is_ours(v)}


def _aliased(client: MlflowClient, name: str) -> dict[str, ModelVersion]:
    try:
        numbers = client.get_registered_model(name).aliases
    except MlflowException as err:
        if error_code(err) not in MISSING:
            raise
        return {}
    return {
        alias: client.get_model_version(name, str(number))
        for alias, number in numbers.items()
    }


def is_ours(found: ModelVersion) -> bool:
    """Whether a version has our tag, so that it was saved through the registry."""
    return keys.VERSION in found.tags


def run_of(client: MlflowClient, found: ModelVersion) -> Run | None:
    """The version's own run, unless somebody deleted it for good."""
    return find_run(client, found.run_id) if found.run_id else None


def find_run(client: MlflowClient, run_id: str) -> Run | None:
    """The run of that id, ``None`` if there is none or nothing can have that id."""
    try:
        return client.get_run(run_id)
    except MlflowException as err:
        if error_code(err) not in (*MISSING, "INVALID_PARAMETER_VALUE"):
            raise
        return None


def is_active(run: Run | None) -> bool:
    """Whoever deletes a run takes its record back."""
    return run is not None and run.info.lifecycle_stage == "active"


def as_tracked(found: ModelVersion, run: Run | None) -> TrackedVersion:
    """Both in our words; numbers are int or str there, depending on the backend."""
    users, ours = keys.split_tags(found.tags)
    alive = run.data.tags if run is not None and is_active(run) else None
    custom = keys.load_custom(ours.pop(keys.CUSTOM, None))
    return TrackedVersion(
        name=str(found.name),
        version=ours.pop(keys.VERSION),
        backend_version=str(found.version),
        run_id=found.run_id or None,
        source=str(found.source),
        digest=None if alive is None else alive.get(keys.DIGEST),
        description=found.description or "",
        tags=users,
        metrics={} if run is None else dict(run.data.metrics),
        owner=ours.pop(keys.OWNER, None),
        custom=custom,
        stage=ours.pop(keys.STAGE, None),
        run_at=None if run is None else moment_of(run.info.start_time),
        digest_shown=ours.pop(keys.DIGEST, None),
        facts=ours,
        run_facts=None if alive is None else keys.split_tags(alive)[1],
    )
