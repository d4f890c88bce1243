"""The predictor over gRPC, asked by a client of grpcio with no replica between."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import aio

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.grpc_messages import HEALTH, MESSAGES, SERVICE
from brixa_flows.deployment.grpc_service import InferenceService
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import CODES, MetricsFile
from brixa_flows.deployment.raw import encode_raw
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.switch import Switch
from brixa_flows.errors import DatasetError
from brixa_flows.serializers.base import Prediction

SCHEMA = {
    "type": "object",
    "properties": {
        "age": {"type": "integer"},
        "gust": {"type": ["number", "null"]},
        "carrier": {"type": "string"},
        "photo": {"type": "string", "contentEncoding": "base64"},
    },
    "required": ["age"],
}
STATUS = grpc.StatusCode


def classify(inputs):
    rows = len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)
    scores = np.tile([0.25, 0.75], (rows, 1))
    return Prediction(np.full(rows, "yes"), scores, ("no", "yes"))


def switch_to(folder: Path, predict=classify, schema=SCHEMA, **limits: int) -> Switch:
    served = ServedModel(
        deployment="delay-prod",
        name="delay",
        version="1.2.0",
        platform="sklearn",
        input_schema=schema,
        predict=predict,
    )
    metrics = MetricsFile(folder / "metrics.bin")
    return Switch(PredictorApplication(served, Limits(**limits), metrics, slot=0))


class Client:
    """Calls methods by their name."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    async def call(self, method, request, service=SERVICE, answer=None):
        infer = self._channel.unary_unary(f"/{service}/{method}")
        data = request if isinstance(request, bytes) else request.SerializeToString()
        got = await infer(data, timeout=20)
        return MESSAGES[answer or f"{method}Response"].FromString(got)

    async def infer(self, **facts):
        facts = {"model_name": "delay", **facts}
        return await self.call("ModelInfer", MESSAGES["ModelInferRequest"](**facts))


@asynccontextmanager
async def serving(switch: Switch):
    server = aio.server()
    server.add_generic_rpc_handlers((InferenceService(switch),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(channel)
    await server.stop(None)


def ask(switch: Switch, conversation):
    """What ``conversation(client)`` gives, or the error that a call of it ended with."""

    async def run():
        async with serving(switch) as client:
            try:
                return await conversation(client)
            except aio.AioRpcError as err:
                return err

    return asyncio.run(run())


def infer(folder: Path, predict=classify, schema=SCHEMA, **facts):
    return ask(switch_to(folder, predict, schema), lambda client: client.infer(**facts))


def ages(*values):
    return {
        "name": "age",
        "datatype": "INT64",
        "shape": [len(values)],
        "contents": {"int64_contents": values},
    }


def test_typed_tensors_give_labels_and_probabilities(tmp_path):
    answer = infer(tmp_path, inputs=[ages(3, 4)], id="one")
    assert (answer.model_name, answer.model_version) == ("delay", "1.2.0")
    assert answer.id == "one" and not answer.raw_output_contents
    labels, scores = answer.outputs
    assert (labels.name, labels.datatype, list(labels.shape)) == (
        "predict",
        "BYTES",
        [2],
    )
    assert list(labels.contents.bytes_contents) == [b"yes", b"yes"]
    assert (scores.name, list(scores.shape)) == ("probabilities", [2, 2])
    assert list(scores.contents.fp64_contents) == [0.25, 0.75, 0.25, 0.75]
    assert scores.parameters["classes"].string_param == '["no", "yes"]'


def test_an_answer_is_raw_if_its_request_was_and_holds_what_was_wanted(tmp_path):
    wanted = [{"name": "probabilities", "parameters": {"x": {"bool_param": True}}}]
    tensor = {"name": "age", "datatype": "INT64", "shape": [1]}
    answer = infer(
        tmp_path,
        inputs=[tensor],
        raw_input_contents=[encode_raw(np.array([3]))],
        outputs=wanted,
        parameters={"unknown": {"double_param": 1.5}},
    )
    assert answer.id == ""
    assert [(each.name, each.datatype) for each in answer.outputs] == [
        ("probabilities", "FP64")
    ]
    assert not answer.outputs[0].contents.ListFields()
    assert list(answer.raw_output_contents) == [encode_raw(np.array([0.25, 0.75]))]


def test_what_no_contents_can_hold_comes_raw(tmp_path):
    answer = infer(
        tmp_path,
        lambda inputs: Prediction(np.ones(1, np.float16), None, None),
        inputs=[ages(3)],
    )
    assert answer.outputs[0].datatype == "FP16"
    assert list(answer.raw_output_contents) == [b"\x00\x3c"]


@pytest.mark.parametrize(
    ("datatype", "field", "sent", "dtype"),
    [
        ("BOOL", "bool_contents", [True, False], "bool"),
        ("INT8", "int_contents", [-128, 127], "int8"),
        ("INT16", "int_contents", [-(2**15), 2], "int16"),
        ("INT32", "int_contents", [-(2**31), 2], "int32"),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1], "int64"),
        ("UINT8", "uint_contents", [0, 255], "uint8"),
        ("UINT16", "uint_contents", [0, 2**16 - 1], "uint16"),
        ("UINT32", "uint_contents", [0, 2**32 - 1], "uint32"),
        ("UINT64", "uint64_contents", [0, 2**64 - 1], "uint64"),
        ("FP32", "fp32_contents", [1.5, -2.25], "float32"),
        ("FP64", "fp64_contents", [0.1, -1e300], "float64"),
    ],
)
def test_a_model_with_no_schema_gets_the_numbers_of_either_form(
    tmp_path, datatype, field, sent, dtype
):
    seen = []

    def predict(inputs):
        seen.append(inputs)
        return Prediction(inputs[:, 0], None, None)

    def tensor(**more):
        return {"name": "x", "datatype": datatype, "shape": [2, 1], **more}

    async def both(client):
        typed = await client.infer(inputs=[tensor(contents={field: sent})])
        raw = [encode_raw(np.array(sent, dtype))]
        return typed, await client.infer(inputs=[tensor()], raw_input_contents=raw)

    typed, raw = ask(switch_to(tmp_path, predict, None), both)
    for got in seen:
        assert got.dtype == dtype and got[:, 0].tolist() == sent
    assert len(seen) == 2
    assert typed.outputs[0].datatype == raw.outputs[0].datatype == datatype
    assert list(getattr(typed.outputs[0].contents, field)) == sent
    assert list(raw.raw_output_contents) == [encode_raw(np.array(sent, dtype))]


