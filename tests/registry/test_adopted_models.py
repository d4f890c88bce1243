"""Models of every flavor that MLflow logs come over, as files or by reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    InsecureSerializationWarning,
    InvalidMetadataError,
    MissingExtraError,
    SerializationError,
    TrackingError,
    TrackingUnavailableError,
    UntrustedArtifactError,
    VersionExistsError,
)
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.local import LocalStorageNode
from tests.backends import Backend, running_server
from tests.registry.logging_script import ROWS, TEXTS, pyfunc

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
    pytest.mark.slow(seconds=60),
]

SCRIPT = Path(__file__).parent / "logging_script.py"
NATIVE = {
    "sklearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "pytorch": "pytorch",
    "keras": "tensorflow",
    "transformers": "pytorch",
}
GENERIC = ("statsmodels", "from_code", "pyfunc", "unsigned")
SERVED = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow
sys.path.insert(0, sys.argv[2])
from logging_script import ROWS
model = mlflow.pyfunc.load_model(sys.argv[1])
print([float(value) for value in model.predict(ROWS)])
print([float(value) for value in model.predict(ROWS, params={"by": 1})])
"""


def run_python(folder: Path, *words: str, uri: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def log_models(folder: Path, uri: str, *flavors: str) -> dict[str, Any]:
    """What training scripts logged: flavor -> (model URI, what it predicts)."""
    printed = run_python(folder, str(SCRIPT), uri, *flavors, uri=uri)
    [line] = [row for row in printed.splitlines() if row.startswith("LOGGED ")]
    return dict(json.loads(line.removeprefix("LOGGED ")))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, mlflow_template_db: Path) -> str:
    folder = tmp_path_factory.mktemp("adopted")
    shutil.copy(mlflow_template_db, folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="module")
def logged(
    tmp_path_factory: pytest.TempPathFactory, backend: str
) -> dict[str, tuple[str, Any]]:
    folder = tmp_path_factory.mktemp("training")
    return log_models(folder, backend, *NATIVE, *GENERIC)


@pytest.fixture
def registry(tmp_path: Path, backend: str) -> ModelRegistry:
    return ModelRegistry(LocalStorageNode(tmp_path / "storage"), tracking_uri=backend)


@pytest.fixture
def adopt(
    registry: ModelRegistry, logged: dict[str, tuple[str, Any]], request: Any
) -> Callable[..., Any]:
    """Adopt a flavor under a name that no other test uses."""

    def call(flavor: str, **given: Any) -> Any:
        name = f"{flavor}-{abs(hash(request.node.nodeid))}"
        return registry.register_run(logged[flavor][0], name=name, **given)

    return call


def inputs_of(flavor: str) -> Any:
    rows = ROWS.to_numpy()
    return {
        "onnx": rows,
        "pytorch": rows,
        "keras": rows.astype("float32"),
        "transformers": TEXTS,
        "from_code": TEXTS,
    }.get(flavor, ROWS)


def check_predictions(registry: ModelRegistry, found: Any, answers: Any) -> Any:
    flavor = found.name.partition("-")[0]
    predictor = ModelPredictor.from_registry(registry, found.name)
    values = predictor.predict(inputs_of(flavor)).values
    if isinstance(answers[0], str):
        assert values.tolist() == answers
    else:
        np.testing.assert_allclose(values, answers, atol=1e-5)
    return predictor.model


@pytest.mark.parametrize("flavor", [*NATIVE, *GENERIC])
def test_a_model_of_any_flavor_is_adopted_and_predicts(
    registry: ModelRegistry, logged: Any, adopt: Any, flavor: str
) -> None:
    found = adopt(flavor)
    model = check_predictions(registry, found, logged[flavor][1])
    assert found.framework == NATIVE.get(flavor, "mlflow")
    assert found.external_uri is None
    assert (type(model).__name__ == "PyFuncModel") == (flavor in GENERIC)
    said_nothing = flavor in ("statsmodels", "unsigned")
    assert (found.input_schema is None) == said_nothing
    registry.verify(found.name, found.version)


