"""Which backend the settings mean."""

import subprocess
import sys

import pytest

from brixa_flows.errors import SettingsError
from brixa_flows.tracking import open_store


@pytest.fixture
def variables(monkeypatch, tmp_path):
    """Sets variables to sqlite files of those names."""

    def set_all(*names):
        for name in names:
            monkeypatch.setenv(name, f"sqlite:///{tmp_path}/{name}.db")

    return set_all


def test_the_argument_wins(variables, tmp_path):
    variables("BRXA_TRACKING_URI", "MLFLOW_TRACKING_URI")
    assert open_store("sqlite:////x/a.db", storage_root=tmp_path).uri.endswith("/a.db")


def test_our_variable_wins_over_mlflows(variables, tmp_path):
    variables("BRXA_TRACKING_URI", "MLFLOW_TRACKING_URI")
    assert "BRXA_TRACKING_URI" in open_store(None, storage_root=tmp_path).uri


def test_mlflows_variable_wins_over_the_embedded_file(variables, tmp_path):
    variables("MLFLOW_TRACKING_URI")
    assert "MLFLOW_TRACKING_URI" in open_store(None, storage_root=tmp_path).uri


def test_the_embedded_file_lies_below_the_storage_root(tmp_path):
    store = open_store(None, storage_root=tmp_path, registry_folder="registry")
    assert store.uri == f"sqlite:///{tmp_path}/registry/_meta/mlflow.db"
    assert not list(tmp_path.iterdir()), "nothing is touched before the first use"


def test_an_object_store_without_a_tracking_uri_is_a_clear_error():
    with pytest.raises(SettingsError, match="BRXA_TRACKING_URI is not set"):
        open_store(None, storage_root=None)


def test_the_uri_that_is_shown_has_no_credentials():
    store = open_store("https://ada:s3cret@mlflow.example:5000/team?token=abc")
    assert store.uri == "https://mlflow.example:5000/team"


def test_the_registry_may_be_elsewhere(variables, tmp_path):
    variables("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    store = open_store(None, storage_root=tmp_path)
    assert "MLFLOW_REGISTRY_URI" in store._registry_uri


def test_importing_the_room_imports_no_mlflow():
    code = (
        "import sys, brixa_flows.tracking, brixa_flows.tracking.memory_store, "
        "brixa_flows.tracking.mlmodel, brixa_flows.pyfunc\n"
        "print([name for name in ('mlflow', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("wrong", ["http://[bad", "http://127.0.0.1:99999"])
def test_what_is_no_address_is_one_sentence(monkeypatch, wrong):
    with pytest.raises(SettingsError, match="address of the MLflow backend can't be"):
        open_store(wrong)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", wrong)
    with pytest.raises(SettingsError, match="http://mlflow.example:5000"):
        open_store()


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "./mlruns", "file:///x/mlruns", "127.0.0.1:5000", "h.org:5000"],
)
def test_what_is_neither_server_nor_database_is_refused_in_our_words(wrong):
    with pytest.raises(SettingsError) as caught:
        open_store(wrong)
    assert str(caught.value) == (
        f"the address of the MLflow backend is {wrong!r}, which names neither a server "
        "nor a database; write it such as http://mlflow.example:5000 or "
        "sqlite:////folder/mlflow.db"
    )


def test_a_bad_address_is_told_without_its_password():
    with pytest.raises(SettingsError) as caught:
        open_store("ada:s3cret@mlflow.example:5000")
    assert "'mlflow.example:5000'" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["databricks", "databricks://team", "other://place"])
def test_addresses_of_databricks_and_of_plugins_are_left_to_mlflow(uri):
    assert open_store(uri).uri
