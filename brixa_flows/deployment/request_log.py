"""What was asked and answered, kept as Parquet for whoever watches the model.

The event loop hands over what it has anyway and never waits: a thread puts rows together,
and a file appears in the storage when it is whole. What can't be kept up with is dropped
and counted. A replica that is killed loses its open file.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from brixa_flows.deployment.batching import Answered, Batch
from brixa_flows.deployment.counters import CounterFile
from brixa_flows.deployment.quantities import memory_bytes
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.signature import Inputs
from brixa_flows.deployment.values import Value
from brixa_flows.errors import BrixaError
from brixa_flows.plugins import import_adapter
from brixa_flows.storage.base import StorageNode

__all__ = [
    "Logged",
    "RequestLog",
    "RequestLogging",
    "log_counters",
    "requests_prefix",
]

_FIELDS = ("accepted", "written", "dropped", "lost", "files")
_MOST_WAITING_BYTES = 64 * 1024 * 1024
_ENTRY_BYTES = 512
_GATHER_SECONDS = 1.0
_LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class RequestLogging(Value):
    """What is kept of requests to predict, and how much of it."""

    share: float = Field(
        1.0, gt=0, le=1, strict=True, description="Share of the requests that is kept."
    )
    max_size: str = Field(
        "1Gi", description="All files; the oldest ones make room: '1Gi', '500M', bytes."
    )
    max_file_size: str = Field("16Mi", description="One file, about.")
    max_file_seconds: float = Field(
        300.0,
        ge=1,
        le=86400,
        strict=True,
        description="How long a file is open, at most.",
    )

    @field_validator("max_size", "max_file_size", mode="before")
    @classmethod
    def _check_size(cls, value: object) -> str:
        text = str(value).strip()
        memory_bytes(text)
        return text


class Logged(NamedTuple):
    """One request, with what was answered.

    Attributes:
        served: The version that answered.
        at_seconds: When, since the epoch.
        latency_seconds: How long it took.
        request_id: The caller's own, if any.
        batch: What the model got and gave, with requests of others if they were kept
            too: whole arrays are put together far faster than many of one row.
        first: The first row of this request there.
        rows: How many.
    """

    served: ServedModel
    at_seconds: float
    latency_seconds: float
    request_id: str | None
    batch: Batch
    first: int
    rows: int


def _form(served: ServedModel, batch: Batch) -> tuple[object, ...]:
    """Batches of the same form can be put together."""
    inputs, given = batch
    columns = inputs if isinstance(inputs, dict) else {"": inputs}
    return (
        served.version,
        tuple((name, a.dtype, a.shape[1:]) for name, a in columns.items()),
        given.values.dtype.kind,
        given.values.shape[1:],
        None if given.scores is None else given.classes or given.scores.shape[1:],
    )


def log_counters(folder: Path) -> CounterFile:
    """How many rows of a deployment were kept, and how many were not."""
    return CounterFile(folder / "requests.bin", _FIELDS)


def requests_prefix(registry_path: str, deployment: str) -> str:
    """Directory key of what is kept of a deployment's requests."""
    return f"{registry_path}/_meta/requests/{deployment}"


