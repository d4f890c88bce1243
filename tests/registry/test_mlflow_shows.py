"""What people see of a registry in MLflow's own UI, which asks what is asked here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import yaml
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.browser import page_after_loading

pytestmark = [
    pytest.mark.slow(seconds=20),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
]

JANUARY = {"name": "january", "digest": "sha256:" + "a" * 64, "uri": "s3://d/1.csv"}
MARCH = {"name": "march", "digest": "sha256:" + "b" * 64, "role": "evaluation"}


@dataclass(frozen=True)
class Shown:
    """A registry of two versions, on a server."""

    registry: ModelRegistry
    client: MlflowClient
    uri: str
    name: str


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_server_uri: str,
    frame: pd.DataFrame,
    classifier: LogisticRegression,
) -> Shown:
    storage = LocalStorageNode(tmp_path_factory.mktemp("shown"))
    registry = ModelRegistry(storage, tracking_uri=mlflow_server_uri)
    name = f"delays-{uuid.uuid4().hex[:8]}"
    for version in ("1.0.0", "1.1.0"):
        registry.register_model(
            name,
            "classification",
            "sklearn",
            description="Tells which **flights** are late.",
            tags={"team": "ops"},
            hyperparameters={"C": 1.0},
            metrics={"f1": 0.5},
            custom={"words": "größer"},
            owner="ann",
            datasets=[JANUARY],
            version=version,
        )
        if version == "1.0.0":
            registry.log_metrics(name, version, {"auc": 0.25}, MARCH)
        registry.save_model(name, version, classifier, frame.head(3))
    registry.log_metrics(name, "1.1.0", {"auc": 0.75}, MARCH)
    registry.log_report(name, "1.1.0", "evaluation.md", "# good\n")
    registry.transition(name, "1.0.0", "staging")
    registry.transition(name, "1.1.0", "production")
    registry.set_alias(name, "champion-eu", "1.1.0")
    return Shown(registry, MlflowClient(mlflow_server_uri), mlflow_server_uri, name)


def test_a_version_has_description_tags_aliases_and_a_link_to_its_run(
    shown: Shown,
) -> None:
    found = shown.client.get_model_version_by_alias(shown.name, "production")
    assert found.description == "Tells which **flights** are late."
    assert next(iter(found.tags.items())) == ("brixa.version", "1.1.0")
    assert found.tags["team"] == "ops"
    assert found.tags["brixa.stage"] == "production"
    assert found.tags["brixa.custom"] == '{"words": "größer"}'
    assert sorted(found.aliases) == ["champion-eu", "production"]
    run = shown.client.get_run(found.run_id)
    assert run.info.run_name == f"{shown.name} 1.1.0"
    model = shown.client.get_registered_model(shown.name)
    assert set(model.aliases) == {"champion-eu", "production", "staging"}


def test_the_run_has_params_metrics_datasets_a_creator_and_artifacts(
    shown: Shown,
) -> None:
    found = shown.client.get_model_version_by_alias(shown.name, "production")
    run = shown.client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"C": "1.0"}
    assert run.data.metrics == {"f1": 0.5, "auc": 0.75}
    assert run.data.tags["mlflow.user"] not in ("", "unknown")
    data = {each.dataset.name: each.tags[0].value for each in run.inputs.dataset_inputs}
    assert data == {"january": "training", "march": "evaluation"}
    files = {each.path for each in shown.client.list_artifacts(found.run_id, "model")}
    assert {"model/MLmodel", "model/README.md", "model/config.json"} <= files
    reports = shown.client.list_artifacts(found.run_id, "reports")
    assert [each.path for each in reports] == ["reports/evaluation.md"]
    experiment = shown.client.get_experiment(run.info.experiment_id)
    assert experiment.name == f"brixa/{shown.name}"
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_metrics_stand_beside_the_data_that_they_were_measured_on(shown: Shown) -> None:
    found = shown.client.get_model_version_by_alias(shown.name, "production")
    run = shown.client.get_run(found.run_id)
    [output] = run.outputs.model_outputs
    logged = shown.client.get_logged_model(output.model_id)
    assert logged.name == f"{shown.name}-1_1_0"
    assert logged.params == run.data.params
    assert [(each.key, each.dataset_name) for each in logged.metrics] == [
        ("auc", "march")
    ]
    registered = json.loads(logged.tags["mlflow.modelVersions"])
    assert registered == [{"name": shown.name, "version": 2}]


def test_so_do_those_that_were_measured_before_the_save(shown: Shown) -> None:
    found = shown.client.get_model_version_by_alias(shown.name, "staging")
    [output] = shown.client.get_run(found.run_id).outputs.model_outputs
    logged = shown.client.get_logged_model(output.model_id)
    assert [(each.key, each.value, each.dataset_name) for each in logged.metrics] == [
        ("auc", 0.25, "march")
    ]
    registered = json.loads(logged.tags["mlflow.modelVersions"])
    assert registered == [{"name": shown.name, "version": 1}]


def test_the_signature_is_read_through_the_server(shown: Shown) -> None:
    answer = requests.get(
        f"{shown.uri}/model-versions/get-artifact",
        params={"path": "MLmodel", "name": shown.name, "version": "2"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    signature = yaml.safe_load(answer.text)["signature"]
    inputs = [each["name"] for each in json.loads(signature["inputs"])]
    assert inputs == ["width", "age", "cost"]


def test_the_pages_of_model_version_and_run_show_it(
    shown: Shown, tmp_path: Path
) -> None:
    found = shown.client.get_model_version_by_alias(shown.name, "production")
    run = shown.client.get_run(found.run_id)
    place = f"experiments/{run.info.experiment_id}/runs/{found.run_id}"
    pages = {
        f"models/{shown.name}": ["Version 2", "production", "brixa.version"],
        f"models/{shown.name}/versions/2": [
            f"{shown.name} 1.1.0",  # the link to the run
            "<strong>flights</strong>",
            "größer",
            "Inputs (3)",
        ],
        place: ["0.75", "january", f"{shown.name}-1_1_0", "Registered models"],
    }
    for page, words in pages.items():
        dom = page_after_loading(f"{shown.uri}/#/{page}", tmp_path / "profile", 20_000)
        assert [word for word in words if word not in dom] == [], page


PREDICT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
rows = pd.DataFrame(json.loads(sys.argv[1]))
for uri, name in zip(sys.argv[2::2], sys.argv[3::2]):
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(f"models:/{name}@production")
    print([int(value) for value in model.predict(rows)])
"""


