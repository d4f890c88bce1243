"""Everything a person sees of some models in MLflow, as plain values to compare."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient

_OF_MLFLOW = "mlflow."


def picture_of(uri: str, *names: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What MLflow shows of models, but for its own ids and when it made its rows.

    Args:
        uri: Of the backend.
        names: Models.
        without: Keys of tags to leave out.
    """
    client = MlflowClient(uri, uri)
    return {name: _model(client, name, without) for name in names}


def _model(client: MlflowClient, name: str, without: tuple[str, ...]) -> dict[str, Any]:
    model = client.get_registered_model(name)
    listed = client.search_model_versions(f"name = '{name}'")
    versions = {
        each.tags["brixa.version"]: _version(client, each, without) for each in listed
    }
    assert len(versions) == len(listed), "a version is there twice"
    experiment = client.get_experiment_by_name(f"brixa/{name}")
    runs = client.search_runs([experiment.experiment_id])
    aliases = {
        alias: client.get_model_version(name, number).tags["brixa.version"]
        for alias, number in model.aliases.items()
    }
    return {"versions": versions, "aliases": aliases, "runs": len(runs)}


def _version(client: MlflowClient, found: Any, without: tuple[str, ...]) -> Any:
    run = client.get_run(found.run_id)
    inputs = run.inputs.dataset_inputs
    return {
        "description": found.description,
        "source": found.source.split("/")[-2:],
        "tags": _kept(found.tags, without),
        "run_tags": _kept(run.data.tags, without),
        "params": run.data.params,
        "metrics": run.data.metrics,
        "history": [
            (each.key, each.timestamp, each.value, each.step)
            for key in sorted(run.data.metrics)
            for each in client.get_metric_history(run.info.run_id, key)
        ],
        "by_dataset": _by_dataset(client, run),
        "models": [
            (each.name, each.status, each.params, _kept(each.tags, without))
            for each in _models(client, run)
        ],
        "inputs": sorted(
            (
                *(each.dataset.name, each.dataset.digest, each.dataset.profile),
                *(each.dataset.source_type, each.dataset.source, each.tags[0].value),
            )
            for each in inputs
        ),
        "run": (run.info.run_name, run.info.status, run.data.tags["mlflow.user"]),
        "times": (run.info.start_time, run.info.end_time),
    }


def _models(client: MlflowClient, run: Any) -> list[Any]:
    outputs = run.outputs.model_outputs
    return [client.get_logged_model(each.model_id) for each in outputs]


def _by_dataset(client: MlflowClient, run: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (
            *(each.key, each.timestamp, each.value, each.step),
            *(each.dataset_name, each.dataset_digest),
        )
        for model in _models(client, run)
        for each in model.metrics or ()
    )


def _kept(tags: dict[str, str], without: tuple[str, ...]) -> dict[str, str]:
    return {
        key: value
        for key, value in tags.items()
        if key not in without and not key.startswith(_OF_MLFLOW)
    }
