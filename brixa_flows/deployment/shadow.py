"""A version that predicts a copy of what another one predicts, and answers nobody.

The copy is made behind the protocol, so it is the same for REST and gRPC, and both
predict the same batch: their times and answers can be compared row by row.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.batching import check_answers
from brixa_flows.deployment.counters import CounterFile
from brixa_flows.deployment.signature import Inputs
from brixa_flows.serializers.base import Prediction

__all__ = ["Mirror", "Shadow", "canary_files", "comparison_file"]

logger = logging.getLogger(__name__)

_FIELDS = ("rows", "equal", "failed", "dropped", "main_seconds", "shadow_seconds")
_WAITING_BATCHES = 64
_RELATIVE_TOLERANCE = 1e-5


def canary_files(folder: Path, id: str) -> tuple[Path, Path]:
    """Where a canary's requests are counted, and what its shadow compared."""
    return folder / f"canary-{id}.requests", folder / f"canary-{id}.shadow"


def comparison_file(path: Path) -> CounterFile:
    """What all replicas compared."""
    return CounterFile(path, _FIELDS)


class Mirror:
    """Predicts, and offers what it did to a shadow, if there is one.

    Args:
        predict: Predicts a batch.

    Attributes:
        shadow: Is offered each batch.
    """

    def __init__(self, predict: Callable[[Inputs], Prediction]) -> None:
        self.shadow: Shadow | None = None
        self._predict = predict
        # A shadow and a request that names its version may ask at the same time.
        self._one_at_a_time = threading.Lock()

    def __call__(self, inputs: Inputs) -> Prediction:
        """Predict one batch.

        Raises:
            ModelError: If not each row is answered; else what the model raises.
        """
        with self._one_at_a_time:
            started = time.perf_counter()
            prediction = self._predict(inputs)
        check_answers(inputs, prediction)
        shadow = self.shadow
        if shadow is not None:
            shadow.offer(inputs, prediction, time.perf_counter() - started)
        return prediction


class Shadow:
    """Predicts offered batches in a thread of its own; drops what it can't keep up with.

    Args:
        predict: Of the version that is tried.
        columns: Names that it takes, in its order; ``None`` for one unnamed tensor.
        comparison: Where results are counted.
        slot: Of this replica there.
    """

    def __init__(
        self,
        predict: Callable[[Inputs], Prediction],
        columns: tuple[str, ...] | None,
        comparison: CounterFile,
        slot: int,
    ) -> None:
        self._predict = predict
        self._columns = columns
        self._comparison = comparison
        self._slot = slot
        self._told: set[str] = set()
        self._offered: queue.Queue[tuple[Inputs, Prediction, float] | None] = (
            queue.Queue(_WAITING_BATCHES)
        )
        threading.Thread(target=self._follow, name="shadow", daemon=True).start()

    def offer(self, inputs: Inputs, answered: Prediction, seconds: float) -> None:
        """Take a batch that was answered, or drop it; never waits."""
        try:
            self._offered.put_nowait((inputs, answered, seconds))
        except queue.Full:
            self._comparison.add(self._slot, dropped=len(answered.values))

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._offered.get_nowait()
        self._offered.put_nowait(None)

    def _follow(self) -> None:
        while (offered := self._offered.get()) is not None:
            self._compare(*offered)

    def _compare(self, inputs: Inputs, answered: Prediction, seconds: float) -> None:
        rows = len(answered.values)
        started = time.perf_counter()
        try:
            mine = self._predict(self._chosen(inputs))
        except BaseException as err:  # noqa: B036 - the model's own; counted and logged
            self._comparison.add(self._slot, failed=rows)
            self._tell_once(err)
            return
        self._comparison.add(
            self._slot,
            rows=rows,
            equal=_equal_rows(answered.values, mine.values),
            main_seconds=seconds,
            shadow_seconds=time.perf_counter() - started,
        )

    def _chosen(self, inputs: Inputs) -> Inputs:
        if not isinstance(inputs, dict) or self._columns is None:
            return inputs
        return {name: inputs[name] for name in self._columns}

    def _tell_once(self, err: BaseException) -> None:
        sentence = f"{type(err).__name__}: {err}"
        if sentence not in self._told and len(self._told) < _WAITING_BATCHES:
            self._told.add(sentence)
            logger.warning("the shadow failed where the other did not: %s", sentence)


def _equal_rows(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Rows with the same label, or numbers that differ by rounding alone."""
    if np.shape(one) != np.shape(other):
        return 0
    if one.dtype.kind == "f" or other.dtype.kind == "f":
        same = np.isclose(one, other, rtol=_RELATIVE_TOLERANCE, equal_nan=True)
    else:
        same = np.asarray(one == other)
    return int(same.reshape(len(one), -1).all(axis=1).sum()) if len(one) else 0