class RequestLog:
    """Keeps requests of one replica.

    Args:
        storage: Where files go.
        prefix: Directory key of them.
        rules: How many requests, and how much room.
        counters: Shared with the other replicas.
        slot: Of this replica there.
    """

    def __init__(
        self,
        storage: StorageNode,
        prefix: str,
        rules: RequestLogging,
        counters: CounterFile,
        slot: int,
    ) -> None:
        self._adapter = import_adapter("brixa_flows.deployment._request_files")
        self._share = rules.share
        self._rules = rules
        self._counters = counters
        self._slot = slot
        self._files = self._adapter.RequestFiles(
            storage,
            prefix,
            name=f"{slot:03d}",
            max_size_bytes=memory_bytes(rules.max_size),
        )
        self._waiting: deque[tuple[Logged, int]] = deque()
        # Each of the two has one writing thread, so neither needs a lock.
        self._offered_bytes = 0
        self._taken_bytes = 0
        self._told = ""
        self._last_batch: Batch | None = None
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._ended = threading.Event()
        self._count_what_a_killed_one_left()
        self._thread = threading.Thread(
            target=self._follow, name="request-log", daemon=True
        )
        self._thread.start()

    def _count_what_a_killed_one_left(self) -> None:
        seen = self._counters.of(self._slot)
        open_rows = seen["accepted"] - seen["written"] - seen["lost"]
        self._counters.add(self._slot, lost=max(open_rows, 0))

    def offer(
        self,
        served: ServedModel,
        inputs: Inputs,
        answered: Answered,
        rows: int,
        *,
        latency_seconds: float,
        request_id: str | None,
    ) -> None:
        """Take a request, or drop it; never waits. On the event loop alone."""
        if self._share < 1 and random.random() >= self._share:
            return
        prediction, batch, first = answered
        if self._share < 1:  # a batch of which most is not kept would fill the memory
            batch, first = Batch(inputs, prediction), 0
        size = _ENTRY_BYTES
        if batch is not self._last_batch:
            size += _size_of(batch.inputs)
        waiting = self._offered_bytes - self._taken_bytes + size
        if waiting > _MOST_WAITING_BYTES:
            self._counters.add(self._slot, dropped=rows)
            return
        self._last_batch = batch
        entry = Logged(
            served, time.time(), latency_seconds, request_id, batch, first, rows
        )
        self._offered_bytes += size
        self._counters.add(self._slot, accepted=rows)
        self._waiting.append((entry, size))
        if not self._wake.is_set():
            self._wake.set()
        if waiting > _MOST_WAITING_BYTES / 8 and not self._hurry.is_set():
            self._hurry.set()

    def close(self, timeout_seconds: float) -> None:
        """Write what waits and end; what is not written in time is lost."""
        self._ended.set()
        self._wake.set()
        self._hurry.set()
        self._thread.join(timeout_seconds)

    def _follow(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
            # Rows are far cheaper together than one by one, and each call into Arrow lets
            # the event loop and this thread take the interpreter from one another.
            self._hurry.wait(_GATHER_SECONDS)
            self._hurry.clear()
            self._step()
        self._step()
        self._publish(0, 0)

    def _step(self) -> None:
        """Put what waits into open files, and show those that are due."""
        batches: dict[int, list[Logged]] = {}
        while self._waiting:
            entry, size = self._waiting.popleft()
            batches.setdefault(id(entry.batch), []).append(entry)
            self._taken_bytes += size
        alike: dict[tuple[object, ...], list[list[Logged]]] = {}
        for entries in batches.values():
            form = _form(entries[0].served, entries[0].batch)
            alike.setdefault(form, []).append(entries)
        for each in alike.values():
            try:
                self._files.append(each)
            except Exception as err:  # noqa: B902 - of any model's answers; counted
                self._lose(sum(entry.rows for part in each for entry in part), err)
        rules = self._rules
        self._publish(memory_bytes(rules.max_file_size), rules.max_file_seconds)

    def _publish(self, size_bytes: int, age_seconds: float) -> None:
        """Show files that are full or old enough."""
        for part in self._files.due(size_bytes, age_seconds):
            try:
                self._files.publish(part)
            except (BrixaError, OSError) as err:
                self._lose(part.rows, err)
            else:
                self._counters.add(self._slot, written=part.rows, files=1)

    def _lose(self, rows: int, err: Exception) -> None:
        self._counters.add(self._slot, lost=rows)
        sentence = f"{type(err).__name__}: {err}"
        if sentence != self._told:
            self._told = sentence
            logger.error("%d rows of the request log are lost: %s", rows, sentence)


def _size_of(inputs: Inputs | Mapping[str, NDArray[Any]]) -> int:
    if isinstance(inputs, np.ndarray):
        return int(inputs.nbytes)
    return sum(column.nbytes for column in inputs.values())
