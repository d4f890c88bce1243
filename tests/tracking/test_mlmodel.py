"""A version directory is a valid MLflow model."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import requests
import yaml
from mlflow.models import Model
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from brixa_flows.errors import (
    DamagedArtifactError,
    DatasetError,
    InsecureSerializationWarning,
    UntrustedArtifactError,
)
from brixa_flows.pyfunc import _load_pyfunc
from brixa_flows.registry.facts.schemas import infer_schemas
from brixa_flows.serializers import (
    build_manifest,
    environment_of,
    save_model_files,
    write_manifest,
)
from brixa_flows.tracking import open_store
from brixa_flows.tracking.mlmodel import write_mlmodel
from brixa_flows.tracking.signature import signature_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

FRAME = pd.DataFrame(
    {
        "distance": [100.0, 200.0, 900.0, 1000.0],
        "hour": [6, 7, 8, 9],
        "carrier": ["AA", "UA", "AA", "UA"],
        "cancelled": [False, True, False, True],
    }
)
LABELS = ["on time", "on time", "late", "late"]


def pipeline():
    columns = make_column_transformer(
        (OneHotEncoder(), ["carrier"]), remainder="passthrough"
    )
    return make_pipeline(columns, LogisticRegression()).fit(FRAME, LABELS)


def version_directory(directory, model=None, inputs=FRAME, name="flights"):
    """A directory as the registry saves it; returns its manifest."""
    model = model or pipeline()
    directory.mkdir(parents=True)
    schemas = infer_schemas(model, inputs)
    framework, saved = save_model_files(model, directory)
    environment = environment_of(model, framework)
    write_mlmodel(
        directory,
        name=name,
        version="1.0.0",
        framework=framework,
        input_schema=schemas[0],
        output_schema=schemas[1],
        environment=environment,
        input_example=inputs,
    )
    core = {"name": name, "version": "1.0.0", "input_schema": schemas[0]}
    manifest = build_manifest(directory, saved, core, environment)
    write_manifest(directory, manifest)
    return manifest


def publish(store, directory, manifest):
    """What the registry tells MLflow."""
    name = manifest.core["name"]
    run_id = store.open_run(name, "1.0.0", digest=manifest.digest, params={})
    made = store.create_version(name, "1.0.0", source=directory.as_uri(), run_id=run_id)
    store.set_alias(name, "production", made.backend_version)


def test_mlflow_reads_the_mlmodel_file_and_its_signature(tmp_path):
    version_directory(tmp_path / "v")
    model = Model.load(str(tmp_path / "v"))
    flavor = model.flavors["python_function"]
    assert flavor["loader_module"] == "brixa_flows.pyfunc"
    assert len(model.model_uuid) == 32
    assert model.metadata["brixa"]["version"] == "1.0.0"
    assert {each.name: each.type.name for each in model.signature.inputs} == {
        "distance": "double",
        "hour": "long",
        "carrier": "string",
        "cancelled": "boolean",
    }
    assert model.signature.outputs.input_types()[0].name == "string"
    example = model.load_input_example(str(tmp_path / "v"))
    pd.testing.assert_frame_equal(example, FRAME)


def test_the_environment_is_pinned_without_asking_pip(tmp_path):
    version_directory(tmp_path / "v")
    pins = (tmp_path / "v" / "requirements.txt").read_text().splitlines()
    assert pins == sorted(pins)
    names = {pin.partition("==")[0] for pin in pins}
    assert {"brixa-flows", "mlflow", "numpy", "scikit-learn"} <= names
    assert "python" not in names


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 3,
                "maxItems": 3,
            },
            [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}],
        ),
        (
            {"type": "string", "x-dtype": "str"},
            [{"type": "string", "required": True}],
        ),
        (
            {"type": "integer", "x-dtype": "int32"},
            [{"type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1]}}],
        ),
        (
            {
                "properties": {
                    "t": {
                        "type": "string",
                        "format": "date-time",
                        "x-dtype": "datetime64[ns]",
                    },
                    "n": {"type": ["integer", "null"]},
                    "c": {"type": "string", "x-dtype": "category"},
                    "l": {"type": "array", "items": {"type": "string"}},
                    "x": True,
                },
                "required": ["t", "n"],
            },
            [
                {"type": "datetime", "name": "t", "required": True},
                {"type": "double", "name": "n", "required": True},
                {"type": "any", "name": "c", "required": False},
                {
                    "type": "array",
                    "items": {"type": "string"},
                    "name": "l",
                    "required": False,
                },
                {"type": "any", "name": "x", "required": False},
            ],
        ),
        (
            {
                "properties": {
                    "ids": {
                        "type": "array",
                        "items": {"type": "integer", "x-dtype": "int64"},
                    },
                    "mask": {"type": "integer", "x-dtype": "int8"},
                }
            },
            [
                {
                    "name": "ids",
                    "type": "tensor",
                    "tensor-spec": {"dtype": "int64", "shape": [-1, -1]},
                },
                {
                    "name": "mask",
                    "type": "tensor",
                    "tensor-spec": {"dtype": "int8", "shape": [-1]},
                },
            ],
        ),
    ],
)
def test_schemas_become_signatures_that_mlflow_reads(schema, expected):
    signature = signature_of(schema, None)
    assert json.loads(signature["inputs"]) == expected
    Model.from_dict({"flavors": {}, "signature": signature})


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        True,
        {"type": "object"},
        {"properties": {}},
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}},
        {"properties": {"a": {"type": "object", "properties": {}}}},
        {"properties": {"a": {"type": ["string", "integer"]}}},
        {"type": "array", "items": {"type": "array", "items": False}},
        {"type": "array", "prefixItems": [{"type": "string"}]},
    ],
)
def test_a_schema_that_mlflow_has_no_words_for_gives_no_signature(schema):
    assert signature_of(schema, {"type": "number"}) is None


@pytest.mark.xdist_group("mlflow-server")
def test_mlflows_ui_shows_the_signature_of_a_version_in_a_local_folder(
    tmp_path, mlflow_server_uri, mlflow_server_database
):
    """The UI reads the MLmodel file through the server, as here."""
    directory = tmp_path / "models" / "shown" / "1.0.0"
    manifest = version_directory(directory, name="shown")
    publish(open_store(mlflow_server_database), directory, manifest)
    shown = requests.get(
        f"{mlflow_server_uri}/model-versions/get-artifact",
        params={"path": "MLmodel", "name": "shown", "version": "1"},
        timeout=30,
    )
    assert shown.status_code == 200, shown.text
    assert Model.from_dict(
        yaml.safe_load(shown.text)
    ).signature.inputs.input_names() == list(FRAME.columns)


@pytest.fixture
def published(tmp_path, tracking_uri, fluent):
    """A version that MLflow, and its fluent API, know."""
    directory = tmp_path / "models" / "flights" / "1.0.0"
    manifest = version_directory(directory)
    publish(open_store(tracking_uri), directory, manifest)
    fluent(tracking_uri)
    return directory


def test_pyfunc_gives_the_predicted_values(published):
    model = _load_pyfunc(str(published))
    expected = list(pipeline().predict(FRAME))
    assert list(model.predict(FRAME)) == expected
    assert hasattr(model.get_raw_model(), "predict_proba")
    with pytest.raises(DatasetError, match="takes no parameters"):
        model.predict(FRAME, params={"temperature": 1})


def test_pyfunc_warns_that_loading_may_run_code(published):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        _load_pyfunc(str(published))
    assert InsecureSerializationWarning in {each.category for each in seen}


def test_pyfunc_refuses_damaged_files_before_it_parses_them(published):
    file = next(published.glob("model.*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DamagedArtifactError):
        _load_pyfunc(str(published))


def test_pyfunc_refuses_a_directory_whose_digest_is_not_the_recorded_one(
    published, tmp_path
):
    forged = tmp_path / "forged"
    version_directory(
        forged, LogisticRegression(C=9).fit(FRAME[["hour"]], LABELS), FRAME[["hour"]]
    )
    with pytest.raises(DamagedArtifactError, match="was recorded"):
        _load_pyfunc(str(forged))


def test_pyfunc_refuses_code_that_no_backend_vouches_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version_directory(tmp_path / "v")
    with pytest.raises(UntrustedArtifactError):
        _load_pyfunc(str(tmp_path / "v"))
    assert [path.name for path in tmp_path.iterdir()] == ["v"], "no database is made"


def test_arrays_have_a_tensor_signature_and_predict(tmp_path, monkeypatch):
    monkeypatch.setenv("BRXA_TRUST_POLICY", "open")
    features = np.arange(12, dtype="float32").reshape(4, 3)
    model = LinearRegression().fit(features, [0.0, 1.0, 2.0, 3.0])
    version_directory(tmp_path / "v", model, features)
    described = Model.load(str(tmp_path / "v"))
    assert described.signature.inputs.inputs[0].shape == (-1, 3)
    loaded = _load_pyfunc(str(tmp_path / "v"))
    np.testing.assert_allclose(loaded.predict(features), model.predict(features))
