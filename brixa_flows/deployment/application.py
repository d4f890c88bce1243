"""The predictor as an ASGI application: Open Inference Protocol v2 over REST.

::

    GET  /v2/health/live, /v2/health/ready              is the server there
    GET  /v2                                            server metadata
    GET  /v2/models/{model}[/versions/{version}]        model metadata
    GET  /v2/models/{model}[/versions/{version}]/ready
    POST /v2/models/{model}[/versions/{version}]/infer  tensors in, tensors out
    POST /predict                                       JSON records in, values out
    GET  /metrics                                       Prometheus
    GET  /docs, /openapi.json                           what this page says, exactly

Plain ASGI, with no framework between the socket and the model: every path of a
deployment is known when it starts, so routing is one look into a dict.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from brixa_flows.deployment.answers import (
    Answer,
    as_json,
    error_answer,
    json_answer,
    not_allowed,
    overloaded,
    too_large,
    too_slow,
)
from brixa_flows.deployment.batching import QueueFullError
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile, prometheus_text
from brixa_flows.deployment.openapi import docs_page, openapi_document
from brixa_flows.deployment.protocol import (
    InferRequest,
    encode_answer,
    encode_predictions,
    parse_body,
    parse_infer,
    split_body,
)
from brixa_flows.deployment.request_log import RequestLog
from brixa_flows.deployment.running import RefusedRowsError, RunningModel
from brixa_flows.deployment.served import SERVER_METADATA, ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

__all__ = ["PredictorApplication"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_JSON_LENGTH = b"inference-header-content-length"
_MOST_DIGITS = 18
_LONGEST_ID = 256
# Of the largest size at once, so that slow senders of many bodies don't fill the memory.
_LARGEST_BODIES_HELD = 4


class Body(NamedTuple):
    """What a request to predict carried.

    Attributes:
        content: All bytes.
        json_bytes: How many of them are JSON, if values follow as bytes.
        request_id: What the caller calls it in a header.
    """

    content: bytes
    json_bytes: int | None
    request_id: str | None


class _DisconnectedError(Exception):
    """The caller went away before the request was complete."""


class PredictorApplication:
    """Answers for one model version.

    Args:
        served: The model.
        limits: How much is taken at once.
        metrics: Counters shared with the other replicas.
        slot: The slot of this replica among them.
        log: Keeps what is asked and answered, if anybody wants that.

    Attributes:
        running: What predicts, for other protocols as well.
    """

    def __init__(
        self,
        served: ServedModel,
        limits: Limits,
        metrics: MetricsFile,
        slot: int,
        log: RequestLog | None = None,
    ) -> None:
        self.draining = False
        self.running = RunningModel(served, limits, metrics, slot, log)
        self._served = served
        self._limits = limits
        self._held_bytes = 0
        self._pages = self._make_pages()
        self._predictions = self._make_predictions()

    def _make_pages(self) -> dict[str, Callable[[], Answer]]:
        served = self._served
        model = f"/v2/models/{served.name}"
        metadata = json_answer(200, served.metadata())
        ready = json_answer(200, {"name": served.name, "ready": True})
        document = openapi_document(served)
        fixed = {
            "/v2/health/live": json_answer(200, {"live": True}),
            "/v2/health/ready": json_answer(200, {"ready": True}),
            "/v2": json_answer(200, SERVER_METADATA),
            "/openapi.json": json_answer(200, document),
            "/docs": Answer(200, docs_page(document), b"text/html; charset=utf-8"),
            "/": Answer(307, b"", headers=((b"location", b"/docs"),)),
        }
        for prefix in (model, f"{model}/versions/{served.version}"):
            fixed[prefix] = metadata
            fixed[f"{prefix}/ready"] = ready
        pages: dict[str, Callable[[], Answer]] = {
            path: partial(_same, answer) for path, answer in fixed.items()
        }
        pages["/metrics"] = self._metrics_page
        return pages

    def _make_predictions(self) -> dict[str, Callable[[Body], Awaitable[Answer]]]:
        model = f"/v2/models/{self._served.name}"
        return {
            f"{model}/infer": self._infer,
            f"{model}/versions/{self._served.version}/infer": self._infer,
            "/predict": self._predict_records,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI defines it; the life of the server is Switch's."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)

    @property
    def version(self) -> str:
        """The version that answers."""
        return self._served.version

    @property
    def in_flight(self) -> int:
        """Requests to predict that are not answered yet."""
        return self.running.in_flight

    def close(self) -> None:
        """End the threads; no request may be in flight."""
        self.running.close()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        handler = self._predictions.get(path)
        if handler is not None and method == "POST":
            started = time.perf_counter()
            try:
                answer = await self._guarded(handler, scope, receive)
            except _DisconnectedError:
                return
            seconds = time.perf_counter() - started
            self.running.observe(answer.status, seconds, answer.rows)
        else:
            answer = self._page(path, method)
        await self.reply(answer, send)

    def _page(self, path: str, method: str) -> Answer:
        if path in self._predictions:
            return not_allowed(path, "POST")
        page = self._pages.get(path)
        if page is None:
            return error_answer(404, self._unknown(path))
        return page() if method in ("GET", "HEAD") else not_allowed(path, "GET")

    def _unknown(self, path: str) -> str:
        served = self._served
        if path.startswith("/v2/models/"):
            return (
                f"{path[:200]} is not here: this deployment serves the model "
                f"{served.name!r} in version {served.version}"
            )
        return f"there is no {path[:200]} here; /docs lists what there is"

    async def reply(self, answer: Answer, send: Send) -> None:
        """Send an answer, and ask the client to leave if this one drains."""
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        if self.draining:
            headers.append((b"connection", b"close"))
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _guarded(
        self,
        handler: Callable[[Body], Awaitable[Answer]],
        scope: Scope,
        receive: Receive,
    ) -> Answer:
        chunks: list[bytes] = []
        try:
            with self.running.taken():
                headers = dict(scope["headers"])
                refused = await self._receive_body(headers, receive, chunks)
                return refused or await handler(_body(chunks, headers))
        except BadRequestError as err:
            return error_answer(400, err.message)
        except RefusedRowsError as err:
            return _noted(400, self.running.note_refused_rows(err))
        except QueueFullError:
            return overloaded()
        except _DisconnectedError:
            raise
        except Exception:  # noqa: B902 - the model's own; the replica lives on
            return _noted(500, self.running.note_failure())
        finally:
            self._held_bytes -= sum(map(len, chunks))

    async def _receive_body(
        self, headers: dict[bytes, bytes], receive: Receive, chunks: list[bytes]
    ) -> Answer | None:
        """Put the body into ``chunks``, or say why it is not taken."""
        refused = _check_headers(headers, self._limits.max_body_bytes)
        if refused is not None:
            return refused
        seconds = self._limits.max_body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._collect(receive, chunks)
        except TimeoutError:
            return too_slow(seconds)

    async def _collect(self, receive: Receive, chunks: list[bytes]) -> Answer | None:
        limit = self._limits.max_body_bytes
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            self._held_bytes += len(chunks[-1])
            if size > limit:
                return too_large(limit)
            if self._held_bytes > limit * _LARGEST_BODIES_HELD:
                return overloaded()
            if not message.get("more_body", False):
                return None

    async def _infer(self, body: Body) -> Answer:
        def read(served: ServedModel) -> tuple[InferRequest, Inputs, int]:
            parsed, part = split_body(body.content, body.json_bytes)
            request = parse_infer(parsed, served.signature, part)
            return request, request.inputs, request.rows

        def write(
            served: ServedModel,
            request: InferRequest,
            prediction: Prediction,
            rows: int,
        ) -> Answer:
            tensors = encode_answer(
                request, prediction, model_name=served.name, version=served.version
            )
            return _tensors(*tensors, rows)

        return await self.running.predict(
            len(body.content), read, write, lambda asked: asked.id or body.request_id
        )

    async def _predict_records(self, body: Body) -> Answer:
        if body.json_bytes is not None:
            raise BadRequestError("body", "records are JSON; send tensors to /v2")

        def read(served: ServedModel) -> tuple[None, Inputs, int]:
            return None, *served.records.read(parse_body(body.content))

        def write(
            served: ServedModel, _: None, prediction: Prediction, rows: int
        ) -> Answer:
            predictions = encode_predictions(
                prediction, model_name=served.name, version=served.version
            )
            return json_answer(200, predictions, rows)

        return await self.running.predict(
            len(body.content), read, write, lambda _: body.request_id
        )

    def _metrics_page(self) -> Answer:
        served = self._served
        text = prometheus_text(
            self.running.metrics.totals(),
            deployment=served.deployment,
            model=served.name,
            version=served.version,
        )
        return Answer(200, text.encode(), b"text/plain; version=0.0.4; charset=utf-8")


def _noted(status: int, noted: tuple[str, str]) -> Answer:
    """A failure with the id that it has in the log."""
    failure, sentence = noted
    return error_answer(status, sentence, ((b"x-failure-id", failure.encode()),))


def _same(answer: Answer) -> Answer:
    return answer


def _check_headers(headers: dict[bytes, bytes], limit: int) -> Answer | None:
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        return error_answer(400, "content-encoding: send the body uncompressed")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        return too_large(limit)
    return None


def _body(chunks: list[bytes], headers: dict[bytes, bytes]) -> Body:
    named = headers.get(b"x-request-id")
    request_id = named[:_LONGEST_ID].decode("latin-1") if named else None
    return Body(b"".join(chunks), _json_bytes(headers), request_id)


def _json_bytes(headers: dict[bytes, bytes]) -> int | None:
    """Length of the JSON if tensors follow it as bytes."""
    text = headers.get(_JSON_LENGTH)
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise BadRequestError(_JSON_LENGTH.decode(), "is not a number of bytes")
    return int(text)


def _tensors(answer: dict[str, Any], chunk: bytes, rows: int) -> Answer:
    """The answer with tensors: JSON, and bytes after it if there are any."""
    if not chunk:
        return json_answer(200, answer, rows)
    head = as_json(answer)
    length = ((_JSON_LENGTH, str(len(head)).encode()),)
    return Answer(200, head + chunk, b"application/octet-stream", length, rows)
