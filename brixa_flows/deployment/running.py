"""A served version as it is asked, whatever the protocol: limits, batches, counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from brixa_flows.deployment.batching import (
    Answered,
    BatchQueue,
    ModelError,
    QueueFullError,
)
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.request_log import RequestLog
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.errors import BadRequestError, DatasetError
from brixa_flows.serializers.base import Prediction

__all__ = ["Read", "RefusedRowsError", "RunningModel", "Write"]

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")

Read: TypeAlias = Callable[[ServedModel], tuple[_Request, Inputs, int]]
Write: TypeAlias = Callable[[ServedModel, _Request, Prediction, int], _Result]

_LARGE_BODY_BYTES = 128 * 1024
_LARGE_ROWS = 1000
_PARSING_THREADS = 2

logger = logging.getLogger(__name__)


class RefusedRowsError(Exception):
    """A model that says itself what it takes, as it has no schema, refused rows."""


class _Done(NamedTuple, Generic[_Request, _Result]):
    """A request, what the model got and gave, and the answer."""

    request: _Request
    inputs: Inputs
    rows: int
    answered: Answered
    answer: _Result


class RunningModel:
    """Predicts for requests that a protocol reads and whose answers it writes.

    Lives on one event loop.

    Args:
        served: The model.
        limits: How much is taken at once.
        metrics: Counters shared with the other replicas.
        slot: The slot of this replica among them.
        log: Keeps what is asked and answered, if anybody wants that.

    Attributes:
        stable: The version served, if this one is tried on a share of its requests.
    """

    def __init__(
        self,
        served: ServedModel,
        limits: Limits,
        metrics: MetricsFile,
        slot: int,
        log: RequestLog | None = None,
    ) -> None:
        self.stable: RunningModel | None = None
        self.served = served
        self.limits = limits
        self.in_flight = 0
        self.metrics = metrics
        self._slot = slot
        self._log = log
        self._queue = BatchQueue(
            served.predict,
            max_batch_rows=limits.max_batch_rows,
            max_waiting=limits.max_waiting,
        )
        self._parsing = ThreadPoolExecutor(_PARSING_THREADS, thread_name_prefix="parse")

    def close(self) -> None:
        """End the threads; no request may be in flight."""
        self._queue.close()
        self._parsing.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Count a request as in flight.

        Raises:
            QueueFullError: If too many are.
        """
        if self.in_flight >= self.limits.max_waiting:
            raise QueueFullError
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def predict(
        self,
        size_bytes: int,
        read: Read[_Request],
        write: Write[_Request, _Result],
        id_of: Callable[[_Request], str | None] = lambda _: None,
    ) -> _Result:
        """Predict one request; large ones are read and written in a thread.

        Args:
            size_bytes: Of the request.
            read: Gives the request as a model takes it, what that is to get, and the
                number of rows.
            write: Makes an answer of the model, the request, the prediction and the rows.
            id_of: What the caller calls the request, for the request log.

        Raises:
            BadRequestError: If the request can't be answered.
            RefusedRowsError: If a model without schema refuses the rows.
            QueueFullError: If too many wait already.
            ModelError: If the model raises, or this one is tried and refuses what the
                version served answers.
        """
        started = time.perf_counter()
        try:
            done = await self._done(size_bytes, read, write)
        except (BadRequestError, RefusedRowsError) as err:
            stable = self.stable
            if stable is None or not await stable._would_answer(
                size_bytes, read, write
            ):
                raise
            raise ModelError(
                f"{self.served.version} refused what {stable.served.version} answers"
            ) from err
        if self._log is not None:
            self._log.offer(
                self.served,
                done.inputs,
                done.answered,
                done.rows,
                latency_seconds=time.perf_counter() - started,
                request_id=id_of(done.request),
            )
        return done.answer

    async def _done(
        self, size_bytes: int, read: Read[_Request], write: Write[_Request, _Result]
    ) -> _Done[_Request, _Result]:
        served = self.served
        request, inputs, rows = await self._aside(
            size_bytes > _LARGE_BODY_BYTES, lambda: read(served)
        )
        try:
            answered = await self._queue.predict(inputs, rows)
        except ModelError as err:
            refused = err.__cause__
            if served.signature.schema is None and isinstance(refused, DatasetError):
                raise RefusedRowsError(refused.message) from err
            raise
        answer = await self._aside(
            rows > _LARGE_ROWS,
            lambda: write(served, request, answered.prediction, rows),
        )
        return _Done(request, inputs, rows, answered, answer)

    async def _would_answer(
        self, size_bytes: int, read: Read[_Request], write: Write[_Request, _Result]
    ) -> bool:
        try:
            await self._done(size_bytes, read, write)
        except Exception:  # noqa: B902 - told by the other version, which was asked
            return False
        return True

    async def _aside(self, large: bool, work: Callable[[], _Result]) -> _Result:
        """Do large work in a thread, so that health checks are answered meanwhile."""
        if not large:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._parsing, work)

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """Count one request to predict, by the HTTP status that says how it went."""
        self.metrics.observe(self._slot, status, seconds, rows)
        if logger.isEnabledFor(logging.DEBUG):
            version = self.served.version
            told = "%s answered %d for %d rows in %.1f ms"
            logger.debug(told, version, status, rows, 1000 * seconds)

    def note_refusal(self) -> None:
        """Count a request of somebody without a key."""
        self.metrics.refuse(self._slot)

    def note_failure(self) -> tuple[str, str]:
        """Log the exception that is handled right now.

        Returns:
            An id that stands in the log, and a sentence for the caller.
        """
        failure, served = uuid.uuid4().hex[:12], self.served
        logger.exception("prediction %s of %s failed", failure, served.name)
        return failure, f"{served.name} {served.version} failed; {self._where(failure)}"

    def note_refused_rows(self, err: RefusedRowsError) -> tuple[str, str]:
        """Log what a model without schema refused.

        Returns:
            An id that stands in the log, and a sentence for the caller.
        """
        failure, name = uuid.uuid4().hex[:12], self.served.name
        logger.warning("prediction %s of %s was refused: %s", failure, name, err)
        return failure, f"{err} ({self._where(failure)})"

    def _where(self, failure: str) -> str:
        deployment = self.served.deployment
        return f"it is in the log of the deployment {deployment!r} under {failure}"
