"""Requests that are kept: from a deployment's answers to a drift report."""

from __future__ import annotations

import io
import threading
import time
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from deployment_world import save_version, wait_until
from sklearn.linear_model import LogisticRegression

from brixa_flows.deployment import ModelDeployer, predict_frame, request_log
from brixa_flows.deployment.batching import Answered, Batch
from brixa_flows.deployment.config import make_spec
from brixa_flows.deployment.counters import CounterFile
from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE
from brixa_flows.deployment.request_log import (
    RequestLog,
    RequestLogging,
    log_counters,
)
from brixa_flows.deployment.served import ServedModel
from brixa_flows.drift import DriftDetector, DriftProfile
from brixa_flows.errors import DeploymentError
from brixa_flows.registry import ModelRegistry, infer_schemas
from brixa_flows.serializers.base import Prediction
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.local import LocalStorageNode

NAME = "kept"
FOLDER = f"models/_meta/requests/{NAME}"
SCHEMA = {
    "type": "object",
    "properties": {
        "age": {"type": "integer"},
        "prediction": {"type": ["number", "null"]},
        "carrier": {"type": ["string", "null"]},
        "late": {"type": ["boolean", "null"]},
        "pixels": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 3,
            "maxItems": 3,
        },
    },
    "required": ["age", "pixels"],
}


@pytest.fixture(scope="module")
def trained() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"age": random.normal(40, 10, 2000), "income": random.normal(3, 1, 2000)}
    )


@pytest.fixture(scope="module")
def kept(registry: ModelRegistry, deployer: ModelDeployer, trained) -> str:
    """A deployment that keeps what it is asked, in files that appear after a second."""
    labels = np.where(trained["age"] > 40, "old", "young")
    model = LogisticRegression().fit(trained, labels)
    schema, _ = infer_schemas(model, trained)
    save_version(registry, "ages", model, input_schema=schema, reference=trained)
    done, message = deployer.deploy(
        "ages",
        name=NAME,
        protocol="both",
        request_log={"share": 1, "max_file_seconds": 1},
    )
    assert done, message
    return NAME


def written(deployer: ModelDeployer, rows: int) -> None:
    wait_until(lambda: deployer.status(NAME).request_log.written_rows >= rows)


def test_what_was_asked_becomes_a_drift_report(
    kept, deployer, registry, storage, trained
):
    before = deployer.status(kept).request_log.written_rows
    endpoint = deployer.get_endpoint(kept)
    start = datetime.now(UTC)
    usual, older = trained.head(400), trained.tail(400) + [15, 0]
    predict_frame(endpoint, "ages", usual, batch_rows=40)
    written(deployer, before + 400)
    middle = datetime.now(UTC)
    got = predict_frame(endpoint, "ages", older, batch_rows=1000)
    written(deployer, before + 800)

    reference = DriftProfile.load(registry.reference_profile_path("ages", "1.0.0"))
    same = deployer.logged_requests(
        kept, since=start, until=middle, version="1.0.0", inputs_only=True
    )
    report = DriftDetector().detect(reference, same)
    assert (report.status, report.findings) == ("ok", ())
    moved = deployer.logged_requests(kept, since=middle, inputs_only=True)
    report = DriftDetector().detect(reference, moved)
    assert report.status == "drift"
    assert [
        name for name, found in report.columns.items() if found.status == "drift"
    ] == ["age"]

    whole = pd.concat(
        [each.to_pandas() for each in deployer.logged_requests(kept, since=middle)]
    )
    pd.testing.assert_frame_equal(
        whole[["age", "income"]].reset_index(drop=True), older.reset_index(drop=True)
    )
    assert whole["prediction"].tolist() == got.values.tolist()
    np.testing.assert_allclose(whole["probability_old"], got.scores[:, 0])
    assert set(whole["model_version"]) == {"1.0.0"}
    assert (whole["latency_ms"] > 0).all()
    assert whole["predicted_at"].between(middle, datetime.now(UTC)).all()
    folder = storage.root / FOLDER
    assert DriftDetector().detect(reference, folder, columns=["age"]).status == "drift"


