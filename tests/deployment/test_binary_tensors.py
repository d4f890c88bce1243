"""The binary data extension: tensors whose values follow the JSON as bytes."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.client import _decode, encode_columns, encode_frame
from brixa_flows.deployment.columns import Column
from brixa_flows.deployment.grpc_tensors import read_answer, write_answer
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.protocol import InferRequest, parse_infer, split_body
from brixa_flows.deployment.raw import decode_raw, encode_raw
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.signature import InputSignature
from brixa_flows.deployment.tensors import datatype_of
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

COLUMNS = {"gust": {"type": ["number", "null"]}, "carrier": {"type": "string"}}
SCHEMA = {"type": "object", "properties": COLUMNS, "required": list(COLUMNS)}
LENGTH = "Inference-Header-Content-Length"


def texts(*values: str) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


GUST = np.array([1.5, np.nan]).tobytes()
CARRIER = texts("ÄA", "UA")


def late(inputs: Any) -> Prediction:
    values = np.where(inputs["carrier"] == "UA", "late", "on time")
    return Prediction(values, np.tile([0.25, 0.75], (len(values), 1)), (0, 1))


def ask(
    folder: Path, head: Any, chunk: bytes = GUST + CARRIER, length: Any = None
) -> httpx.Response:
    app = PredictorApplication(
        ServedModel(
            deployment="delay-prod",
            name="delay",
            version="1.2.0",
            platform="sklearn",
            input_schema=SCHEMA,
            predict=late,
        ),
        Limits(),
        MetricsFile(folder / "metrics.bin"),
        slot=0,
    )
    begin = json.dumps(head).encode()
    headers = {LENGTH: str(len(begin) if length is None else length)}

    async def conversation() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
            path = "/v2/models/delay/infer"
            return await http.post(path, content=begin + chunk, headers=headers)

    return asyncio.run(conversation())


def inputs(gust: Any = 16, **changes: Any) -> list[dict[str, Any]]:
    return [
        {"name": "gust", "shape": [2], "datatype": "FP64", **changes}
        | {"parameters": {"binary_data_size": gust}},
        {"name": "carrier", "shape": [2], "datatype": "BYTES"}
        | {"parameters": {"binary_data_size": len(CARRIER)}},
    ]


def test_bytes_in_and_bytes_out_where_they_are_wanted(tmp_path):
    head = {
        "inputs": inputs(),
        "outputs": [
            {"name": "predict", "parameters": {"binary_data": True}},
            {"name": "probabilities"},
        ],
    }
    answer = ask(tmp_path, head)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers[LENGTH])
    predict, probabilities = json.loads(answer.content[:length])["outputs"]
    expected = texts("on time", "late")
    assert answer.content[length:] == expected
    assert predict["parameters"] == {"binary_data_size": len(expected)}
    assert "data" not in predict
    assert probabilities["data"] == [0.25, 0.75, 0.25, 0.75]


def test_all_outputs_are_bytes_when_the_request_says_so_once(tmp_path):
    head = {"inputs": inputs(), "parameters": {"binary_data_output": True}}
    answer = ask(tmp_path, head)
    length = int(answer.headers[LENGTH])
    outputs = json.loads(answer.content[:length])["outputs"]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    assert sum(sizes) == len(answer.content) - length
    assert outputs[1]["parameters"]["classes"] == [0, 1]
    scores = np.frombuffer(answer.content[-sizes[1] :]).reshape(outputs[1]["shape"])
    np.testing.assert_array_equal(scores, [[0.25, 0.75], [0.25, 0.75]])


def test_an_answer_is_plain_json_unless_bytes_are_wanted(tmp_path):
    answer = ask(tmp_path, {"inputs": inputs()})
    assert answer.json()["outputs"][0]["data"] == ["on time", "late"]
    assert LENGTH not in answer.headers


@pytest.mark.parametrize(
    ("head", "chunk", "length", "words"),
    [
        (inputs(gust=15), GUST + CARRIER, None, "'gust': has 15 bytes, but FP64"),
        (inputs(), GUST, None, "'carrier': binary_data_size is"),
        (inputs(), GUST + CARRIER + b"x", None, "body: 1 bytes at its end"),
        (inputs(gust=-1), b"", None, "'gust': binary_data_size '-1'"),
        (inputs(gust=True), b"", None, "'gust': binary_data_size 'True'"),
        (inputs(gust="16"), b"", None, "'gust': binary_data_size '16'"),
        (inputs(data=[1, 2]), GUST + CARRIER, None, "'gust': has both data and"),
        (inputs(datatype="FP99"), GUST + CARRIER, None, "datatype 'FP99'"),
        (inputs(shape=[10**18]), GUST + CARRIER, None, "needs 8000000000000000000"),
        (inputs(), GUST + CARRIER, 10**9, "length: is 1000000000, but the body has"),
        (inputs(), GUST + CARRIER, 0, "length: is 0"),
        (inputs(), GUST + CARRIER, "-1", "length: is not a number of bytes"),
        (inputs(), GUST + CARRIER, "9" * 30, "length: is not a number of bytes"),
        (inputs(), GUST + CARRIER[:-1] + b"\xff", None, "not a text in UTF-8"),
        (inputs(), GUST + b"\xff" * len(CARRIER), None, "value 0: its length is"),
    ],
)
def test_bad_bytes_are_400_with_a_sentence_that_names_them(
    tmp_path, head, chunk, length, words
):
    answer = ask(tmp_path, {"inputs": head}, chunk, length)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@given(
    npst.arrays(
        dtype=st.sampled_from(["bool", "int8", "uint64", "<f2", ">f4", "float64"]),
        shape=npst.array_shapes(max_dims=3, max_side=4),
        elements={"allow_infinity": False},
    )
)
def test_numbers_survive_as_bytes(values):
    back = decode_raw("x", datatype_of(values), values.shape, encode_raw(values)).values
    assert back.flags.writeable
    np.testing.assert_array_equal(back, values)


@given(st.lists(st.text(), min_size=1))
def test_texts_survive_as_bytes(listed):
    data = encode_raw(np.array(listed, dtype=object))
    octets = decode_raw("x", "BYTES", (len(listed),), data).values.tolist()
    assert [each.decode() for each in octets] == listed


@given(
    st.sampled_from(["BOOL", "FP16", "BF16", "INT64", "BYTES"]),
    st.integers(1, 3),
    st.binary(max_size=24),
)
def test_any_bytes_are_a_tensor_or_refused_by_name(datatype, rows, data):
    try:
        tensor = decode_raw("x", datatype, (rows,), data)
    except BadRequestError as err:
        assert "input 'x'" in err.message
    else:
        assert tensor.values.shape == (rows,)


def test_bfloat_is_read_as_the_float_of_the_same_value():
    data = np.array([1.5, -2.0, np.nan], "<f4").view("<u2")[1::2].tobytes()
    tensor = decode_raw("x", "BF16", (3,), data)
    assert tensor.datatype == "FP32"
    np.testing.assert_array_equal(tensor.values, np.array([1.5, -2, np.nan], "f4"))


BASE64 = {"type": "string", "contentEncoding": "base64"}
BINARY = {"type": "string", "format": "binary"}


def given_to(definition: object, *, as_bytes=(), as_json=()) -> list[Any]:
    """What a column gives its model of values that came as bytes, or in JSON."""
    column = Column.from_schema("x", definition, True)
    if as_json:
        return column.from_json(list(as_json), "field").tolist()
    values = decode_raw("x", "BYTES", (len(as_bytes),), encode_raw(octets(as_bytes)))
    return column.from_tensor(values, len(as_bytes)).tolist()


def octets(values: Any) -> Any:
    return np.array(list(values), dtype=object)


@pytest.mark.parametrize("definition", [BASE64, BINARY])
def test_a_column_of_bytes_gets_bytes_whatever_they_are(definition):
    sent = [b"\xff\x00", b"text", b""]
    assert given_to(definition, as_bytes=sent) == sent
    assert Column.from_schema("x", definition, True).datatype == "BYTES"


def test_json_carries_bytes_as_the_schema_says():
    assert given_to(BASE64, as_json=["/wA=", "dGV4dA=="]) == [b"\xff\x00", b"text"]
    assert given_to(BINARY, as_json=["Ä"]) == ["Ä".encode()]
    nullable = {**BASE64, "type": ["string", "null"]}
    assert given_to(nullable, as_json=[None, ""]) == [None, b""]
    for wrong in ("Ä", "/wA", "?"):
        with pytest.raises(BadRequestError, match="value of row 1 is not in base64"):
            given_to(BASE64, as_json=["/wA=", wrong])


def test_where_nothing_is_said_bytes_are_texts_if_all_can_be():
    assert given_to({}, as_bytes=["Ä".encode(), b"b"]) == ["Ä", "b"]
    assert given_to({}, as_bytes=[b"a", b"\xff"]) == [b"a", b"\xff"]


def test_bytes_of_an_answer_are_sent_as_they_are():
    for values in (octets([b"\xff\x00", "Ä", None]), np.array([b"ab", b"\xff"])):
        sent = decode_raw("x", "BYTES", values.shape, encode_raw(values)).values
        expected = [{"Ä": "Ä".encode(), None: b""}.get(each, each) for each in values]
        assert sent.tolist() == expected


@pytest.mark.parametrize("definition", [BASE64, BINARY])
def test_our_client_sends_bytes_as_they_are(definition):
    sent = [b"abcd", b"\xff\xfe", b""]
    columns = [("x", octets(sent)), ("n", np.array([1.5, np.nan, 2]))]
    body, part = split_body(*encode_columns(columns))
    answer = encode_columns(columns[1:])
    assert answer[1] is None and json.loads(answer[0])["inputs"][0]["data"][1] is None
    number = {"type": ["number", "null"]}
    schema = {"type": "object", "properties": {"x": definition, "n": number}}
    request = parse_infer(body, InputSignature.from_schema(schema), part)
    assert request.inputs["x"].tolist() == sent
    np.testing.assert_array_equal(request.inputs["n"], columns[1][1])
    with pytest.raises(BadRequestError, match="'x'.*bytes is missing"):
        encode_columns([("x", octets([b"a", None]))])
    with pytest.raises(BadRequestError, match="'x'.*base64 or as text"):
        encode_frame(pd.DataFrame({"x": sent}))


def test_our_client_sends_booleans_with_a_missing_one_as_booleans():
    flags = pd.DataFrame({"b": pd.array([True, None, False], dtype="boolean")})
    (sent,) = encode_frame(flags)
    assert (sent["datatype"], sent["data"]) == ("BOOL", [True, None, False])


def test_our_client_reads_numbers_of_all_sizes_and_infinite_ones():
    output = {"datatype": "UINT64", "shape": [2], "data": [2**64 - 1, 1]}
    assert _decode(output).tolist() == [2**64 - 1, 1]
    told = Prediction(np.array([np.inf, -np.inf, np.nan]), None, None)
    for binary in (frozenset(), frozenset({"predict"})):
        asked = InferRequest(None, {}, 3, (), binary)
        answer = write_answer(asked, told, model_name="m", version="1.0.0")
        found = read_answer(answer).values["predict"]
        np.testing.assert_array_equal(found, told.values)
