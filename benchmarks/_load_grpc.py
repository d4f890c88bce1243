"""Clients of gRPC that never call twice and count honestly; a process of its own.

    python benchmarks/_load_grpc.py HOST PORT CONNECTIONS BODY < stops-at-end-of-file

As ``_load.py``: each client has a connection of its own, makes one call after another, and
has no retry policy: grpc itself asks again only where no server saw a call. BODY is the
JSON of a request to ``/predict``, of numbers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
from _load import Load, run

from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE

_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
_PAUSE_SECONDS = 0.005  # after a failure, as nobody asks a dead address in a tight loop


class GrpcLoad(Load):
    """Many connections to one address.

    Args:
        host: Of the endpoint.
        port: Of the endpoint.
        body: Of every request.
    """

    def __init__(self, host: str, port: int, body: bytes) -> None:
        super().__init__(host, port, body)
        self._address = f"{host}:{port}"
        request = MESSAGES["ModelInferRequest"](model_name="lr")
        [record] = json.loads(body)["records"]
        for name, value in record.items():
            tensor = request.inputs.add(name=name, datatype="FP64", shape=[1])
            tensor.contents.fp64_contents.append(value)
        self._message = request.SerializeToString()

    async def client(self) -> None:
        """One connection, again and again."""
        async with grpc.aio.insecure_channel(self._address, _OPTIONS) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            while not self.ending:
                began = time.perf_counter()
                try:
                    data = await infer(self._message, timeout=30)
                except grpc.aio.AioRpcError as err:
                    self.failed[f"{err.code().name}: {err.details()}"[:80]] += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    answer = MESSAGES["ModelInferResponse"].FromString(data)
                    self.answers[answer.model_version] += 1
                    self.slowest = max(self.slowest, time.perf_counter() - began)


if __name__ == "__main__":
    host, port, connections, body = sys.argv[1:]
    asyncio.run(run(GrpcLoad(host, int(port), body.encode()), int(connections)))
