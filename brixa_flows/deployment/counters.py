"""Counters that all replicas write and anybody reads, in a small memory-mapped file."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.metrics import SLOTS

__all__ = ["CounterFile"]


class CounterFile:
    """Named numbers, a row of them a replica.

    Args:
        path: The file; made if it is not there.
        fields: What is counted; the order is that of the file.
    """

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        self._fields = fields
        size = SLOTS * len(fields) * 8
        with path.open("a+b") as file:
            if file.seek(0, 2) < size:
                file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        # A number of it is changed in a third of the time that numpy needs.
        self._cells = memoryview(self._map).cast("d")
        self._all: NDArray[np.float64] = np.frombuffer(self._map, dtype="<f8").reshape(
            SLOTS, len(fields)
        )

    def add(self, slot: int, **facts: float) -> None:
        """Add to the counters of one replica; each counter has one writing thread."""
        first = slot * len(self._fields)
        for name, value in facts.items():
            self._cells[first + self._fields.index(name)] += value

    def of(self, slot: int) -> dict[str, float]:
        """Those of one replica, by name."""
        return dict(zip(self._fields, self._all[slot].tolist(), strict=True))

    def totals(self) -> dict[str, float]:
        """Sums over all replicas, by name."""
        return dict(zip(self._fields, self._all.sum(axis=0).tolist(), strict=True))