def test_bytes_that_are_no_text_reach_a_model_that_takes_bytes(tmp_path):
    seen = {}

    def predict(inputs):
        seen.update(inputs)
        return Prediction(inputs["photo"], None, None)

    photos = [b"\xff\xd8\x00", b"text"]
    tensor = {
        "name": "photo",
        "datatype": "BYTES",
        "shape": [2],
        "contents": {"bytes_contents": photos},
    }
    answer = infer(tmp_path, predict, inputs=[ages(1, 2), tensor])
    assert seen["photo"].tolist() == photos
    assert list(answer.outputs[0].contents.bytes_contents) == photos


def fitting(**changes):
    """An input that is right but for the changes."""
    return {**ages(3, 4), **changes}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "inputs: give at least one tensor"),
        ({"inputs": [fitting(name="")]}, "inputs[0].name: give the name"),
        ({"inputs": [fitting(name="agee")]}, "no column 'agee'; its columns: age"),
        (
            {"inputs": [fitting(datatype="FP16")]},
            "'age': datatype 'FP16' can't be sent",
        ),
        ({"inputs": [fitting(shape=[3])]}, "needs 3 values in contents.int64_contents"),
        ({"inputs": [fitting(shape=[-1])]}, "'age': shape [-1] is not a list of sizes"),
        ({"inputs": [fitting(shape=[])]}, "'age': shape [] is not a list of sizes"),
        ({"inputs": [fitting(shape=[2, 1, 1])]}, "'age': shape [2, 1, 1] does not fit"),
        (
            {"inputs": [fitting(contents={"fp64_contents": [1, 2]})]},
            "int64_contents, which has 0; fp64_contents must be empty",
        ),
        (
            {"inputs": [fitting(datatype="INT8", contents={"int_contents": [1, 128]})]},
            "'age': a value lies outside of -128 to 127",
        ),
        (
            {
                "inputs": [
                    fitting(
                        datatype="FP64", contents={"fp64_contents": [1, float("inf")]}
                    )
                ]
            },
            "'age': a value is infinite",
        ),
        (
            {
                "inputs": [
                    fitting(
                        datatype="FP64", contents={"fp64_contents": [1, float("nan")]}
                    )
                ]
            },
            "'age': the value of row 1 is missing",
        ),
        (
            {"inputs": [ages(3)], "raw_input_contents": [b"\0" * 8]},
            "'age': has both contents and raw_input_contents",
        ),
        (
            {
                "inputs": [fitting(contents=None)],
                "raw_input_contents": [b"\0" * 16, b"\0"],
            },
            "raw_input_contents: has 2 entries for 1 inputs",
        ),
        (
            {"inputs": [fitting(contents=None)], "raw_input_contents": [b"\0" * 15]},
            "'age': has 15 bytes, but INT64 of shape [2] needs 16",
        ),
        (
            {
                "inputs": [
                    ages(3),
                    {
                        "name": "carrier",
                        "datatype": "BYTES",
                        "shape": [1],
                        "contents": {"bytes_contents": [b"\xff"]},
                    },
                ]
            },
            "'carrier': the value of row 0 is not a text in UTF-8",
        ),
        (
            {"inputs": [ages(3)], "outputs": [{"name": "logits"}]},
            "outputs[0].name: 'logits' is not an output",
        ),
    ],
)
def test_a_bad_request_is_an_invalid_argument_that_names_the_field(
    tmp_path, facts, words
):
    err = infer(tmp_path, **facts)
    assert err.code() == STATUS.INVALID_ARGUMENT
    assert words in err.details()


