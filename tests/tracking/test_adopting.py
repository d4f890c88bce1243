"""Models that people logged with MLflow come over with all that their run says."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from brixa_flows.errors import TrackingError
from brixa_flows.tracking import open_store

pytestmark = pytest.mark.xdist_group("mlflow-server")

FRAME = pd.DataFrame({"delay": [1.0, 2.0, 30.0, 40.0], "hour": [6, 7, 8, 9]})
LABELS = [0, 0, 1, 1]

TRAINING_SCRIPT = """
import json, pathlib, sys
import mlflow, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

frame = pd.DataFrame(json.loads(sys.argv[1]))
labels = json.loads(sys.argv[2])
for uri in sys.argv[3:]:
    mlflow.set_tracking_uri(uri)
    if not uri.startswith("http"):
        mlflow.create_experiment("training", pathlib.Path("runs").absolute().as_uri())
    mlflow.set_experiment("training")
    with mlflow.start_run() as run:
        mlflow.log_params({"C": 1.0})
        mlflow.log_metrics({"auc": 0.75})
        data = mlflow.data.from_pandas(frame, source="flights.csv", name="flights")
        mlflow.log_input(data, context="training")
        info = mlflow.sklearn.log_model(
            LogisticRegression().fit(frame, labels),
            name="model",
            input_example=frame.head(2),
            signature=infer_signature(frame, labels),
            pip_requirements=["scikit-learn"],
        )
    print("LOGGED", json.dumps([uri, run.info.run_id, info.model_id]), flush=True)
"""


@pytest.fixture(scope="module")
def training(tmp_path_factory, mlflow_template_db, mlflow_server_uri):
    """What a person's training script logged: backend -> (uri, run id, model id)."""
    folder = tmp_path_factory.mktemp("training")
    shutil.copy(mlflow_template_db, folder / "mlflow.db")
    uris = {"sqlite": f"sqlite:///{folder / 'mlflow.db'}", "server": mlflow_server_uri}
    given = [FRAME.to_json(orient="records"), json.dumps(LABELS), *uris.values()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAINING_SCRIPT, *given],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=folder,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("LOGGED ")]
    logged = [json.loads(line.removeprefix("LOGGED ")) for line in lines]
    assert len(logged) == 2, done.stderr[-3000:]
    return dict(zip(uris, logged, strict=True))


@pytest.fixture(params=["sqlite", "server"])
def logged(training, request):
    """(uri, run id, model id), for each backend."""
    return training[request.param]


def check(adopted, run_id):
    assert (adopted.directory / "MLmodel").is_file()
    assert (adopted.directory / "input_example.json").is_file()
    assert adopted.location
    assert adopted.run_id == run_id
    assert adopted.params == {"C": "1.0"}
    assert adopted.metrics == {"auc": 0.75}
    assert "mlflow.user" in adopted.tags
    (dataset,) = adopted.datasets
    assert (dataset.name, dataset.rows, dataset.context) == ("flights", 4, "training")
    assert dataset.digest
    assert dataset.uri.endswith("flights.csv")


def test_models_are_found_by_the_time_at_which_they_were_logged(logged):
    uri, run_id, model_id = logged
    store = open_store(uri)
    client = MlflowClient(uri)
    at = client.get_logged_model(model_id).creation_timestamp / 1000
    begun = client.get_run(run_id).info.experiment_id
    pending = client.create_logged_model(begun)  # still written
    now, moment = datetime.now(UTC), datetime.fromtimestamp(at, UTC)
    [found] = store.logged_models("training", moment, now)
    assert (found.uri, found.run_id) == (f"models:/{model_id}", run_id)
    assert (found.name, found.at) == ("model", moment)
    a_moment = timedelta(milliseconds=1)
    assert store.logged_models("training", moment + a_moment, now) == []
    assert store.logged_models("training", moment - a_moment, moment - a_moment) == []
    client.delete_logged_model(pending.model_id)
    with pytest.raises(
        TrackingError, match="no experiment 'nope'.* it has: .*training"
    ):
        store.logged_models("nope", moment, now)


def test_a_model_is_adopted_by_its_run(logged, tmp_path):
    uri, run_id, _ = logged
    check(open_store(uri).adopt(f"runs:/{run_id}/model", tmp_path), run_id)


def test_a_model_is_adopted_by_its_model_id(logged, tmp_path):
    uri, run_id, model_id = logged
    check(open_store(uri).adopt(f"models:/{model_id}", tmp_path), run_id)


def test_a_model_is_adopted_by_registered_version_or_alias(logged, tmp_path):
    uri, run_id, model_id = logged
    client = MlflowClient(uri, uri)
    client.create_registered_model("theirs")
    source = client.get_logged_model(model_id).artifact_location
    client.create_model_version("theirs", source, run_id, model_id=model_id)
    client.set_registered_model_alias("theirs", "best", "1")
    store = open_store(uri)
    check(store.adopt("models:/theirs/1", tmp_path), run_id)
    check(store.adopt("models:/theirs@best", tmp_path), run_id)


@pytest.mark.parametrize(
    "wrong",
    ["models:/m-{none}", "s3://bucket/model", "models:/x", "runs:/{none}/model"],
)
def test_a_uri_of_no_model_is_one_sentence(logged, wrong, tmp_path):
    with pytest.raises(TrackingError) as caught:
        open_store(logged[0]).adopt(wrong.format(none="0" * 32), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["runs:/{}/model", "models:/m-{}"])
def test_a_model_that_was_logged_elsewhere_says_where_to_log(logged, missing, tmp_path):
    with pytest.raises(TrackingError, match="let the training log there") as caught:
        open_store(logged[0]).adopt(missing.format("0" * 32), tmp_path)
    assert logged[0] in str(caught.value)


def test_a_run_says_which_models_it_has(logged, tmp_path):
    uri, run_id, _ = logged
    with pytest.raises(
        TrackingError,
        match="no model 'other' that is READY; it has: .*model \\(READY\\)",
    ):
        open_store(uri).adopt(f"runs:/{run_id}/other", tmp_path)


@pytest.fixture
def with_attempts(logged):
    """The run with a later attempt to log its model, and another, that both failed."""
    uri, run_id, model_id = logged
    client = MlflowClient(uri, uri)
    experiment = client.get_run(run_id).info.experiment_id
    for name in ("model", "broken"):
        attempt = client.create_logged_model(experiment, name, run_id)
        client.log_outputs(run_id, [LoggedModelOutput(attempt.model_id, step=1)])
    return uri, run_id


def test_an_attempt_that_failed_hides_no_model_of_its_name(with_attempts, tmp_path):
    uri, run_id = with_attempts
    check(open_store(uri).adopt(f"runs:/{run_id}/model", tmp_path), run_id)


def test_a_model_that_was_never_finished_is_named_with_its_state(
    with_attempts, tmp_path
):
    uri, run_id = with_attempts
    with pytest.raises(TrackingError, match=r"READY; it has: .*broken \(PENDING\)"):
        open_store(uri).adopt(f"runs:/{run_id}/broken", tmp_path)
