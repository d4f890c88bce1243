"""Calls over gRPC that are never made twice and counted honestly; a process of its own.

    python benchmarks/_load_grpc.py HOST:PORT CONNECTIONS MODEL COLUMNS [--wait] < stops-at-end-of-file

Each client has a connection of its own and asks for one row of so many columns. A call is
made once, and counted by the version that answered it, or as failed; there is no retry
policy, but a call that reached no server is sent again by grpcio itself, as in every client
with its defaults. ``--wait`` has a call wait for a connection where there is none (``wait_for_ready``); without it such a call fails.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from _load import count_until_end
from grpc import aio

from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE
from brixa_flows.deployment.grpc_tensors import fill_tensors

_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class GrpcLoad:
    """Many connections to one endpoint.

    Args:
        address: ``host:port``.
        request: Of every call.
        wait: Have calls wait for a connection.
    """

    def __init__(self, address: str, request: bytes, *, wait: bool) -> None:
        self._address = address
        self._request = request
        self._wait = wait
        self.answers: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.slowest = 0.0
        self.ending = False

    async def client(self) -> None:
        """One connection, again and again."""
        read = MESSAGES["ModelInferResponse"].FromString
        async with aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            while not self.ending:
                began = time.perf_counter()
                call = infer(self._request, timeout=30, wait_for_ready=self._wait)
                try:
                    answer = read(await call)
                except aio.AioRpcError as err:
                    self.failed[f"{err.code().name}: {err.details()}"[:80]] += 1
                else:
                    self.answers[answer.model_version] += 1
                    self.slowest = max(self.slowest, time.perf_counter() - began)


def request_for(model: str, columns: int) -> Any:
    """A request for one row of numbers."""
    request = MESSAGES["ModelInferRequest"](model_name=model)
    tensors = ((f"c{place}", np.full(1, 0.5)) for place in range(columns))
    fill_tensors(request.inputs, tensors, request.raw_input_contents)
    return request


if __name__ == "__main__":
    address, connections, model, columns, *wait = sys.argv[1:]
    request = request_for(model, int(columns)).SerializeToString()
    load = GrpcLoad(address, request, wait=bool(wait))
    asyncio.run(count_until_end(load, int(connections)))