def test_what_mlflow_logged_is_adopted_and_loaded_by_who_knows_only_the_address(
    tmp_path: Path,
    tracking_uri: str,
    mlflow_server_uri: str,
    postgres_uri: str,
    postgres_server_uri: str,
    frame: pd.DataFrame,
    classifier: LogisticRegression,
) -> None:
    """On each kind of backend; ``LogisticRegression`` as MLflow's own flavor logs it."""
    rows, words, registries = frame.head(5), [], {}
    for number, uri in enumerate(
        (tracking_uri, mlflow_server_uri, postgres_uri, postgres_server_uri)
    ):
        name = f"adopted-{uuid.uuid4().hex[:8]}"
        mlflow.set_tracking_uri(uri)
        place = None if uri.startswith("http") else (tmp_path / f"r{number}").as_uri()
        experiment = mlflow.create_experiment(f"training-{name}", place)
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_param("C", 1.0)
            mlflow.log_metric("auc", 0.75)
            mlflow.sklearn.log_model(
                classifier,
                name="model",
                pip_requirements=["scikit-learn"],
                serialization_format="cloudpickle",
            )
        storage = LocalStorageNode(tmp_path / f"storage-{number}")
        registry = ModelRegistry(storage, tracking_uri=uri)
        found = registry.register_run(f"runs:/{run.info.run_id}/model", name=name)
        assert (str(found.version), found.metrics) == ("1.0.0", {"auc": 0.75})
        assert found.hyperparameters == {"C": "1.0"}
        assert found.lineage.run_id == run.info.run_id
        registry.transition(name, "1.0.0", "production")
        np.testing.assert_array_equal(
            registry.load_model(name).predict(rows), classifier.predict(rows)
        )
        words += [uri, name]
        registries[name] = registry
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, rows.to_json(orient="records"), *words],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=tmp_path,
        env={key: each for key, each in os.environ.items() if "MLFLOW_TR" not in key},
    )
    expected = str([int(value) for value in classifier.predict(rows)])
    assert done.stdout.splitlines() == [expected] * 4, done.stderr[-3000:]
    first, *_ = registries
    note = tmp_path / f"storage-0/models/{first}/1.0.0/registered_model_meta"
    assert note.exists(), "MLflow leaves it beside the files that it loads"
    for name, registry in registries.items():
        assert registry.verify(name, "1.0.0").recorded