def test_bytes_that_are_no_message_are_an_invalid_argument(tmp_path):
    switch = switch_to(tmp_path)
    err = ask(switch, lambda client: client.call("ModelInfer", b"\xff\xff\xff"))
    assert err.code() == STATUS.INVALID_ARGUMENT
    assert "is no ModelInferRequest" in err.details()
    metrics = switch.main.running.metrics
    assert metrics.totals()[CODES.index(400)] == 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"model_name": "other"}, "'other' is not here: this deployment serves"),
        ({"model_version": "9.9.9"}, "'delay' 9.9.9 is not here"),
    ],
)
def test_a_model_or_version_that_is_not_here_is_not_found(tmp_path, facts, words):
    err = infer(tmp_path, inputs=[ages(3)], **facts)
    assert err.code() == STATUS.NOT_FOUND
    assert words in err.details() and "'delay' in version 1.2.0" in err.details()


def test_a_version_that_is_named_is_asked_even_beside_another(tmp_path):
    switch = switch_to(tmp_path)
    tried = ServedModel(
        deployment="delay-prod",
        name="delay",
        version="2.0.0",
        platform="sklearn",
        input_schema=SCHEMA,
        predict=lambda inputs: Prediction(np.full(1, "new"), None, None),
    )
    metrics = MetricsFile(tmp_path / "metrics.bin")
    switch.canary = PredictorApplication(tried, Limits(), metrics, slot=0)

    async def each(client):
        answers = [
            await client.infer(inputs=[ages(3)], model_version=version)
            for version in ("", "1.2.0", "2.0.0")
        ]
        return [answer.model_version for answer in answers]

    assert ask(switch, each) == ["1.2.0", "1.2.0", "2.0.0"]


@pytest.mark.parametrize("left", [RuntimeError, DatasetError, SystemExit])
def test_a_model_that_raises_is_internal_with_an_id_that_is_in_the_log(
    tmp_path, caplog, left
):
    def predict(inputs):
        raise left("not in the mood")

    with caplog.at_level(logging.ERROR):
        err = infer(tmp_path, predict, inputs=[ages(3)])
    assert err.code() == STATUS.INTERNAL
    told = dict(err.trailing_metadata())["x-failure-id"]
    assert told in err.details() and told in caplog.text
    assert "not in the mood" not in err.details()


def test_objects_that_a_model_answers_with_keep_their_types(tmp_path):
    objects = np.array([1, 2], dtype=object)
    answer = infer(tmp_path, lambda _: Prediction(objects), inputs=[ages(3, 4)])
    [output] = answer.outputs
    assert output.datatype == "INT64"
    assert list(output.contents.int64_contents) == [1, 2]