def ask_by_grpc(endpoint: str, record: dict[str, float], request_id: str) -> None:
    ask = MESSAGES["ModelInferRequest"](model_name="ages", id=request_id)
    for name, value in record.items():
        tensor = ask.inputs.add(name=name, datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(value)
    with grpc.insecure_channel(endpoint.removeprefix("grpc://")) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        call(ask.SerializeToString(), timeout=20)


def test_the_callers_own_id_is_kept_whatever_the_protocol(kept, deployer):
    before = deployer.status(kept).request_log.written_rows
    endpoint, start = deployer.get_endpoint(kept), datetime.now(UTC)
    record = {"age": 1.0, "income": 2.0}
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in record.items()
    ]
    for path, body, headers in (
        ("/predict", {"records": [record]}, {"x-request-id": "order-7"}),
        ("/v2/models/ages/infer", {"id": "order-8", "inputs": tensors}, {}),
        ("/predict", {"records": [record]}, {}),
    ):
        asked = httpx.post(endpoint + path, json=body, headers=headers)
        assert asked.status_code == 200
    ask_by_grpc(deployer.get_endpoint(kept, "grpc"), record, "order-9")
    written(deployer, before + 4)
    rows = [
        row
        for batch in deployer.logged_requests(kept, since=start)
        for row in batch.to_pylist()
    ]
    assert {row["request_id"] for row in rows} == {
        *("order-7", "order-8", "order-9", None)
    }
    assert all(row["age"] == 1.0 for row in rows)


def test_a_killed_replica_loses_its_open_file_and_says_so(kept, deployer):
    endpoint = deployer.get_endpoint(kept)
    frame = pd.DataFrame({"age": [1.0] * 5, "income": [2.0] * 5})
    predict_frame(endpoint, "ages", frame)
    before = deployer.status(kept)
    written(deployer, 5)
    whole = list(deployer.logged_requests(kept))
    predict_frame(endpoint, "ages", frame)
    for replica in before.replicas:
        psutil.Process(replica.pid).kill()
    wait_until(lambda: deployer.status(kept).restarts > before.restarts)
    wait_until(lambda: deployer.status(kept).state == "ready")
    after, was = deployer.status(kept).request_log, before.request_log
    gone = after.lost_rows + after.written_rows - was.lost_rows - was.written_rows
    assert gone == was.waiting_rows + 5 and after.waiting_rows == 0
    assert len(list(deployer.logged_requests(kept))) >= len(whole)


def test_nothing_kept_is_a_sentence(kept, deployer):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(DeploymentError, match="no rows of that version and time"):
        list(deployer.logged_requests(kept, since=tomorrow))
    with pytest.raises(DeploymentError, match="--request-log 1"):
        list(deployer.logged_requests("never-there"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (2, "request_log.share"),
        ({"share": "much"}, "request_log.share"),
        ({"max_size": "1 elephant"}, "1 elephant"),
        ({"size": 1}, "allowed: share, max_size, max_file_size, max_file_seconds"),
    ],
)
def test_what_can_not_be_kept_like_that_is_told(kept, deployer, given, words):
    done, message = deployer.deploy("ages", name=kept, request_log=given)
    assert not done and words in message, message


def test_an_upgrade_and_a_scale_keep_the_rules(kept, deployer):
    rules = deployer.config(kept).request_log
    assert deployer.deploy("ages", name=kept)[0]
    assert deployer.config(kept).request_log == rules
    assert deployer.scale(kept, 1).ready_replicas == 1
    assert deployer.config(kept).request_log == rules
    log = deployer.status(kept).request_log
    assert (log.share, log.folder) == (1, FOLDER)


def test_zero_ends_it_and_a_setting_begins_it_for_new_deployments():
    asked = {
        **{"model_name": "ages", "version": "1.0.0", "replicas": 1},
        **{"resources": None, "env_vars": None, "autoscaling": None},
    }
    settings = BrixaSettings(request_log_share=0.5)
    assert make_spec(settings, **asked, request_log=None).request_log.share == 0.5
    assert make_spec(settings, **asked, request_log=0).request_log is None
    assert make_spec(BrixaSettings(), **asked, request_log=None).request_log is None


# The log itself, with no server around it.


def served_model() -> ServedModel:
    return ServedModel(
        deployment=NAME,
        name="delay",
        version="1.2.0",
        platform="sklearn",
        input_schema=SCHEMA,
        predict=lambda inputs: Prediction(np.zeros(1)),
    )


