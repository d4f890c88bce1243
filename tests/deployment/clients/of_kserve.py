"""KServe's REST and gRPC clients at a deployment; prints what they saw as JSON.

.venv-clients/bin/python of_kserve.py URL HOST:PORT MODEL
"""

import asyncio
import json
import sys

import grpc
import httpx
import numpy as np
from columns import COLUMNS, PHOTO_IN_JSON
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import InferResponse

url, address, model = sys.argv[1:]


def request(binary, name=model, **changes):
    made = []
    for column, (datatype, values) in COLUMNS.items():
        if column == "photo" and not binary:
            values = PHOTO_IN_JSON
        values = changes.get(column, values)
        tensor = InferInput(column, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return InferRequest(model_name=name, infer_inputs=made, request_id="seven")


def typed():
    """The same in the typed contents of a gRPC request."""
    made = []
    for column, (datatype, values) in COLUMNS.items():
        flat = values.tolist()
        if datatype == "BYTES":
            flat = [each.encode() if isinstance(each, str) else each for each in flat]
        made.append(InferInput(column, list(values.shape), datatype, data=flat))
    return InferRequest(model_name=model, infer_inputs=made)


def rows(answer: InferResponse):
    values = answer.outputs[0].as_numpy().tolist()
    return [each.decode() if isinstance(each, bytes) else each for each in values]


async def told(call):
    try:
        await call
    except grpc.RpcError as err:
        return f"{err.code().name}: {err.details()}"
    except httpx.HTTPStatusError as err:
        return f"{err.response.status_code}: {err.response.text}"
    return "no error"


async def over_rest():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    short = request(True, flag=np.array([True]))
    facts = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, model),
        "rows": {
            "binary": rows(await client.infer(url, request(True), model_name=model)),
            "in JSON": rows(await client.infer(url, request(False), model_name=model)),
        },
        "errors": {
            "shape": await told(client.infer(url, short, model_name=model)),
            "model": await told(client.infer(url, request(True), model_name="other")),
        },
    }
    await client.close()
    return facts


async def over_grpc():
    client = InferenceGRPCClient(address, retries=0)
    short = request(True, flag=np.array([True]))
    facts = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model_ready": await client.is_model_ready(model),
        "rows": {
            "raw": rows(await client.infer(request(True))),
            "typed": rows(await client.infer(typed())),
        },
        "errors": {
            "shape": await told(client.infer(short)),
            "model": await told(client.infer(request(True, name="other"))),
        },
    }
    await client.close()
    return facts


async def main():
    print(json.dumps({"rest": await over_rest(), "grpc": await over_grpc()}))


asyncio.run(main())
