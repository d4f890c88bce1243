"""A backend that is not there fails in seconds, with one sentence."""

import pickle
import socket
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from brixa_flows.errors import SettingsError, TrackingError, TrackingUnavailableError
from brixa_flows.tracking import mlflow_access, mlflow_waits, open_store
from tests.backends import copy_template
from tests.postgres import free_port


@contextmanager
def serving(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_args):
        pass

    def answer(self, status, body=b"{}"):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_a_refused_connection_fails_in_seconds_and_hides_the_password(scheme, tmp_path):
    uri = f"{scheme}://ada:s3cret@127.0.0.1:{free_port()}/x"
    store = open_store(uri, storage_root=tmp_path)
    started = time.monotonic()
    with pytest.raises(TrackingUnavailableError) as caught:
        store.recorded_digest("flights", "1.0.0")
    assert time.monotonic() - started < 5
    text = str(caught.value)
    assert "Connection refused" in text and "BRXA_TRACKING_URI" in text
    assert "s3cret" not in text and "\n" not in text
    assert isinstance(caught.value, ConnectionError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_a_server_that_accepts_and_stays_silent_fails_too(monkeypatch):
    monkeypatch.setattr(mlflow_access, "_SIGN_OF_LIFE_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TrackingUnavailableError, match="no answer in 0.3 seconds"):
            store.ping()


def test_a_server_that_dies_during_a_call_ends_it(monkeypatch):
    monkeypatch.setattr(mlflow_access, "_SIGN_OF_LIFE_TIMEOUT_SECONDS", 0.3)
    asked, over = threading.Event(), threading.Event()

    class Dying(Quiet):
        def do_GET(self):
            if self.path == "/health" and not asked.is_set():
                return self.answer(200)
            asked.set()
            over.wait(60)

    with serving(Dying) as uri:
        store = open_store(uri)
        started = time.monotonic()
        with pytest.raises(TrackingUnavailableError, match="no answer"):
            store.recorded_digest("flights", "1.0.0")
        assert asked.is_set()
        assert time.monotonic() - started < 10
        over.set()


def test_a_gateway_without_its_server_counts_as_unreachable():
    class Gateway(Quiet):
        def do_GET(self):
            self.answer(503)

    with serving(Gateway) as uri:
        with pytest.raises(TrackingUnavailableError, match="HTTP 503"):
            open_store(uri).ping()


def test_a_server_that_wants_a_password_is_reached_but_refuses():
    class Locked(Quiet):
        def do_GET(self):
            self.answer(
                200 if self.path == "/health" else 401, b"You are not authenticated"
            )

        do_POST = do_GET

    with serving(Locked) as uri:
        with pytest.raises(TrackingError, match="401") as caught:
            open_store(uri).recorded_digest("flights", "1.0.0")
        assert not isinstance(caught.value, TrackingUnavailableError)


def test_a_wrong_password_of_a_database_fails_at_once(postgres_uri, tmp_path):
    wrong = postgres_uri.replace("brixa:secret@", "nobody-here:pw@")
    started = time.monotonic()
    with pytest.raises(TrackingUnavailableError, match="nobody-here"):
        open_store(wrong, storage_root=tmp_path).ping()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("by", ["postgres_uri", "postgres_server_uri"])
def test_a_row_that_another_session_holds_is_waited_for_in_bounded_time(
    by, request, postgres_uri, tmp_path, monkeypatch
):
    monkeypatch.setattr(mlflow_access, "_SIGN_OF_LIFE_TIMEOUT_SECONDS", 0.3)
    name = f"held-{by}"
    store = open_store(request.getfixturevalue(by), storage_root=tmp_path)
    run_id = store.open_run(name, "1.0.0", digest="sha256:1", params={})
    made = store.create_version(name, "1.0.0", source="s3://x/y", run_id=run_id)
    engine = create_engine(postgres_uri, poolclass=NullPool)
    rows = text("SELECT * FROM model_versions WHERE name = :name FOR UPDATE")
    with engine.begin() as other:
        other.execute(rows, {"name": name})
        monkeypatch.setattr(mlflow_waits, "_LOCK_TIMEOUT_SECONDS", 1)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        started = time.monotonic()
        with pytest.raises(TrackingUnavailableError, match="pg_locks") as caught:
            store.update_version(made, description="new")
        assert time.monotonic() - started < 20
        assert "\n" not in str(caught.value)
        assert not any(x in str(caught.value) for x in ("CONTEXT:", "psycopg2.errors"))
        assert store.get_version(name, "1.0.0").description == ""  # readers go on
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    store.update_version(made, owner="ada")
    assert store.get_version(name, "1.0.0").owner == "ada"


def test_a_transfer_of_files_may_take_longer_than_a_request(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")

    def sends(files):
        with mlflow_waits.transferring() if files else nullcontext():
            time.sleep(1.4)
        return "sent"

    def watch(files):
        return mlflow_waits.watched(
            lambda: sends(files), lambda: None, 0.1, is_server=True
        )

    assert watch(True) == "sent"
    with pytest.raises(mlflow_waits.Unanswered):
        watch(False)


def test_a_database_whose_driver_no_extra_brings_is_told_without_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with serving(Quiet) as uri:
        store = open_store(f"mysql+pymysql://{uri.removeprefix('http://')}/x")
        with pytest.raises(TrackingError, match="needs the driver 'pymysql'") as caught:
            store.recorded_digest("flights", "1.0.0")
    assert "brixa-flows[" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "error"), [("nonsense", SettingsError), ("gopher://x/y", TrackingError)]
)
def test_an_address_that_mlflow_does_not_know_is_a_sentence(
    wrong, error, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        open_store(wrong).ping()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            lambda file: file.unlink(),
            r"mlflow.db is gone\); restore it from a backup, or",
        ),
        (lambda file: file.write_bytes(b""), "no such table.*move that file away"),
        (lambda file: file.write_bytes(b"x" * 5000), "not a database; move that file"),
    ],
    ids=["gone", "empty", "overwritten"],
)
def test_a_database_file_that_is_harmed_is_one_sentence_with_its_remedy(
    tracking_uri, tmp_path, harm, words, capfd, caplog
):
    store = open_store(tracking_uri, storage_root=tmp_path)
    run_id = store.open_run("flights", "1.0.0", digest="sha256:1", params={})
    made = store.create_version("flights", "1.0.0", source="s3://b/m", run_id=run_id)
    harm(tmp_path / "mlflow-test" / "mlflow.db")
    with pytest.raises(TrackingError, match=words) as caught:
        store.update_version(made, description="new")
    text = str(caught.value)
    assert "--rebuild-tracking" in text
    assert "[SQL" not in text and "sqlalche.me" not in text and "\n" not in text
    told = [each for each in caplog.records if not each.name.startswith("urllib3")]
    assert "Traceback" not in capfd.readouterr().err and not told


