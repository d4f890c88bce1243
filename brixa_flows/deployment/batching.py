"""Adaptive micro-batching: requests that arrive while the model is busy go together.

The model is called by one thread, one batch at a time. Requests that come meanwhile are
merged, up to ``max_batch_rows`` rows. A single request of more rows is predicted whole.

Clients that were answered together ask again one after the other. Who starts with the
first of them would predict it alone, for the price of all; so a batch waits for as many
rows as were there at the end of the last one, while they keep coming, and for half of the
last one's time at most. A single client finds all rows there with its own, and waits for
nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from brixa_flows.deployment.signature import Inputs
from brixa_flows.serializers.base import Prediction

__all__ = [
    "Answered",
    "Batch",
    "BatchQueue",
    "ModelError",
    "QueueFullError",
    "check_answers",
]


_WAITED_SHARE = 0.5
# A loop's timers know milliseconds; below, its next rounds are waited for, but not for long.
_TIMER_SECONDS = 0.001
_ROUNDS_SECONDS = 0.0002


class QueueFullError(Exception):
    """More requests wait than the queue holds; the caller should come back later."""


class ModelError(Exception):
    """A model that raised in place of answers; its cause is what it raised."""


def check_answers(inputs: Inputs, prediction: Prediction) -> None:
    """Return if there is an answer to each row.

    Raises:
        ModelError: If not.
    """
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    for given in (prediction.values, prediction.scores):
        if given is None or (np.ndim(given) and len(given) == len(first)):
            continue
        told = f"{len(given)} values" if np.ndim(given) else "no list"
        raise ModelError(f"the model answered {told} for {len(first)} rows")


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
        self._waiting_rows = 0
        self._busy = False
        self._starting: asyncio.Handle | None = None
        self._on_timer = False
        # Of the last batch: rows in it and behind it at its end, and how long it took.
        self._rows_before = 0
        self._seconds_before = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def predict(self, inputs: Inputs, rows: int) -> Answered:
        """Predict, alone or together with others.

        Raises:
            QueueFullError: If too many wait already.
            ModelError: If the model raises for these inputs alone, or does not answer
                each row.
        """
        if len(self._waiting) >= self._max_waiting:
            raise QueueFullError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows, loop.create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        self._consider()
        return await waiting.future

    def close(self) -> None:
        """End the model's thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _consider(self) -> None:
        """Have the next batch started: now, when enough rows are there, or later."""
        if self._busy or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._starting is None:
            # What else arrived in this round of the loop comes along.
            deadline = time.monotonic() + self._patience()
            self._starting = loop.call_soon(self._await_others, deadline, 0)
        elif self._on_timer and self._is_enough():
            self._starting.cancel()
            self._on_timer = False
            self._starting = loop.call_soon(self._start_next)

    def _patience(self) -> float:
        seconds = _WAITED_SHARE * self._seconds_before
        return seconds if seconds >= _TIMER_SECONDS else min(seconds, _ROUNDS_SECONDS)

    def _is_enough(self) -> bool:
        wanted = min(self._rows_before, self._max_batch_rows)
        return self._waiting_rows >= wanted

    def _await_others(self, deadline: float, rows_seen: int) -> None:
        left = deadline - time.monotonic()
        rows, loop = self._waiting_rows, asyncio.get_running_loop()
        nobody_came = self._on_timer and rows == rows_seen
        if self._is_enough() or left <= 0 or nobody_came:
            self._start_next()
        elif left > _ROUNDS_SECONDS:
            self._on_timer = True
            pause = max(_TIMER_SECONDS, self._patience() / 5)
            self._starting = loop.call_later(pause, self._await_others, deadline, rows)
        else:
            self._starting = loop.call_soon(self._await_others, deadline, rows)

    def _start_next(self) -> None:
        self._starting, self._on_timer = None, False
        batch = self._take()
        self._busy = bool(batch)
        if batch:
            began = time.monotonic()
            running = asyncio.get_running_loop().run_in_executor(
                self._thread, self._run, batch
            )
            running.add_done_callback(lambda done: self._finish(batch, began, done))

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            fits = rows + first.rows <= self._max_batch_rows
            if batch and not (fits and first.shape() == batch[0].shape()):
                break
            self._waiting.popleft()
            self._waiting_rows -= first.rows
            if not first.future.cancelled():
                batch.append(first)
                rows += first.rows
        return batch

    def _run(self, batch: list[_Waiting]) -> list[Answered | ModelError]:
        if len(batch) == 1:
            return [self._one(batch[0])]
        try:
            merged = self._ask(_merge([waiting.inputs for waiting in batch]))
            return list(_split(merged, [waiting.rows for waiting in batch]))
        except ModelError:  # one of them is to blame: ask each alone
            return [self._one(waiting) for waiting in batch]

    def _one(self, waiting: _Waiting) -> Answered | ModelError:
        try:
            batch = self._ask(waiting.inputs)
        except ModelError as err:  # handed to the request that caused it
            return err
        return Answered(batch.prediction, batch, 0)

    def _ask(self, inputs: Inputs) -> Batch:
        try:
            prediction = self._predict(inputs)
            check_answers(inputs, prediction)
        except ModelError:
            raise
        except BaseException as err:  # noqa: B036 - a model that exits ends no replica
            raise ModelError(f"the model raised {type(err).__name__}") from err
        return Batch(inputs, prediction)

    def _finish(
        self,
        batch: list[_Waiting],
        began: float,
        done: asyncio.Future[list[Answered | ModelError]],
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
        self._busy = False
        self._rows_before = sum(each.rows for each in batch) + self._waiting_rows
        self._seconds_before = time.monotonic() - began
        self._consider()


def _merge(inputs: list[Inputs]) -> Inputs:
    columns = [part for part in inputs if isinstance(part, dict)]
    if not columns:
        return np.concatenate([part for part in inputs if not isinstance(part, dict)])
    return {
        name: np.concatenate([part[name] for part in columns]) for name in columns[0]
    }


def _split(batch: Batch, rows: list[int]) -> list[Answered]:
    merged = batch.prediction
    answers, first = [], 0
    for count in rows:
        own = slice(first, first + count)
        scores = None if merged.scores is None else merged.scores[own]
        prediction = Prediction(merged.values[own], scores, merged.classes)
        answers.append(Answered(prediction, batch, first))
        first += count
    return answers
