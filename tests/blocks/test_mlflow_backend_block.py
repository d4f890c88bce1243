"""Credentials reach MLflow, and nobody else."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from pydantic import SecretStr

from brixa_flows.blocks import BrixaMlflowBackend, BrixaRegistry, BrixaStorage
from brixa_flows.blocks import backend as backend_room
from brixa_flows.errors import SettingsError

_VARIABLES = ("USERNAME", "PASSWORD", "TOKEN")


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if no backend was opened in this process, during the test alone."""
    names = [f"MLFLOW_TRACKING_{name}" for name in _VARIABLES]
    before = {name: os.environ.pop(name, None) for name in names}
    monkeypatch.setattr(backend_room, "_in_use", {})
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """An MLflow server that lets nobody in, and the keys that it was shown."""
    shown: list[str] = []

    class Doorkeeper(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Doorkeeper) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", shown
        server.shutdown()


def _ask(uri: str) -> None:
    with pytest.raises(mlflow.MlflowException):
        mlflow.MlflowClient(uri).get_run("a" * 32)


def test_a_user_and_a_password_are_what_mlflow_shows_to_its_server(
    asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    uri, shown = asked
    backend = BrixaMlflowBackend(
        tracking_uri=uri, username="ada", password=SecretStr("s3cret")
    )
    registry = BrixaRegistry(
        storage=BrixaStorage(path=str(tmp_path)), backend=backend
    ).open()
    assert registry.tracking.uri == uri
    assert "s3cret" not in repr(backend) + repr(registry)
    _ask(registry.tracking.uri)  # as a training does that logs there
    assert shown[-1] == f"Basic {base64.b64encode(b'ada:s3cret').decode()}"


def test_a_token_wins_over_a_user_in_the_environment(
    asked: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, shown = asked
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "else")
    BrixaMlflowBackend(tracking_uri=uri, token=SecretStr("t0ken")).addresses()
    _ask(uri)
    assert shown[-1] == "Bearer t0ken"


def test_a_database_gets_its_password_in_the_address_and_the_environment_none() -> None:
    backend = BrixaMlflowBackend(
        tracking_uri="postgresql://db.example/mlflow",
        username="ada",
        password=SecretStr("p@ss/word"),
    )
    address = "postgresql://ada:p%40ss%2Fword@db.example/mlflow"
    assert backend.addresses() == (address, "")
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_a_process_has_one_set_of_credentials() -> None:
    first = BrixaMlflowBackend(tracking_uri="http://a.example", token=SecretStr("a"))
    other = BrixaMlflowBackend(tracking_uri="http://b.example", token=SecretStr("b"))
    first.addresses()
    first.addresses()
    with pytest.raises(SettingsError, match="a process of its own"):
        other.addresses()
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == "a"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"token": "t"}, "no tracking_uri"),
        ({"tracking_uri": "http://x", "username": "u"}, "no password"),
        ({"tracking_uri": "http://x", "password": "p"}, "no username"),
        ({"tracking_uri": "postgresql://x/y", "token": "t"}, "token for a database"),
        (
            {"tracking_uri": "http://x", "token": "t", "username": "u"},
            "one of the two",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_told(
    fields: dict[str, str], fault: str
) -> None:
    with pytest.raises(SettingsError, match=fault):
        BrixaMlflowBackend.model_validate(fields).addresses()


def test_models_can_be_kept_elsewhere_than_runs(tmp_path: Path) -> None:
    runs, models = (f"sqlite:///{tmp_path / name}.db" for name in ("runs", "models"))
    backend = BrixaMlflowBackend(tracking_uri=runs, registry_uri=models)
    storage = BrixaStorage(path=str(tmp_path))
    registry = BrixaRegistry(storage=storage, backend=backend).open()
    assert registry.tracking.uri == runs
    assert registry.tracking._registry_uri == models  # type: ignore[attr-defined]