def test_a_new_store_is_never_led_to_a_file_that_is_gone(tracking_uri, tmp_path):
    store = open_store(tracking_uri, storage_root=tmp_path)
    run_id = store.open_run("flights", "1.0.0", digest="sha256:1", params={})
    store.create_version("flights", "1.0.0", source="s3://b/m", run_id=run_id)
    file = tmp_path / "mlflow-test" / "mlflow.db"
    file.rename(file.with_name("kept.db"))
    fresh = open_store(tracking_uri, storage_root=tmp_path)
    assert fresh.list_versions("flights") == []
    assert file.is_file()
    file.with_name("kept.db").replace(file)
    for each in (open_store(tracking_uri, storage_root=tmp_path), fresh, store):
        assert len(each.list_versions("flights")) == 1


def test_a_folder_in_the_place_of_the_database_is_told_at_once(tmp_path):
    file = tmp_path / "mlflow.db"
    file.mkdir()
    begun = time.monotonic()
    with pytest.raises(TrackingUnavailableError, match="is a folder.*move it away, th"):
        open_store(f"sqlite:///{file}", storage_root=tmp_path).ping()
    assert time.monotonic() - begun < 5.0


def test_a_database_file_that_was_replaced_is_opened_anew(
    tracking_uri, tmp_path, mlflow_template_db
):
    file = tmp_path / "mlflow-test" / "mlflow.db"
    store = open_store(tracking_uri, storage_root=tmp_path)
    store.open_run("flights", "1.0.0", digest="sha256:1", params={})
    assert store.recorded_digest("flights", "1.0.0") == "sha256:1"
    away = file.rename(file.with_name("away.db"))
    with pytest.raises(TrackingUnavailableError, match="is gone"):
        store.ping()
    copy_template(mlflow_template_db, file)
    assert store.recorded_digest("flights", "1.0.0") is None
    store.open_run("flights", "1.0.0", digest="sha256:2", params={})
    assert store.recorded_digest("flights", "1.0.0") == "sha256:2"
    away.replace(file)
    assert store.recorded_digest("flights", "1.0.0") == "sha256:1"
    file.unlink()
    file.touch()
    assert store.recorded_digest("flights", "1.0.0") is None
    store.open_run("flights", "1.0.0", digest="sha256:3", params={})
    assert store.recorded_digest("flights", "1.0.0") == "sha256:3"


def test_a_registry_file_elsewhere_that_was_replaced_is_opened_anew(
    tracking_uri, tmp_path, mlflow_template_db
):
    models = tmp_path / "models.db"
    copy_template(mlflow_template_db, models)
    store = open_store(
        tracking_uri, registry_uri=f"sqlite:///{models}", storage_root=tmp_path
    )
    run = store.open_run("flights", "1.0.0", digest=None, params={})
    store.create_version("flights", "1.0.0", source="s3://b/m", run_id=run)
    assert store.get_version("flights", "1.0.0") is not None
    models.rename(tmp_path / "away.db")
    copy_template(mlflow_template_db, models)
    assert store.get_version("flights", "1.0.0") is None


@pytest.mark.parametrize("given", ["two minutes", "", "-1", "0"])
def test_a_timeout_that_is_no_number_is_told_with_the_name_of_its_setting(
    given, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", given)
    with serving(Quiet) as uri, pytest.raises(SettingsError) as caught:
        open_store(uri).get_version("flights", "1.0.0")
    assert f"MLFLOW_HTTP_REQUEST_TIMEOUT = {given!r} is not a whole" in str(
        caught.value
    )