def test_a_model_without_schema_may_refuse_rows_with_an_id_that_is_in_the_log(
    tmp_path, caplog
):
    def predict(inputs):
        raise DatasetError("X has 1 feature, but needs 2")

    err = infer(tmp_path, predict, schema=None, inputs=[ages(3)])
    assert err.code() == STATUS.INVALID_ARGUMENT
    told = dict(err.trailing_metadata())["x-failure-id"]
    assert told in err.details() and told in caplog.text
    assert "X has 1 feature, but needs 2" in err.details()


def test_more_calls_than_are_taken_are_told_when_to_come_back(tmp_path):
    entered, leave = threading.Event(), threading.Event()

    def predict(inputs):
        entered.set()
        leave.wait(20)
        return classify(inputs)

    switch = switch_to(tmp_path, predict, max_waiting=1)

    async def two(client):
        first = asyncio.create_task(client.infer(inputs=[ages(1)]))
        await asyncio.to_thread(entered.wait, 20)
        try:
            await client.infer(inputs=[ages(2)])
        except aio.AioRpcError as err:
            return err
        finally:
            leave.set()
            await first

    err = ask(switch, two)
    assert err.code() == STATUS.RESOURCE_EXHAUSTED
    metadata = dict(err.trailing_metadata())
    assert metadata["grpc-retry-pushback-ms"] == "1000"
    status = MESSAGES["Status"].FromString(metadata["grpc-status-details-bin"])
    assert status.code == 8 and status.message == err.details()
    assert status.details[0].type_url == "type.googleapis.com/google.rpc.RetryInfo"
    info = MESSAGES["RetryInfo"].FromString(status.details[0].value)
    assert info.retry_delay.seconds == 1
    totals = switch.main.running.metrics.totals()
    assert [totals[CODES.index(code)] for code in (200, 503)] == [1, 1]


def test_a_call_that_is_given_up_leaves_its_place_to_others(tmp_path):
    entered, leave = threading.Event(), threading.Event()

    def predict(inputs):
        entered.set()
        leave.wait(20)
        return classify(inputs)

    switch = switch_to(tmp_path, predict, max_waiting=1)

    async def given_up(client):
        first = asyncio.create_task(client.infer(inputs=[ages(1)]))
        await asyncio.to_thread(entered.wait, 20)
        first.cancel()
        while switch.main.in_flight:
            await asyncio.sleep(0.01)
        leave.set()
        return await client.infer(inputs=[ages(2)])

    assert ask(switch, given_up).model_name == "delay"


def test_the_server_and_its_model_are_described(tmp_path):
    async def everything(client):
        def request(method, **facts):
            return MESSAGES[f"{method}Request"](**facts)

        live = await client.call("ServerLive", request("ServerLive"))
        ready = await client.call("ServerReady", request("ServerReady"))
        server = await client.call("ServerMetadata", request("ServerMetadata"))
        there = await client.call("ModelReady", request("ModelReady", name="delay"))
        model = await client.call(
            "ModelMetadata", request("ModelMetadata", name="delay", version="1.2.0")
        )
        return live.live, ready.ready, server, there.ready, model

    live, ready, server, there, model = ask(switch_to(tmp_path), everything)
    assert live and ready and there
    assert server.name == "brixa-flows" and server.version
    assert (model.name, list(model.versions)) == ("delay", ["1.2.0"])
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
        ("age", "INT64", [-1]),
        ("gust", "FP64", [-1]),
        ("carrier", "BYTES", [-1]),
        ("photo", "BYTES", [-1]),
    ]
    assert [each.name for each in model.outputs] == ["predict"]


def test_the_health_service_of_grpc_says_when_a_replica_drains(tmp_path):
    switch = switch_to(tmp_path)

    async def probes(client):
        seen = []
        for service, draining in (("", False), (SERVICE, False), (SERVICE, True)):
            switch.draining = draining
            request = MESSAGES["HealthCheckRequest"](service=service)
            got = await client.call("Check", request, HEALTH, "HealthCheckResponse")
            seen.append(got.status)
        with pytest.raises(aio.AioRpcError) as caught:
            await client.call(
                "Check", MESSAGES["HealthCheckRequest"](service="x"), HEALTH
            )
        return seen, caught.value.code()

    assert ask(switch, probes) == ([1, 1, 2], STATUS.NOT_FOUND)
