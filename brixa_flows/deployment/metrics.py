"""Counters of all replicas of a deployment, in one small memory-mapped file.

Every replica writes its own slot and reads all, so ``/metrics`` says the same whichever
replica answers. A slot outlives the process that wrote it: counters never go back when
a replica is restarted. Numbers are little-endian doubles; a slot has one writer.
"""

from __future__ import annotations

import json
import math
import mmap
from bisect import bisect_left
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BUCKETS_SECONDS",
    "CODES",
    "SLOTS",
    "CopiedMetrics",
    "MetricsFile",
    "quantile_seconds",
    "since",
]

SLOTS = 160
CODES = (200, 400, 404, 408, 413, 500, 503)
BUCKETS_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05),
    *(0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_ROWS = len(CODES)
_SECONDS = _ROWS + 1
_BUCKETS = _SECONDS + 1
_WIDTH = 32
# At the end, so that replicas of a newer release count where an older supervisor reads.
_REFUSED = _WIDTH - 1
_LONGEST = _REFUSED - 1
assert _BUCKETS + len(BUCKETS_SECONDS) + 1 <= _LONGEST


class MetricsFile:
    """The counters.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        size = SLOTS * _WIDTH * 8
        with path.open("a+b") as file:
            if file.seek(0, 2) < size:
                file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._all: NDArray[np.float64] = np.frombuffer(self._map, dtype="<f8").reshape(
            SLOTS, _WIDTH
        )

    def observe(self, slot: int, code: int, seconds: float, rows: int) -> None:
        """Count one request to predict.

        Args:
            slot: The replica's own.
            code: HTTP status of the answer.
            seconds: Time to answer.
            rows: Rows predicted.
        """
        mine = self._all[slot]
        mine[CODES.index(code)] += 1
        mine[_ROWS] += rows
        mine[_SECONDS] += seconds
        mine[_BUCKETS + bisect_left(BUCKETS_SECONDS, seconds)] += 1
        mine[_LONGEST] = max(mine[_LONGEST], seconds)

    def refuse(self, slot: int) -> None:
        """Count one request of somebody without a key; nothing was measured."""
        self._all[slot, _REFUSED] += 1

    def totals(self) -> NDArray[np.float64]:
        """Sums over all replicas, of shape (32,); see the functions below."""
        totals: NDArray[np.float64] = self._all.sum(axis=0)
        totals[_LONGEST] = self._all[:, _LONGEST].max()
        return totals

    def close(self) -> None:
        """Let go of the file."""
        del self._all
        self._map.close()


class CopiedMetrics(MetricsFile):
    """Counters of one version, counted a second time while it is a canary.

    Args:
        path: The file of the deployment.

    Attributes:
        copy: Of the canary.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.copy: MetricsFile | None = None

    def observe(self, slot: int, code: int, seconds: float, rows: int) -> None:
        """Count one request to predict (see ``MetricsFile``)."""
        super().observe(slot, code, seconds, rows)
        if self.copy is not None:
            self.copy.observe(slot, code, seconds, rows)


def since(
    before: NDArray[np.float64], totals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What was counted between two looks at the totals; the longest time is of all."""
    recent = totals - before
    recent[_LONGEST] = totals[_LONGEST]
    return recent


def requests_of(totals: NDArray[np.float64]) -> int:
    """Requests to predict that were answered."""
    return int(totals[: len(CODES)].sum())


def errors_of(totals: NDArray[np.float64]) -> int:
    """Those that failed by our fault."""
    return int(sum(totals[place] for place, code in enumerate(CODES) if code >= 500))


def quantile_seconds(totals: NDArray[np.float64], share: float) -> float | None:
    """Time within which ``share`` of the requests were answered, interpolated.

    No longer than the longest of all, so that few slow ones are not told as slower.

    Args:
        totals: Of :meth:`MetricsFile.totals` or :func:`since`.
        share: 0 to 1.

    Returns:
        Seconds, ``None`` if there were no requests.
    """
    counts = totals[_BUCKETS : _BUCKETS + len(BUCKETS_SECONDS) + 1]
    total = counts.sum()
    if total <= 0:
        return None
    cumulative = np.cumsum(counts)
    place = int(np.searchsorted(cumulative, share * total))
    place = min(place, len(BUCKETS_SECONDS))
    longest = (
        float(totals[_LONGEST]) or math.inf
    )  # that of an older release is not told
    high = min(longest, (*BUCKETS_SECONDS, longest)[place])
    low = BUCKETS_SECONDS[place - 1] if place else 0.0
    before = cumulative[place - 1] if place else 0.0
    inside = counts[place]
    part = min(1.0, (share * total - before) / inside) if inside > 0 else 1.0
    if not low < high < math.inf:
        return float(low)
    return float(low + (high - low) * part)


def prometheus_text(
    totals: NDArray[np.float64], *, deployment: str, model: str, version: str
) -> str:
    """The counters in Prometheus' text format."""
    common = {"deployment": deployment}
    info = _labels({**common, "model": model, "version": version})
    lines = [
        "# HELP brixa_model_info The model that is served.",
        "# TYPE brixa_model_info gauge",
        f"brixa_model_info{info} 1",
        "# HELP brixa_requests_total Requests to predict by HTTP status, and any 401.",
        "# TYPE brixa_requests_total counter",
    ]
    for place, code in (*enumerate(CODES), (_REFUSED, 401)):
        labels = _labels({**common, "code": str(code)})
        lines.append(f"brixa_requests_total{labels} {int(totals[place])}")
    lines += [
        "# HELP brixa_rows_total Rows predicted.",
        "# TYPE brixa_rows_total counter",
        f"brixa_rows_total{_labels(common)} {int(totals[_ROWS])}",
        "# HELP brixa_request_duration_seconds Time to answer a request to predict.",
        "# TYPE brixa_request_duration_seconds histogram",
    ]
    name = "brixa_request_duration_seconds"
    count = 0
    for place, bound in enumerate((*BUCKETS_SECONDS, "+Inf")):
        count += int(totals[_BUCKETS + place])
        labels = _labels({**common, "le": str(bound)})
        lines.append(f"{name}_bucket{labels} {count}")
    lines.append(f"{name}_sum{_labels(common)} {float(totals[_SECONDS])!r}")
    lines.append(f"{name}_count{_labels(common)} {count}")
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    """Labels in braces; a JSON string is quoted as Prometheus wants it."""
    return "{" + ",".join(f"{k}={json.dumps(v)}" for k, v in labels.items()) + "}"