@pytest.mark.parametrize("flavor", ["sklearn", "keras", "pyfunc"])
def test_a_reference_keeps_digests_alone_and_predicts(
    registry: ModelRegistry, logged: Any, adopt: Any, flavor: str
) -> None:
    with pytest.warns(InsecureSerializationWarning) as warned:
        found = adopt(flavor, copy=False)
    [told] = [str(each.message) for each in warned if "digests" in str(each.message)]
    assert found.external_uri in told and "to keep a copy" in told
    assert "safetensors" not in told and "safer" not in told
    check_predictions(registry, found, logged[flavor][1])
    assert found.framework == "mlflow"
    assert found.external_uri.startswith("file:///")
    version = registry.storage.fetch(
        registry.layout.version_prefix(found.name, "1.0.0")
    )
    assert [each.name for each in (version / "model").iterdir()] == ["MLmodel"]
    assert found.external_uri in (version / "README.md").read_text()
    shown = registry.tracking.get_version(found.name, "1.0.0")
    assert shown is not None
    assert shown.facts["brixa.external_uri"] == found.external_uri
    assert registry.verify(found.name, "1.0.0").recorded


def test_what_autolog_knows_comes_along(adopt: Any) -> None:
    found = adopt("sklearn")
    assert found.hyperparameters["max_iter"] == "100"
    assert found.metrics["training_accuracy_score"] == 1.0
    assert [each.role for each in found.lineage.datasets][:1] == ["train"]
    assert found.input_schema["required"] == ["width", "age"]
    assert found.model_type == "classification"


def test_code_files_and_settings_of_a_model_travel_with_it(
    tmp_path: Path, registry: ModelRegistry, backend: str, logged: Any, adopt: Any
) -> None:
    """Where it was logged is gone; MLflow loads our version, with its parameters."""
    found = adopt("pyfunc")
    assert found.lineage.environment["numpy"] == "2.0.0"  # as logged, not as here
    shown = registry.tracking.get_version(found.name, "1.0.0")
    assert shown is not None
    place = f"models:/{found.name}/{shown.backend_version}"
    printed = run_python(tmp_path, "-c", SERVED, place, str(SCRIPT.parent), uri=backend)
    by_three, by_one = map(json.loads, printed.splitlines())
    assert by_three == logged["pyfunc"][1]
    assert by_one == (ROWS["width"] * 10 + 0.5).tolist()
    registry.verify(found.name, "1.0.0")  # no __pycache__ was left in it


def test_an_adopted_model_is_deployed(registry: ModelRegistry, adopt: Any) -> None:
    deployer = ModelDeployer(registry)
    good, said = deployer.deploy(adopt("pyfunc").name, name="adopted")
    assert good, said
    deployer.delete("adopted")


@pytest.mark.parametrize("copy", [True, False])
def test_an_adopted_model_is_judged(
    registry: ModelRegistry, adopt: Any, copy: bool
) -> None:
    judged = ModelEvaluator(registry).evaluate(
        model_name=adopt("pyfunc", copy=copy).name,
        version="1.0.0",
        dataset=ROWS.assign(label=ROWS["width"] * 30 + 0.5),
        target="label",
        metrics=["mae"],
    )
    assert judged.metrics["mae"] == pytest.approx(0.0)


@pytest.fixture
def moved(tmp_path: Path, backend: str, logged: Any) -> Any:
    """A reference to a model whose files a test may change: registry, name, files."""
    import mlflow

    client = mlflow.MlflowClient(backend)
    run_id = logged["pyfunc"][0].split("/")[1]
    [output] = client.get_run(run_id).outputs.model_outputs
    original = client.get_logged_model(output.model_id).artifact_location
    copy = tmp_path / "elsewhere"
    shutil.copytree(original.removeprefix("file://"), copy)
    client.create_registered_model(copy.parent.name)
    client.create_model_version(copy.parent.name, copy.as_uri())
    registry = ModelRegistry(LocalStorageNode(tmp_path / "s"), tracking_uri=backend)
    name = f"moved-{copy.parent.name}"
    registry.register_run(f"models:/{copy.parent.name}/1", name=name, copy=False)
    return registry, name, copy


