"""NVIDIA's tritonclient at a deployment; prints what it saw as JSON.

.venv-clients/bin/python of_triton.py http|grpc HOST:PORT MODEL
"""

import importlib
import json
import queue
import sys

import ml_dtypes
import numpy as np
from columns import COLUMNS, PHOTO_IN_JSON
from tritonclient.utils import InferenceServerException

kind, address, model = sys.argv[1:]
lib = importlib.import_module(f"tritonclient.{kind}")
client = lib.InferenceServerClient(address)


def inputs(binary=True, half="FP32", **changes):
    made = []
    for name, (datatype, values) in COLUMNS.items():
        if name == "photo" and not binary:
            values = PHOTO_IN_JSON
        if name == "half" and half != "FP32":
            datatype = half
            values = values.astype(np.float16 if half == "FP16" else ml_dtypes.bfloat16)
        values = changes.get(name, values)
        tensor = lib.InferInput(name, list(values.shape), datatype)
        as_json = {"binary_data": False} if not binary else {}
        tensor.set_data_from_numpy(values, **as_json)
        made.append(tensor)
    return made


def rows(answer):
    return [
        each.decode() if isinstance(each, bytes) else each
        for each in answer.as_numpy("predict").tolist()
    ]


def told(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InferenceServerException as err:
        return f"{err.status()}: {err.message()}"
    return "no error"


def id_of(answer):
    got = answer.get_response()
    return got["id"] if kind == "http" else got.id


def not_waited_for():
    if kind == "http":
        return client.async_infer(model, inputs()).get_result()
    answers = queue.Queue()
    client.async_infer(
        model, inputs(), callback=lambda result, error: answers.put(error or result)
    )
    return answers.get(timeout=20)


def outputs(binary):
    if kind == "grpc":
        return [lib.InferRequestedOutput("predict")]
    return [lib.InferRequestedOutput("predict", binary_data=binary)]


metadata = client.get_model_metadata(model, "1.0.0")
if kind == "grpc":
    tensors = [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs]
    server = client.get_server_metadata().name
else:
    listed = metadata["inputs"]
    tensors = [(one["name"], one["datatype"], one["shape"]) for one in listed]
    server = client.get_server_metadata()["name"]
facts = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(model),
    "server": server,
    "inputs": tensors,
    "id": id_of(client.infer(model, inputs(), request_id="seven")),
    "rows": {
        "plain": rows(client.infer(model, inputs(), outputs=outputs(True))),
        "of a version": rows(client.infer(model, inputs(), model_version="1.0.0")),
        "half as FP16": rows(client.infer(model, inputs(half="FP16"))),
        "half as BF16": rows(client.infer(model, inputs(half="BF16"))),
        "not waited for": rows(not_waited_for()),
    },
    "errors": {
        "shape": told(client.infer, model, inputs(flag=np.array([True]))),
        "model": told(client.infer, "other", inputs()),
        "version": told(client.infer, model, inputs(), model_version="9.0.0"),
    },
}
if kind == "http":
    answer = client.infer(model, inputs(binary=False), outputs=outputs(False))
    facts["rows"]["in JSON"] = rows(answer)
client.close()
print(json.dumps(facts))
