"""A served version as it is asked, whatever the protocol: limits, batches, counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from brixa_flows.deployment.batching import BatchQueue, QueueFullError
from brixa_flows.deployment.limits import Limits
from brixa_flows.deployment.metrics import MetricsFile
from brixa_flows.deployment.request_log import RequestLog
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.serializers.base import Prediction

__all__ = ["RunningModel"]

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")

_LARGE_BODY_BYTES = 128 * 1024
_LARGE_ROWS = 1000
_PARSING_THREADS = 2

logger = logging.getLogger(__name__)


class RunningModel:
    """Predicts for requests that a protocol reads and whose answers it writes.

    Lives on one event loop.

    Args:
        served: The model.
        limits: How much is taken at once.
        metrics: Counters shared with the other replicas.
        slot: The slot of this replica among them.
        log: Keeps what is asked and answered, if anybody wants that.
    """

    def __init__(
        self,
        served: ServedModel,
        limits: Limits,
        metrics: MetricsFile,
        slot: int,
        log: RequestLog | None = None,
    ) -> None:
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
        read: Callable[[], tuple[_Request, Inputs, int]],
        write: Callable[[_Request, Prediction, int], _Result],
        id_of: Callable[[_Request], str | None] = lambda _: None,
    ) -> _Result:
        """Predict one request; large ones are read and written in a thread.

        Args:
            size_bytes: Of the request.
            read: Gives the request, what the model is to get, and the number of rows.
            write: Makes an answer of the request, the prediction and the rows.
            id_of: What the caller calls the request, for the request log.

        Raises:
            BadRequestError: If the request can't be answered.
            QueueFullError: If too many wait already.
            Exception: Whatever the model raises for these inputs.
        """
        started = time.perf_counter()
        request, inputs, rows = await self._aside(size_bytes > _LARGE_BODY_BYTES, read)
        answered = await self._queue.predict(inputs, rows)
        prediction = answered.prediction
        answer = await self._aside(
            rows > _LARGE_ROWS, lambda: write(request, prediction, rows)
        )
        if self._log is not None:
            self._log.offer(
                self.served,
                inputs,
                answered,
                rows,
                latency_seconds=time.perf_counter() - started,
                request_id=id_of(request),
            )
        return answer

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
        failure = uuid.uuid4().hex[:12]
        served = self.served
        logger.exception("prediction %s of %s failed", failure, served.name)
        return failure, (
            f"{served.name} {served.version} raised an error; it is in the log of the "
            f"deployment {served.deployment!r} under {failure}"
        )