def test_a_source_that_changed_is_never_loaded(moved: Any) -> None:
    registry, name, files = moved
    file = files / "artifacts" / "offset.txt"
    file.write_text("9.5")
    for ask in (registry.load_model, lambda name: registry.verify(name, "1.0.0")):
        with pytest.raises(
            DamagedArtifactError, match="offset.txt.*not what was regis"
        ):
            ask(name)
    [told] = [each for each in registry.check() if name in each]
    assert told.startswith(f"{name} 1.0.0: the model kept by reference to models:/")
    assert "offset.txt' at" in told and "is not what was registered" in told
    file.write_text("0.5")
    assert [each for each in registry.check() if name in each] == []
    (files / "code" / "sitecustomize.py").write_text("raise SystemExit")
    registry.load_model(name)  # what was not registered is not looked at


def test_the_doctor_asks_a_server_for_names_and_sizes_of_a_source(
    tmp_path: Path, mlflow_server: Backend, classifier: Any
) -> None:
    import mlflow

    mlflow.set_tracking_uri(mlflow_server.uri)
    name = f"afar-{tmp_path.name}"
    experiment = mlflow.create_experiment(name)
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.sklearn.log_model(
            classifier,
            name="model",
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "s"), tracking_uri=mlflow_server.uri
    )
    registry.register_run(f"runs:/{run.info.run_id}/model", name=name, copy=False)
    assert registry.check() == []
    home = Path(mlflow_server.database.removeprefix("sqlite:///")).parent
    [file] = (home / "artifacts" / experiment).rglob("model.pkl")
    kept = file.read_bytes()
    file.write_bytes(kept + b"x")
    [told] = registry.check()
    assert f"has {len(kept) + 1} bytes instead of {len(kept)}" in told
    file.unlink()
    [told] = registry.check()
    assert told.startswith(f"{name} 1.0.0: the model kept by reference to runs:/")
    assert "the file 'model.pkl' is gone from " in told
    file.write_bytes(kept)
    assert registry.check() == []


def test_a_source_that_is_gone_is_one_sentence(moved: Any) -> None:
    registry, name, files = moved
    shutil.rmtree(files)
    with pytest.raises(DamagedArtifactError, match="elsewhere") as caught:
        registry.load_model(name)
    assert "\n" not in str(caught.value)
    [told] = [each for each in registry.check() if name in each]
    assert (
        told.startswith(f"{name} 1.0.0: the model kept by reference")
        and "elsewhere" in told
    )
    good, said = ModelDeployer(registry, ready_timeout_seconds=60).deploy(name)
    assert not good
    assert "elsewhere" in said


def test_the_trust_policy_holds_for_a_reference(moved: Any, backend: str) -> None:
    registry, name, _ = moved
    strict = ModelRegistry(
        registry.storage,
        tracking_uri=backend,
        settings=BrixaSettings(trust_policy="strict"),
    )
    with pytest.raises(UntrustedArtifactError, match="mlflow-reference can run code"):
        strict.load_model(name)


def test_a_version_of_this_registry_is_not_adopted_again(
    registry: ModelRegistry, adopt: Any
) -> None:
    name = adopt("sklearn").name
    shown = registry.tracking.get_version(name, "1.0.0")
    assert shown is not None
    uri = f"models:/{name}/{shown.backend_version}"
    with pytest.raises(VersionExistsError, match="1.0.0 is what models:.* already"):
        registry.register_run(uri, name="again", copy=False)
    assert registry.list_models() == [name]


def test_a_pyfunc_object_without_its_files_is_refused(
    registry: ModelRegistry, adopt: Any
) -> None:
    model = registry.load_model(adopt("unsigned").name)
    registry.register_model("bare", "model")
    with pytest.raises(SerializationError, match="give register_run"):
        registry.save_model("bare", "1.0.0", model)


