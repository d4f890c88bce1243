"""The predictor over gRPC: Open Inference Protocol v2, and the usual health service.

The one module of a replica that imports grpcio. Requests go through the same switch,
batches, limits and counters as those over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.batching import QueueFullError
from brixa_flows.deployment.grpc_messages import HEALTH, MESSAGES, METHODS, SERVICE
from brixa_flows.deployment.grpc_tensors import read_infer, write_answer
from brixa_flows.deployment.protocol import InferRequest
from brixa_flows.deployment.running import RefusedRowsError, RunningModel
from brixa_flows.deployment.served import SERVER_METADATA, ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.deployment.switch import Switch
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

__all__ = ["InferenceService"]

_Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
_Method: TypeAlias = Callable[[bytes, Any], Awaitable[bytes]]

_OPEN = (f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady", f"/{HEALTH}/Check")
_SERVING, _NOT_SERVING = 1, 2
_RETRY_SECONDS = 1
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
    grpc.StatusCode.INTERNAL: 500,
}


class _RefusedError(Exception):
    """A call that is ended with another status than OK."""

    def __init__(
        self, code: grpc.StatusCode, sentence: str, metadata: _Metadata = ()
    ) -> None:
        super().__init__(code, sentence, metadata)
        self.code = code
        self.sentence = sentence
        self.metadata = metadata


class InferenceService(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers for what a switch chooses; lives on its event loop.

    Args:
        switch: In front of the versions that are held.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        calls: dict[str, Callable[[bytes], Awaitable[Any]]] = {
            f"/{SERVICE}/{name}": getattr(self, f"_{_snake(name)}") for name in METHODS
        }
        calls[f"/{HEALTH}/Check"] = self._health
        self._handlers = {
            path: grpc.unary_unary_rpc_method_handler(_answering(call))
            for path, call in calls.items()
        }
        # What probes ask, which have no keys; it tells nothing of the model.
        self._open = tuple(self._handlers[path] for path in _OPEN)

    def service(self, handler_call_details: Any) -> Any:
        """The method for a call, ``None`` if there is none (see ``grpc``)."""
        handler = self._handlers.get(handler_call_details.method)
        access = self._switch.access
        if handler is None or not access.asks or handler in self._open:
            return handler
        shown = dict(handler_call_details.invocation_metadata or ())
        sentence = access.refusal(shown.get("authorization"))
        if sentence is None:
            return handler
        self._switch.main.running.note_refusal()
        return _shut(sentence)

    async def _server_live(self, _: bytes) -> Any:
        return MESSAGES["ServerLiveResponse"](live=True)

    async def _server_ready(self, _: bytes) -> Any:
        return MESSAGES["ServerReadyResponse"](ready=not self._switch.draining)

    async def _server_metadata(self, _: bytes) -> Any:
        return MESSAGES["ServerMetadataResponse"](**SERVER_METADATA)

    async def _model_ready(self, data: bytes) -> Any:
        request = _parsed("ModelReadyRequest", data)
        self._application(request.name, request.version)
        return MESSAGES["ModelReadyResponse"](ready=True)

    async def _model_metadata(self, data: bytes) -> Any:
        request = _parsed("ModelMetadataRequest", data)
        running = self._application(request.name, request.version).running
        return MESSAGES["ModelMetadataResponse"](**running.served.metadata())

    async def _health(self, data: bytes) -> Any:
        service = _parsed("HealthCheckRequest", data).service
        if service not in ("", SERVICE):
            raise _RefusedError(
                grpc.StatusCode.NOT_FOUND,
                f"there is no service {service[:100]!r} here but {SERVICE}",
            )
        status = _NOT_SERVING if self._switch.draining else _SERVING
        return MESSAGES["HealthCheckResponse"](status=status)

    def _application(self, name: str, version: str) -> PredictorApplication:
        """Who answers for a model, of a version if that is named.

        Raises:
            _RefusedError: If it is not here.
        """
        application = self._switch.choose(version or None)
        served = application.running.served
        if name != served.name or version not in ("", served.version):
            named = f"{name[:100]!r}" + (f" {version[:40]}" if version else "")
            raise _RefusedError(
                grpc.StatusCode.NOT_FOUND,
                f"{named} is not here: this deployment serves the model "
                f"{served.name!r} in version {served.version}",
            )
        return application

    async def _model_infer(self, data: bytes) -> Any:
        started = time.perf_counter()
        running = self._switch.main.running
        try:
            message = _parsed("ModelInferRequest", data)
            named = message.model_name, message.model_version
            running = self._application(*named).running
            answer, rows = await _infer(running, message, len(data))
        except _RefusedError as err:
            seconds = time.perf_counter() - started
            running.observe(_HTTP_STATUS[err.code], seconds, 0)
            raise
        running.observe(200, time.perf_counter() - started, rows)
        return answer


async def _infer(
    running: RunningModel, message: Any, size_bytes: int
) -> tuple[Any, int]:
    """The answer, and its rows."""

    def read(served: ServedModel) -> tuple[InferRequest, Inputs, int]:
        request = read_infer(message, served.signature)
        return request, request.inputs, request.rows

    def write(
        served: ServedModel, request: InferRequest, prediction: Prediction, rows: int
    ) -> tuple[Any, int]:
        answer = write_answer(
            request, prediction, model_name=served.name, version=served.version
        )
        return answer, rows

    try:
        with running.taken():
            return await running.predict(
                size_bytes, read, write, lambda asked: asked.id
            )
    except BadRequestError as err:
        _refuse_argument(err.message)
    except RefusedRowsError as err:
        code = grpc.StatusCode.INVALID_ARGUMENT
        raise _noted(code, running.note_refused_rows(err)) from None
    except QueueFullError:
        raise _RefusedError(
            grpc.StatusCode.RESOURCE_EXHAUSTED, _OVERLOADED, _come_back()
        ) from None
    except Exception:  # noqa: B902 - the model's own; the replica lives on
        raise _noted(grpc.StatusCode.INTERNAL, running.note_failure()) from None


def _noted(code: grpc.StatusCode, noted: tuple[str, str]) -> _RefusedError:
    """A failure with the id that it has in the log."""
    failure, sentence = noted
    return _RefusedError(code, sentence, (("x-failure-id", failure),))


_OVERLOADED = "too many requests wait already; try again"


def _refuse_argument(sentence: str) -> NoReturn:
    raise _RefusedError(grpc.StatusCode.INVALID_ARGUMENT, sentence)


def _come_back() -> _Metadata:
    """When to try again: for a retry policy, and as ``google.rpc.RetryInfo``."""
    delay = MESSAGES["Duration"](seconds=_RETRY_SECONDS)
    told = MESSAGES["RetryInfo"](retry_delay=delay).SerializeToString()
    code = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    status = MESSAGES["Status"](code=code, message=_OVERLOADED)
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=told)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("grpc-retry-pushback-ms", str(1000 * _RETRY_SECONDS)),
    )


def _answering(call: Callable[[bytes], Awaitable[Any]]) -> _Method:
    """A method for grpc.aio, which takes and gives bytes."""

    async def method(data: bytes, context: Any) -> bytes:
        try:
            answer = await call(data)
        except _RefusedError as err:
            await context.abort(err.code, err.sentence, err.metadata)
        serialized: bytes = answer.SerializeToString()
        return serialized

    return method


def _shut(sentence: str) -> Any:
    """A method for those who have no key."""

    async def refuse(_: bytes) -> NoReturn:
        raise _RefusedError(grpc.StatusCode.UNAUTHENTICATED, sentence)

    return grpc.unary_unary_rpc_method_handler(_answering(refuse))


def _parsed(name: str, data: bytes) -> Any:
    try:
        return MESSAGES[name].FromString(data)
    except DecodeError:
        _refuse_argument(f"the request is no {name} of the Open Inference Protocol v2")


def _snake(name: str) -> str:
    """``ModelInfer`` as ``model_infer``."""
    parts = (f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return "".join(parts).lstrip("_")