def some_rows(count: int, first: int = 0) -> dict[str, np.ndarray]:
    numbers = np.arange(first, first + count)
    return {
        "age": numbers,
        "prediction": np.where(numbers % 2, numbers / 2, np.nan),
        "carrier": np.array([None if n % 3 else "AA" for n in numbers], dtype=object),
        "late": np.array([None] * count, dtype=object),
        "pixels": np.tile(numbers[:, None], (1, 3)).astype(np.float32),
    }


def offer(log: RequestLog, count: int, first: int = 0) -> None:
    offer_alone(log, some_rows(count, first), Prediction(np.full(count, 7)), count)


def offer_alone(log: RequestLog, inputs, prediction, count: int, served=None) -> None:
    """A request that no other one was predicted with."""
    answered = Answered(prediction, Batch(inputs, prediction), 0)
    offer_part(log, inputs, answered, count, served)


def offer_part(log: RequestLog, inputs, answered, count: int, served=None) -> None:
    first = next(iter(inputs.values()))[0] if isinstance(inputs, dict) else ""
    log.offer(
        *(served or served_model(), inputs, answered, count),
        latency_seconds=0.002,
        request_id=f"r{first}",
    )


def tables(storage: LocalStorageNode) -> list:
    keys = [each.key for each in storage.list(FOLDER)]
    return [pq.read_table(io.BytesIO(storage.read(key)[0])) for key in keys]


@pytest.fixture
def counters(tmp_path) -> CounterFile:
    return log_counters(tmp_path)


def log_of(tmp_path, counters, node=None, **rules) -> RequestLog:
    node = node or LocalStorageNode(tmp_path / "store")
    return RequestLog(node, FOLDER, RequestLogging(**rules), counters, 0)


def test_columns_keep_their_types_and_names_that_are_taken_are_told_apart(
    tmp_path, counters
):
    log = log_of(tmp_path, counters)
    for first in range(5):
        offer(log, 2, first)
    log.close(10)
    storage = LocalStorageNode(tmp_path / "store")
    [table] = tables(storage)
    assert {f.name: str(f.type) for f in table.schema} == {
        "age": "int64",
        "input.prediction": "double",
        "carrier": "string",
        "late": "bool",
        "pixels": "fixed_size_list<element: float>[3]",
        "prediction": "int64",
        "model_version": "string",
        "predicted_at": "timestamp[us, tz=UTC]",
        "latency_ms": "double",
        "request_id": "string",
    }
    rows = table.to_pylist()
    assert rows[3]["age"] == 2 and rows[3]["pixels"] == [2.0, 2.0, 2.0]
    assert (rows[0]["input.prediction"], rows[1]["input.prediction"]) == (None, 0.5)
    assert [row["request_id"] for row in rows[:4]] == ["r0", "r0", "r1", "r1"]
    assert counters.totals() == {
        "accepted": 10,
        "written": 10,
        "dropped": 0,
        "lost": 0,
        "files": 1,
    }


@pytest.mark.parametrize("share", [1, 1 - 1e-12])
@pytest.mark.parametrize("places", [(0, 1, 2), (2, 0), (1,)])
def test_each_request_of_a_batch_has_its_own_rows(tmp_path, counters, places, share):
    spans = ((0, 2), (2, 1), (3, 3))
    rows = some_rows(6)
    batch = Batch(rows, Prediction(np.arange(6), np.arange(12).reshape(6, 2) / 12))
    log = log_of(tmp_path, counters, share=share)
    for place in places:
        first, count = spans[place]
        own = slice(first, first + count)
        inputs = {name: values[own] for name, values in rows.items()}
        values, scores = batch.prediction.values, batch.prediction.scores
        prediction = Prediction(values[own], scores[own])
        offer_part(log, inputs, Answered(prediction, batch, first), count)
    log.close(10)
    [table] = tables(LocalStorageNode(tmp_path / "store"))
    got = table.to_pylist()
    chosen = sorted(spans[place] for place in places)
    expected = [row for first, count in chosen for row in range(first, first + count)]
    got.sort(key=lambda row: row["age"])
    assert [row["age"] for row in got] == expected
    assert [row["prediction"] for row in got] == expected
    assert [row["probability_1"] * 12 for row in got] == [2 * n + 1 for n in expected]
    assert [row["request_id"] for row in got] == [
        f"r{first}" for first, count in chosen for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["\ud800", "b"], ["\\ud800", "b"]),
        (["a", b"\xff"], [b"a", b"\xff"]),
        ([b"\xff", 2.5], ["\\xff", "2.5"]),
        ([2**70, None], [str(2**70), None]),
    ],
)
def test_a_column_that_mixes_types_is_kept(tmp_path, counters, sent, kept):
    log = log_of(tmp_path, counters)
    open_schema = {"type": "object", "properties": {"any": {}}}
    served = ServedModel(
        **{"deployment": NAME, "name": "open", "version": "1.0.0", "platform": ""},
        input_schema=open_schema,
        predict=lambda inputs: Prediction(inputs["any"]),
    )
    for value in sent:
        values = np.array([value], dtype=object)
        offer_alone(log, {"any": values}, Prediction(np.zeros(1)), 1, served)
    log.close(10)
    [table] = tables(LocalStorageNode(tmp_path / "store"))
    assert table["any"].to_pylist() == kept
    assert counters.totals()["lost"] == 0