@pytest.mark.xdist_group("mlflow-server")
def test_a_server_hands_out_what_is_adopted(
    tmp_path: Path, mlflow_template_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    storage = LocalStorageNode(tmp_path / "storage")
    with running_server(tmp_path / "server", mlflow_template_db) as uri:
        mlflow.set_tracking_uri(uri)
        logged = mlflow.create_experiment("logged")  # Default is older than the server
        with mlflow.start_run(experiment_id=logged) as run:
            with warnings.catch_warnings(action="ignore"):  # advice of MLflow
                answers = pyfunc()
        registry = ModelRegistry(storage, tracking_uri=uri)
        for copy in (True, False):
            found = registry.register_run(
                f"runs:/{run.info.run_id}/model", name=f"pyfunc-{copy}", copy=copy
            )
            check_predictions(registry, found, answers)
        assert found.external_uri is not None
        assert found.external_uri.startswith("mlflow-artifacts:/")
        served = mlflow.pyfunc.load_model(f"models:/{found.name}/1")
        assert served.predict(ROWS) == answers
    with pytest.raises(TrackingUnavailableError, match="127.0.0.1"):
        registry.load_model(found.name)


# What goes wrong ends with one sentence, and nothing is kept.


def check_nothing_kept(registry: ModelRegistry, caught: Any) -> None:
    assert "\n" not in str(caught.value)
    assert registry.list_models() == []
    assert list(registry.storage.list("models")) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("model", "is no URI of a logged model"),
        ("runs:/", "names no model of a run"),
        ("runs:/0a1b", "names no model of a run"),
        ("models:/none/1", "let the training log there"),
        ("models:/m-0000", "let the training log there"),
        ("file:///tmp", "is no URI of a logged model"),
    ],
)
def test_a_wrong_uri_keeps_nothing(
    registry: ModelRegistry, wrong: str, said: str
) -> None:
    with pytest.raises(TrackingError, match=said) as caught:
        registry.register_run(wrong, name="m")
    check_nothing_kept(registry, caught)


@pytest.fixture
def crafted(tmp_path: Path, backend: str) -> Callable[..., str]:
    """Log a folder with an MLmodel of one's own; returns its URI."""
    import mlflow

    def call(mlmodel: str, **metrics: float) -> str:
        client = mlflow.MlflowClient(backend)
        run = client.create_run("0", tags={})
        for key, value in metrics.items():
            client.log_metric(run.info.run_id, key, value)
        client.log_param(run.info.run_id, "long", "x" * 6000)
        folder = tmp_path / "crafted" / "model"
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(mlmodel)
        target = Path(run.info.artifact_uri.removeprefix("file://")) / "model"
        shutil.copytree(folder, target)
        return f"runs:/{run.info.run_id}/model"

    return call


@pytest.mark.parametrize(
    ("mlmodel", "error", "said"),
    [
        ("flavors: {}", SerializationError, "python_function"),
        ("flavors: [", SerializationError, "can't be loaded here"),
        (
            "flavors: {python_function: {loader_module: nowhere_at_all}}",
            SerializationError,
            "needs nowhere_at_all, which is not installed",
        ),
        (
            "flavors: {python_function: {loader_module: skops.nowhere}}",
            MissingExtraError,
            r"pip install 'brixa-flows\[skops\]'",
        ),
    ],
)
def test_a_model_that_does_not_load_keeps_nothing(
    registry: ModelRegistry,
    crafted: Any,
    mlmodel: str,
    error: type[BrixaError],
    said: str,
) -> None:
    with pytest.raises(error, match=said) as caught:
        registry.register_run(crafted(mlmodel), name="m")
    check_nothing_kept(registry, caught)


ECHO = "flavors: {python_function: {loader_module: tests.registry.echoing}}"


def test_a_metric_that_is_no_number_is_named_and_may_be_overruled(
    registry: ModelRegistry, crafted: Any
) -> None:
    uri = crafted(ECHO, loss=float("nan"), f1=0.5)
    with pytest.raises(InvalidMetadataError, match="loss") as caught:
        registry.register_run(uri, name="m")
    check_nothing_kept(registry, caught)
    found = registry.register_run(uri, name="overruled", metrics={"loss": 1.0})
    assert found.metrics == {"loss": 1.0, "f1": 0.5}
    assert found.hyperparameters == {"long": "x" * 6000}


def test_a_link_in_a_logged_model_is_not_followed(
    registry: ModelRegistry, crafted: Any, backend: str
) -> None:
    uri = crafted(ECHO)
    adopted = registry.tracking.adopt(uri, Path("unused"))
    (adopted.directory / "secret").symlink_to("/etc/hostname")
    with pytest.raises(SerializationError, match="secret, a link") as caught:
        registry.register_run(uri, name="m")
    check_nothing_kept(registry, caught)
