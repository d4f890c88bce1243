"""Whatever is sent, the answer blames the sender or is right: never a 5xx."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.served import ServedModel
from brixa_flows.serializers.base import Prediction

COLUMNS = {
    "age": {"type": "integer", "x-dtype": "int32"},
    "gust": {"type": ["number", "null"], "x-dtype": "float32"},
    "carrier": {"type": "string", "enum": ["AA", "UA"]},
    "when": {"type": ["string", "null"], "x-dtype": "datetime64[ns]"},
    "late": {"type": "boolean"},
    "pixels": {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 2,
    },
    "anything": {},
}
SCHEMA = {"type": "object", "properties": COLUMNS}
RECORD = {"age": 3, "gust": 1.5, "carrier": "AA", "when": "2013-01-31T05:00:00"} | {
    "late": True,
    "pixels": [1, 2],
    "anything": 1,
}
TENSORS = [
    {"name": "age", "shape": [1], "datatype": "INT64", "data": [3]},
    {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["AA"]},
    {"name": "pixels", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
]
INFER = {"id": "1", "inputs": TENSORS, "outputs": [{"name": "predict"}]} | {
    "parameters": {"binary_data_output": False}
}
NASTY: list[Any] = [
    *(None, True, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan")),
    *("", "x", "AA", "\ud800", "\0", "FP16", "BYTES", "predict", "probabilities"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *([], {}, [[]], [None], [1], [1, 2], [[1, 2]], [[1], [2, 3]], ["x"], [{}]),
    *({"name": "age"}, {"data": []}, {"binary_data_size": 4}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, dict | list) else ():
        yield from (
            places(inner, (*path, key))
            if isinstance(inner, dict | list)
            else [(*path, key)]
        )


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    whole = copy.deepcopy(value)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return whole


def spoiled(valid: Any) -> list[bytes]:
    """Requests that are right but for one place, where every nasty thing stands."""
    return [
        json.dumps(changed(valid, path, new)).encode()
        for path in places(valid)
        for new in NASTY
    ]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> PredictorApplication:
    def predict(inputs: Any) -> Prediction:
        rows = len(inputs["age"])
        for name, values in inputs.items():
            assert len(values) == rows, name
        return Prediction(np.zeros(rows), np.full((rows, 2), 0.5), (0, 1))

    served = ServedModel(
        deployment="delay-prod",
        name="delay",
        version="1.2.0",
        platform="sklearn",
        input_schema=SCHEMA,
        predict=predict,
    )
    metrics = MetricsFile(tmp_path_factory.mktemp("fuzz") / "metrics.bin")
    return PredictorApplication(served, Limits(max_batch_rows=1), metrics, slot=0)


def post(
    app: PredictorApplication, path: str, bodies: list[bytes], **headers: str
) -> None:
    async def conversation() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
            for body in bodies:
                check(await http.post(path, content=body, headers=headers), body)

    asyncio.run(conversation())


def check(answer: httpx.Response, body: bytes) -> None:
    assert answer.status_code in (200, 400), (answer.text, body)
    if answer.status_code == 400:
        assert len(answer.json()["error"]) > 10


def test_tensors_with_anything_in_one_place(app):
    post(app, "/v2/models/delay/infer", spoiled(INFER))


def test_records_with_anything_in_one_place(app):
    post(app, "/predict", spoiled({"records": [RECORD]}))


@given(body=st.binary(max_size=60), length=st.integers(0, 80))
def test_any_bytes_as_a_binary_request(app, body, length):
    headers = {"Inference-Header-Content-Length": str(length)}
    post(app, "/v2/models/delay/infer", [body], **headers)