def test_all_files_of_two_replicas_keep_to_their_room_and_the_newest_stay(
    tmp_path, counters, monkeypatch
):
    monkeypatch.setattr(request_log, "_GATHER_SECONDS", 0.1)
    storage = LocalStorageNode(tmp_path / "store")
    rules = RequestLogging(max_size="40Ki", max_file_size="8Ki")
    logs = [RequestLog(storage, FOLDER, rules, counters, slot) for slot in (0, 1)]
    for first in range(0, 6000, 100):
        offer(logs[first // 100 % 2], 100, first)
        if first % 1000 == 0:
            time.sleep(0.25)
    for log in logs:
        log.close(10)
    sizes = [each.size_bytes for each in storage.list(FOLDER)]
    assert len(sizes) > 1 and sum(sizes) <= 40 * 1024
    ages = [age for table in tables(storage) for age in table["age"].to_pylist()]
    assert max(ages) == 5999 and min(ages) > 0
    assert counters.totals()["written"] == 6000


class StuckNode(LocalStorageNode):
    """Writes nothing until it may."""

    def __init__(self, path) -> None:
        super().__init__(path)
        self.may = threading.Event()
        self.is_stuck = threading.Event()

    def create(self, key: str, data: bytes) -> str:
        self.is_stuck.set()
        self.may.wait(30)
        return super().create(key, data)


def test_what_can_not_be_kept_up_with_is_dropped_counted_and_waited_for_by_nobody(
    tmp_path, counters, monkeypatch
):
    monkeypatch.setattr(request_log, "_MOST_WAITING_BYTES", 5000)
    node = StuckNode(tmp_path / "store")
    log = log_of(tmp_path, counters, node, max_file_size="1Ki")
    large = Prediction(np.zeros(1))
    pixels = np.zeros((1, 125), dtype=np.float64)
    full = np.random.default_rng(0).normal(size=(1, 500))  # of one file
    offer_alone(log, {"pixels": full}, large, 1)
    assert node.is_stuck.wait(20)
    started = time.monotonic()
    for _ in range(10):
        offer_alone(log, {"pixels": pixels}, large, 1)
    assert time.monotonic() - started < 1
    assert counters.totals()["dropped"] == 7
    node.may.set()
    log.close(20)
    assert counters.totals()["written"] == 4


class FullNode(LocalStorageNode):
    """A disk without room."""

    def create(self, key: str, data: bytes) -> str:
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_the_log_and_nothing_else(tmp_path, counters, caplog):
    log = log_of(tmp_path, counters, FullNode(tmp_path / "store"))
    offer(log, 3)
    log.close(10)
    assert counters.totals()["lost"] == 3
    assert "3 rows of the request log are lost" in caplog.text
    assert "No space left" in caplog.text


def test_what_a_killed_replica_had_open_counts_as_lost(tmp_path, counters):
    counters.add(0, accepted=9, written=4)
    log = log_of(tmp_path, counters)
    log.close(10)
    assert counters.totals()["lost"] == 5


def test_a_share_of_the_requests_is_kept(tmp_path, counters):
    log = log_of(tmp_path, counters, share=0.25)
    for first in range(2000):
        offer(log, 1, first)
    log.close(20)
    assert 400 < counters.totals()["written"] < 600
