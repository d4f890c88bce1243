"""Adaptive micro-batching: requests that arrive while the model is busy go together.

The model is called by one thread, one batch at a time. A request that finds it idle is
predicted at once and alone, so a single client never waits for others; requests that
come meanwhile are merged, up to ``max_batch_rows`` rows. A single request of more rows
is predicted whole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from brixa_flows.deployment.signature import Inputs
from brixa_flows.serializers.base import Prediction

__all__ = ["Answered", "Batch", "BatchQueue", "QueueFullError"]


class QueueFullError(Exception):
    """More requests wait than the queue holds; the caller should come back later."""


class Batch(NamedTuple):
    """What the model was called with at once, and what it gave.

    Attributes:
        inputs: Of all rows.
        prediction: Of all rows.
    """

    inputs: Inputs
    prediction: Prediction


class Answered(NamedTuple):
    """What the model gave for one request.

    Attributes:
        prediction: Its own.
        batch: That it was part of.
        first: The first of its rows there.
    """

    prediction: Prediction
    batch: Batch
    first: int


@dataclass
class _Waiting:
    inputs: Inputs
    rows: int
    future: asyncio.Future[Answered] = field(repr=False)

    def shape(self) -> object:
        """Requests of the same shape may be merged."""
        if isinstance(self.inputs, dict):
            return tuple((name, a.dtype) for name, a in self.inputs.items())
        return (self.inputs.dtype, self.inputs.shape[1:])


class BatchQueue:
    """Feeds one model; lives on one event loop.

    Args:
        predict: Called in the model's own thread with inputs of ``rows`` rows.
        max_batch_rows: Rows that requests are merged up to; 1 merges nothing.
        max_waiting: Requests that may wait.
    """

    def __init__(
        self,
        predict: Callable[[Inputs], Prediction],
        *,
        max_batch_rows: int,
        max_waiting: int,
    ) -> None:
        self._predict = predict
        self._max_batch_rows = max_batch_rows
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def predict(self, inputs: Inputs, rows: int) -> Answered:
        """Predict, alone or together with others.

        Raises:
            QueueFullError: If too many wait already.
            Exception: Whatever the model raises for these inputs alone.
        """
        if len(self._waiting) >= self._max_waiting:
            raise QueueFullError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._start_next()
        return await waiting.future

    def close(self) -> None:
        """End the model's thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _start_next(self) -> None:
        batch = self._take()
        self._busy = bool(batch)
        if batch:
            running = asyncio.get_running_loop().run_in_executor(
                self._thread, self._run, batch
            )
            running.add_done_callback(lambda done: self._finish(batch, done))

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            fits = rows + first.rows <= self._max_batch_rows
            if batch and not (fits and first.shape() == batch[0].shape()):
                break
            self._waiting.popleft()
            if not first.future.cancelled():
                batch.append(first)
                rows += first.rows
        return batch

    def _run(self, batch: list[_Waiting]) -> list[Answered | Exception]:
        if len(batch) == 1:
            return [self._one(batch[0])]
        try:
            inputs = _merge([waiting.inputs for waiting in batch])
            merged = Batch(inputs, self._predict(inputs))
            return list(_split(merged, [waiting.rows for waiting in batch]))
        except Exception:  # noqa: B902 - one of them is to blame: ask each alone
            return [self._one(waiting) for waiting in batch]

    def _one(self, waiting: _Waiting) -> Answered | Exception:
        try:
            prediction = self._predict(waiting.inputs)
            return Answered(prediction, Batch(waiting.inputs, prediction), 0)
        except Exception as err:  # noqa: B902 - handed to the request that caused it
            return err

    def _finish(
        self,
        batch: list[_Waiting],
        done: asyncio.Future[list[Answered | Exception]],
    ) -> None:
        failed = None if done.cancelled() else done.exception()
        if done.cancelled() or failed is not None:
            results: list[Answered | BaseException] = [
                failed or asyncio.CancelledError()
            ] * len(batch)
        else:
            results = list(done.result())
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, BaseException):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)
        self._start_next()


def _merge(inputs: list[Inputs]) -> Inputs:
    columns = [part for part in inputs if isinstance(part, dict)]
    if not columns:
        return np.concatenate([part for part in inputs if not isinstance(part, dict)])
    return {
        name: np.concatenate([part[name] for part in columns]) for name in columns[0]
    }


def _split(batch: Batch, rows: list[int]) -> list[Answered]:
    merged = batch.prediction
    if len(merged.values) != sum(rows):
        raise ValueError(
            f"the model answered {len(merged.values)} values for {sum(rows)} rows"
        )
    answers, first = [], 0
    for count in rows:
        own = slice(first, first + count)
        scores = None if merged.scores is None else merged.scores[own]
        prediction = Prediction(merged.values[own], scores, merged.classes)
        answers.append(Answered(prediction, batch, first))
        first += count
    return answers
