"""The predictor's application, asked over ASGI with no server between."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import (
    MetricsFile,
    errors_of,
    quantile_seconds,
    since,
)
from brixa_flows.deployment.served import ServedModel
from brixa_flows.errors import DatasetError, InvalidDeploymentError
from brixa_flows.serializers.base import Prediction

SCHEMA = {
    "type": "object",
    "properties": {
        "age": {"type": "integer"},
        "gust": {"type": ["number", "null"]},
        "carrier": {"type": "string", "enum": ["AA", "UA"]},
        "late": {"type": "boolean"},
    },
    "required": ["age", "gust", "carrier"],
}
ROW = {"age": 3, "gust": 1.5, "carrier": "AA", "late": True}


def classify(inputs):
    rows = len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)
    scores = np.tile([0.25, 0.75], (rows, 1))
    return Prediction(np.full(rows, "yes"), scores, ("no", "yes"))


def application(
    folder: Path, predict=classify, schema=SCHEMA, **limits: float
) -> PredictorApplication:
    served = ServedModel(
        deployment="delay-prod",
        name="delay",
        version="1.2.0",
        platform="sklearn",
        input_schema=schema,
        predict=predict,
    )
    metrics = MetricsFile(folder / "metrics.bin")
    return PredictorApplication(served, Limits(**limits), metrics, slot=0)


def client_of(app: PredictorApplication) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test"
    )


def ask(app: PredictorApplication, method: str, path: str, **kwargs) -> httpx.Response:
    async def conversation() -> httpx.Response:
        async with client_of(app) as client:
            return await client.request(method, path, **kwargs)

    return asyncio.run(conversation())


def columns(**changes):
    tensors = {
        "age": ("INT64", [3, 4]),
        "gust": ("FP64", [1.5, None]),
        "carrier": ("BYTES", ["AA", "UA"]),
        **changes,
    }
    return [
        {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}
        for name, (datatype, data) in tensors.items()
    ]


def test_tensors_give_labels_and_probabilities(tmp_path):
    answer = ask(
        application(tmp_path),
        "POST",
        "/v2/models/delay/infer",
        json={"id": "one", "inputs": columns()},
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "model_name": "delay",
        "model_version": "1.2.0",
        "id": "one",
        "outputs": [
            {
                "name": "predict",
                "shape": [2],
                "datatype": "BYTES",
                "data": ["yes", "yes"],
            },
            {
                "name": "probabilities",
                "shape": [2, 2],
                "datatype": "FP64",
                "data": [0.25, 0.75, 0.25, 0.75],
                "parameters": {"classes": ["no", "yes"]},
            },
        ],
    }


def test_the_model_gets_the_types_that_its_schema_says(tmp_path):
    seen = {}

    def predict(inputs):
        seen.update(inputs)
        return classify(inputs)

    body = {"inputs": columns(age=("FP64", [3.0, 4.0]))}
    app = application(tmp_path, predict)
    assert ask(app, "POST", "/v2/models/delay/infer", json=body).status_code == 200
    assert seen["age"].dtype == np.int64
    assert seen["gust"].dtype == np.float64 and np.isnan(seen["gust"][1])
    assert seen["carrier"].tolist() == ["AA", "UA"]
    assert seen["late"].tolist() == [None, None]


def test_only_the_outputs_that_are_wanted_come_back(tmp_path):
    body = {"inputs": columns(), "outputs": [{"name": "probabilities"}]}
    answer = ask(application(tmp_path), "POST", "/v2/models/delay/infer", json=body)
    assert [output["name"] for output in answer.json()["outputs"]] == ["probabilities"]


def test_records_give_one_prediction_each(tmp_path):
    app = application(tmp_path)
    for body in ({"records": [ROW, ROW]}, [ROW, ROW]):
        answer = ask(app, "POST", "/predict", json=body).json()
        assert answer["predictions"] == ["yes", "yes"]
        assert answer["probabilities"] == [[0.25, 0.75], [0.25, 0.75]]
        assert answer["classes"] == ["no", "yes"]


def test_the_protocols_metadata_and_health_are_there(tmp_path):
    app = application(tmp_path)
    assert ask(app, "GET", "/v2/health/live").json() == {"live": True}
    assert ask(app, "GET", "/v2/health/ready").json() == {"ready": True}
    assert ask(app, "GET", "/v2").json()["name"] == "brixa-flows"
    ready = ask(app, "GET", "/v2/models/delay/versions/1.2.0/ready")
    assert ready.json() == {"name": "delay", "ready": True}
    metadata = ask(app, "GET", "/v2/models/delay").json()
    assert metadata["versions"] == ["1.2.0"]
    assert [(each["name"], each["datatype"]) for each in metadata["inputs"]] == [
        ("age", "INT64"),
        ("gust", "FP64"),
        ("carrier", "BYTES"),
        ("late", "BOOL"),
    ]


def test_the_openapi_page_names_every_path(tmp_path):
    app = application(tmp_path)
    document = ask(app, "GET", "/openapi.json").json()
    page = ask(app, "GET", "/docs").text
    for path, methods in document["paths"].items():
        assert path in page
        if "get" in methods:
            assert ask(app, "GET", path).status_code == 200


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (None, "inputs"),
        ([], "inputs"),
        (columns()[:2], "column 'carrier' is missing"),
        (columns() + columns()[:1], "twice"),
        (columns(wind=("FP64", [1, 2])), "no column 'wind'"),
        (columns(age=("BYTES", ["3", "4"])), "input 'age': takes whole numbers"),
        (
            columns(age=("INT64", [3, None])),
            "input 'age': the value of row 1 is missing",
        ),
        (
            columns(age=("FP64", [3.5, 4])),
            "input 'age': the value of row 0 is not a whol",
        ),
        (columns(gust=("BOOL", [True, False])), "input 'gust': takes numbers"),
        (columns(carrier=("INT64", [1, 2])), "input 'carrier': takes texts"),
        (columns(age=("INT64", [1, 2, 3])), "shape [2] does not fit"),
        (columns(late=("INT64", [1, 0])), "input 'late': takes booleans"),
    ],
)
def test_bad_columns_are_400_with_a_sentence_that_names_them(tmp_path, inputs, words):
    answer = ask(
        application(tmp_path), "POST", "/v2/models/delay/infer", json={"inputs": inputs}
    )
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: is empty"),
        (b"{", "body: is not JSON"),
        (b"\xff\xfe", "body: is not JSON"),
        (b"[" * 100_000, "body: is nested too deeply"),
        (b'{"inputs": [1e999]}', "inputs[0]"),
        (b'{"inputs": Infinity}', "Infinity is not a number"),
        (b"7", "body: is not a JSON object"),
        (b'{"id": 7, "inputs": []}', "id: is not a text"),
        (b'{"inputs": {"a": 1}}', "inputs: give a list"),
        (b'{"inputs": [1], "outputs": {}}', "outputs: is not a list"),
        (b'{"inputs": [1], "outputs": [{"name": "x"}]}', "'x' is not an output"),
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "has more digits than"),
    ],
)
def test_bad_bodies_are_400(tmp_path, body, words):
    answer = ask(application(tmp_path), "POST", "/v2/models/delay/infer", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({}, "records: send"),
        ({"records": {}}, "records: send"),
        ([], "records: send"),
        ([1], "records[0]: is not an object"),
        ([ROW, {**ROW, "wind": 1}], "records[1]: the model has no column 'wind'"),
        ([ROW, {"age": 1, "gust": 1}], "records[1]: the column 'carrier' is missing"),
        ([{**ROW, "age": "3"}], "column 'age'"),
        ([{**ROW, "age": 3.5}], "column 'age'"),
        ([{**ROW, "age": None}], "column 'age': the value of row 0 is missing"),
        ([{**ROW, "age": [3]}], "column 'age'"),
        ([{**ROW, "gust": True}], "column 'gust'"),
        ([{**ROW, "carrier": "ZZ"}], "records[0].carrier: 'ZZ' is not one of"),
        ([{**ROW, "late": 1}], "column 'late'"),
    ],
)
def test_bad_records_are_400_with_a_sentence_that_names_them(tmp_path, records, words):
    answer = ask(application(tmp_path), "POST", "/predict", json=records)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_json_numbers_are_whole_by_value_and_null_is_allowed_where_the_schema_says(
    tmp_path,
):
    records = [{**ROW, "age": 3.0, "gust": None}]
    assert ask(application(tmp_path), "POST", "/predict", json=records).is_success


@pytest.mark.parametrize(
    ("kind", "dtype", "value", "words"),
    [
        ("integer", "int32", 2**31, "outside of -2147483648 to 2147483647"),
        ("integer", "uint8", -1, "outside of 0 to 255"),
        ("number", "float32", 1e39, "trained on float32"),
        ("number", "float16", 70_000, "trained on float16"),
    ],
)
def test_a_value_that_the_trained_dtype_can_not_hold_is_refused_and_not_wrapped(
    tmp_path, kind, dtype, value, words
):
    schema = {"type": "object", "properties": {"x": {"type": kind, "x-dtype": dtype}}}
    app = application(tmp_path, lambda x: Prediction(x["x"]), schema)
    refused = ask(app, "POST", "/predict", json=[{"x": 7}, {"x": value}])
    assert refused.status_code == 400 and words in refused.json()["error"]
    assert ask(app, "POST", "/predict", json=[{"x": 7}]).json()["predictions"] == [7]


def test_times_are_read_from_iso_texts(tmp_path):
    when = {"type": ["string", "null"], "x-dtype": "datetime64[ns]"}
    schema = {"type": "object", "properties": {"when": when}, "required": ["when"]}
    seen = []

    def predict(inputs):
        seen.append(inputs["when"])
        return Prediction(np.zeros(len(inputs["when"])))

    app = application(tmp_path, predict, schema=schema)
    texts = ["2013-01-31T05:00:00", "2013-01-31T05:00:00+01:00", None]
    records = [{"when": text} for text in texts]
    assert ask(app, "POST", "/predict", json=records).is_success
    expected = ["2013-01-31T05:00", "2013-01-31T04:00", "NaT"]
    np.testing.assert_array_equal(seen[0], np.array(expected, "datetime64[us]"))
    wrong = ask(app, "POST", "/predict", json=[{"when": "31/01/2013"}])
    assert wrong.status_code == 400 and "'31/01/2013', is not a time" in wrong.text


def test_a_model_without_schema_takes_one_unnamed_tensor(tmp_path):
    seen = []

    def predict(inputs):
        seen.append(inputs)
        return Prediction(inputs.sum(axis=1))

    app = application(tmp_path, predict, schema=None)
    two = {"name": "any", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3] * 2}
    answer = ask(app, "POST", "/v2/models/delay/infer", json={"inputs": [two]})
    assert answer.json()["outputs"][0]["data"] == [6.0, 6.0]
    assert seen[0].dtype == np.float32
    records = ask(app, "POST", "/predict", json=[[1, 2, 3], [4, 5, 6.5]])
    assert records.json()["predictions"] == [6.0, 15.5]
    both = ask(app, "POST", "/v2/models/delay/infer", json={"inputs": [two, two]})
    assert both.status_code == 400 and "one tensor" in both.json()["error"]


def test_a_model_of_arrays_checks_their_shape(tmp_path):
    sample = {"type": "array", "items": {"type": "number", "x-dtype": "float32"}}
    schema = {**sample, "minItems": 3, "maxItems": 3}
    app = application(tmp_path, lambda x: Prediction(x.sum(axis=1)), schema=schema)
    two = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    refused = ask(app, "POST", "/v2/models/delay/infer", json={"inputs": [two]})
    assert refused.status_code == 400 and "[1, 3]" in refused.json()["error"]
    assert ask(app, "POST", "/predict", json=[[1, 2, 3]]).json()["predictions"] == [6.0]
    short = ask(app, "POST", "/predict", json=[[1, 2, 3], [1, 2]])
    assert short.status_code == 400


def test_a_list_that_need_not_be_sent_may_be_left_out(tmp_path):
    vector = {"type": "array", "items": {"type": "number"}}
    properties = {
        "a": {"type": "number"},
        "v": {**vector, "minItems": 2, "maxItems": 2},
    }
    schema = {"type": "object", "properties": properties, "required": ["a"]}

    def predict(inputs):
        assert inputs["v"].shape in ((1,), (1, 2))
        return Prediction(inputs["a"] + np.nansum(inputs["v"]))

    app = application(tmp_path, predict, schema=schema)
    for sent, sums in (({"a": 1}, 1.0), ({"a": 1, "v": [2, 3]}, 6.0)):
        answer = ask(app, "POST", "/predict", json={"records": [sent]})
        assert answer.json()["predictions"] == [sums]
    mixed = ask(app, "POST", "/predict", json=[{"a": 1, "v": [2, 3]}, {"a": 1}])
    assert mixed.status_code == 400
    assert "records[1]: the column 'v' has no list here" in mixed.json()["error"]


def test_unknown_paths_models_and_methods_are_told_apart(tmp_path):
    app = application(tmp_path)
    wrong = ask(app, "POST", "/v2/models/other/infer", json={})
    assert wrong.status_code == 404 and "'delay' in version 1.2.0" in wrong.text
    wrong = ask(app, "POST", "/v2/models/delay/versions/9.9.9/infer", json={})
    assert wrong.status_code == 404
    assert ask(app, "GET", "/nothing").status_code == 404
    assert ask(app, "GET", "/predict").headers["allow"] == "POST"
    assert ask(app, "POST", "/metrics").status_code == 405


def test_too_large_a_request_is_413_before_it_is_read(tmp_path):
    answer = ask(
        application(tmp_path, max_body_bytes=100),
        "POST",
        "/predict",
        json={"records": [ROW] * 10},
    )
    assert answer.status_code == 413 and "100 bytes" in answer.json()["error"]


def test_what_is_not_spoken_is_said(tmp_path):
    app = application(tmp_path)
    for header, words in (
        ("Inference-Header-Content-Length", "records are JSON"),
        ("Content-Encoding", "uncompressed"),
    ):
        answer = ask(app, "POST", "/predict", content=b"x", headers={header: "9"})
        assert answer.status_code == 400 and words in answer.text


def test_a_model_that_raises_is_500_with_an_id_that_the_log_knows(tmp_path, caplog):
    def predict(inputs):
        raise RuntimeError("out of order")

    app = application(tmp_path, predict)
    with caplog.at_level(logging.ERROR):
        answer = ask(app, "POST", "/predict", json=[ROW])
    assert answer.status_code == 500
    assert answer.headers["x-failure-id"] in answer.json()["error"]
    assert answer.headers["x-failure-id"] in caplog.text
    assert "out of order" in caplog.text
    assert "out of order" not in answer.text


@pytest.mark.parametrize("left", [DatasetError("the X refused: oops"), SystemExit(3)])
def test_whatever_a_model_raises_on_rows_of_its_schema_is_its_own_fault(
    tmp_path, caplog, left
):
    def predict(inputs):
        raise left

    app = application(tmp_path, predict)
    answer = ask(app, "POST", "/predict", json=[ROW])
    assert answer.status_code == 500
    assert answer.headers["x-failure-id"] in answer.json()["error"]
    assert answer.headers["x-failure-id"] in caplog.text
    assert type(left).__name__ in caplog.text and str(left) in caplog.text
    assert errors_of(app.running.metrics.totals()) == 1


@pytest.mark.parametrize("given", [np.zeros(0), np.zeros(3), None, "text"])
def test_a_model_that_does_not_answer_each_row_is_a_500_that_says_so_in_the_log(
    tmp_path, caplog, given
):
    app = application(tmp_path, lambda _: Prediction(np.asarray(given)))
    answer = ask(app, "POST", "/predict", json=[ROW, ROW])
    assert answer.status_code == 500
    assert answer.headers["x-failure-id"] in caplog.text
    assert re.search("answered (. values|no list) for 2 rows", caplog.text)


def takes_three(inputs):
    if inputs.shape[1] != 3:
        raise DatasetError(f"X has {inputs.shape[1]} features, but needs 3")
    return Prediction(inputs.sum(axis=1))


def test_a_model_without_schema_may_refuse_rows_in_its_own_words(tmp_path, caplog):
    app = application(tmp_path, takes_three, schema=None)
    refused = ask(app, "POST", "/predict", json=[[1, 2]])
    assert refused.status_code == 400
    assert "X has 2 features, but needs 3" in refused.json()["error"]
    assert refused.headers["x-failure-id"] in refused.json()["error"]
    assert refused.headers["x-failure-id"] in caplog.text


def test_a_canary_that_refuses_what_the_version_served_answers_has_failed(
    tmp_path, caplog
):
    def takes_two(inputs):
        if inputs.shape[1] > 2:
            raise DatasetError("more than two")
        return Prediction(inputs.sum(axis=1))

    canary = application(tmp_path, takes_two, schema=None)
    served = application(tmp_path, takes_three, schema=None)
    canary.running.stable = served.running
    failed = ask(canary, "POST", "/predict", json=[[1, 2, 3]])
    assert failed.status_code == 500
    assert "refused what" in caplog.text and "more than two" in caplog.text
    assert ask(canary, "POST", "/predict", json=[[1, 2, 3, 4]]).status_code == 400
    assert ask(canary, "POST", "/predict", json=[]).status_code == 400
    named = application(tmp_path)
    named.running.stable = served.running
    assert ask(named, "POST", "/predict", json=[[1, 2, 3]]).status_code == 500
    assert served.running.in_flight == 0


def test_requests_that_come_while_the_model_is_busy_go_together(tmp_path):
    sizes = []
    first_is_in = threading.Event()
    go_on = threading.Event()

    def predict(inputs):
        sizes.append(len(inputs["age"]))
        first_is_in.set()
        go_on.wait(10)
        return Prediction(inputs["age"] * 10)

    async def conversation() -> list[httpx.Response]:
        async with client_of(app) as client:

            def post(age: int) -> asyncio.Task[httpx.Response]:
                records = [{**ROW, "age": age}]
                return asyncio.create_task(client.post("/predict", json=records))

            answers = [post(0)]
            while not first_is_in.is_set():
                await asyncio.sleep(0.001)
            answers += [post(age) for age in range(1, 7)]
            while app.in_flight < 7:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            go_on.set()
            return list(await asyncio.gather(*answers))

    app = application(tmp_path, predict, max_batch_rows=4)
    answers = asyncio.run(conversation())
    assert [answer.json()["predictions"] for answer in answers] == [
        [age * 10] for age in range(7)
    ]
    assert sizes == [1, 4, 2]


def test_clients_that_were_answered_together_are_predicted_together_again(tmp_path):
    sizes = []

    def predict(inputs):
        sizes.append(len(inputs["age"]))
        time.sleep(0.05)
        return Prediction(inputs["age"])

    async def client(http: httpx.AsyncClient, requests: int) -> None:
        for _ in range(requests):
            await http.post("/predict", json={"records": [ROW]})

    async def conversation(clients: int, requests: int) -> list[int]:
        sizes.clear()
        async with client_of(app) as http:
            await asyncio.gather(*(client(http, requests) for _ in range(clients)))
        return list(sizes)

    app = application(tmp_path, predict)
    assert asyncio.run(conversation(1, 3)) == [1, 1, 1]
    app = application(tmp_path, predict)
    assert len(asyncio.run(conversation(8, 6))) < 10  # 12 if it waited for nobody


def test_one_bad_row_does_not_spoil_the_others_of_its_batch(tmp_path):
    def predict(inputs):
        if (inputs["age"] == 3).any():
            raise RuntimeError("three")
        return Prediction(inputs["age"])

    async def conversation() -> list[int]:
        async with client_of(app) as client:
            posts = [
                client.post("/predict", json=[{**ROW, "age": age}]) for age in range(6)
            ]
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    app = application(tmp_path, predict)
    assert asyncio.run(conversation()) == [200, 200, 200, 500, 200, 200]


def test_overload_is_503_with_retry_after_and_never_a_pile_up(tmp_path):
    go_on = threading.Event()

    def predict(inputs):
        go_on.wait(10)
        return classify(inputs)

    async def conversation() -> list[httpx.Response]:
        async with client_of(app) as client:
            posts = [
                asyncio.create_task(client.post("/predict", json=[ROW]))
                for _ in range(8)
            ]
            done, _ = await asyncio.wait(posts, return_when="FIRST_COMPLETED")
            while len(done) < 5:
                await asyncio.sleep(0.001)
                done = {post for post in posts if post.done()}
            assert (await client.get("/v2/health/live")).status_code == 200
            go_on.set()
            return list(await asyncio.gather(*posts))

    app = application(tmp_path, predict, max_waiting=3)
    answers = asyncio.run(conversation())
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 5
    assert all(answer.headers["retry-after"] == "1" for answer in refused)


def test_bodies_that_are_sent_slowly_do_not_fill_the_memory(tmp_path):
    go_on = asyncio.Event()

    async def slow_body():
        yield b"[" + b" " * 998
        await go_on.wait()
        yield json.dumps(ROW).encode()[:1]

    async def conversation() -> tuple[list[int], int]:
        async with client_of(app) as client:
            slow = [
                asyncio.create_task(client.post("/predict", content=slow_body()))
                for _ in range(4)
            ]
            while app._held_bytes < 4 * 999:
                await asyncio.sleep(0.001)
            refused = await client.post("/predict", json=[ROW])
            go_on.set()
            codes = [answer.status_code for answer in await asyncio.gather(*slow)]
            taken = await client.post("/predict", json=[ROW])
            assert refused.headers["retry-after"] == "1"
            return [refused.status_code, *codes], taken.status_code

    app = application(tmp_path, max_body_bytes=1000)
    assert asyncio.run(conversation()) == ([503, 400, 400, 400, 400], 200)
    assert app._held_bytes == 0


def test_a_body_that_does_not_come_is_408_and_its_bytes_are_given_back(tmp_path):
    async def endless_body():
        yield b"["
        await asyncio.Event().wait()

    app = application(tmp_path, max_body_seconds=0.05)
    answer = ask(app, "POST", "/predict", content=endless_body())
    assert answer.status_code == 408 and "0.05 seconds" in answer.json()["error"]
    assert answer.headers["connection"] == "close"
    assert app._held_bytes == app.in_flight == 0


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "9" * 40])
def test_a_limit_that_is_no_number_is_refused_by_name(text):
    assert Limits.from_environment({"MAX_BATCH_SIZE": "32"}).max_batch_rows == 32
    with pytest.raises(InvalidDeploymentError, match="env_vars.MAX_BATCH_SIZE"):
        Limits.from_environment({"MAX_BATCH_SIZE": text})


def test_times_are_no_longer_than_the_longest(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.bin")
    before = metrics.totals()
    for slot, seconds in enumerate((0.2, 16.0, 12.0)):
        metrics.observe(slot, 200, seconds, 1)
    recent = since(before, metrics.totals())
    assert 12 < quantile_seconds(recent, 0.99) <= 16
    metrics.observe(0, 200, 45.0, 1)
    assert quantile_seconds(since(before, metrics.totals()), 1.0) == 45.0
    assert quantile_seconds(before, 0.99) is None


def test_metrics_count_what_was_answered(tmp_path):
    app = application(tmp_path)
    ask(app, "POST", "/predict", json=[ROW, ROW])
    ask(app, "POST", "/predict", json=[1])
    text = ask(app, "GET", "/metrics").text
    assert 'brixa_requests_total{deployment="delay-prod",code="200"} 1' in text
    assert 'brixa_requests_total{deployment="delay-prod",code="400"} 1' in text
    assert 'brixa_rows_total{deployment="delay-prod"} 2' in text
    assert 'brixa_request_duration_seconds_count{deployment="delay-prod"} 2' in text


@pytest.mark.parametrize(
    ("objects", "datatype", "data", "plain"),
    [
        ([1, 2], "INT64", [1, 2], [1, 2]),
        ([True, False], "BOOL", [True, False], [True, False]),
        ([np.int64(1), 2.5], "FP64", [1.0, 2.5], [1.0, 2.5]),
        ([1, None], "FP64", [1.0, None], [1.0, None]),
        ([1, "a"], "BYTES", ["1", "a"], [1, "a"]),
        ([[1, 2.5], [3, 4]], "FP64", [1.0, 2.5, 3.0, 4.0], [[1.0, 2.5], [3.0, 4.0]]),
        ([[1, "a"], [True, None]], "BYTES", ["1", "a", "True", None], None),
        ([2**60, None], "BYTES", [str(2**60), None], [2**60, None]),
        ([None, None], "BYTES", [None, None], [None, None]),
    ],
    ids=str,
)
def test_objects_that_a_model_answers_with_keep_their_types(
    tmp_path, objects, datatype, data, plain
):
    app = application(tmp_path, lambda _: Prediction(np.array(objects, dtype=object)))
    infer = ask(app, "POST", "/v2/models/delay/infer", json={"inputs": columns()})
    [output] = infer.json()["outputs"]
    assert (output["datatype"], output["data"]) == (datatype, data)
    records = ask(app, "POST", "/predict", json=[ROW, ROW]).json()["predictions"]
    expected = objects if plain is None else plain
    assert json.dumps(records) == json.dumps(expected)


def test_an_answer_holds_no_nan(tmp_path):
    app = application(tmp_path, lambda inputs: Prediction(np.array([np.nan])))
    answer = ask(app, "POST", "/predict", json=[ROW])
    assert json.loads(answer.content)["predictions"] == [None]
