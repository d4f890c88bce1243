"""Adapter to pyarrow: rows that wait for their labels."""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64decode, b64encode
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from brixa_flows.drift._arrow_columns import instants, kind_of
from brixa_flows.drift.performance._arrow import read, texts
from brixa_flows.errors import DriftError

__all__ = ["Waiting"]

_KEY = b"brixa_late_labels"
_ID, _TIME = "brixa_row_id", "brixa_row_time"
# So many rows of closed windows are known by eight bytes each, the latest ones.
_MOST_CLOSED = 2_000_000
_DIGEST_BYTES = 8


class Waiting:
    """Predictions and labels, by row id.

    Args:
        id_column: Of each row.
        time_column: Of each prediction.
        columns: That are kept of a prediction.
        target: Column of the labels.
    """

    def __init__(
        self, id_column: str, time_column: str, columns: list[str], target: str
    ) -> None:
        self._names = id_column, time_column
        self._columns = list(dict.fromkeys(columns))
        self._target = target
        self._table: pa.Table | None = None
        self._known: set[str] = set()
        self._labels: dict[str, str | None] = {}
        self._closed: dict[bytes, None] = {}
        self._refused = {"repeated": 0, "too_late": 0, "timeless": 0, "late_labels": 0}

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each sort."""
        return {
            "waiting": len(self._known),
            "unmatched": len(self._labels.keys() - self._known),
            **self._refused,
        }

    @property
    def first(self) -> float | None:
        """Time of the earliest row."""
        if self._table is None or not self._table.num_rows:
            return None
        return float(self._table[_TIME].to_numpy().min())

    def add(self, data: Any, begin: float | None) -> None:
        """Take rows that are new, have an id and a time, and are of no closed window."""
        id_column, time_column = self._names
        columns = read(data, [id_column, time_column, *self._columns])
        ids, times = texts(columns[id_column]), columns[time_column]
        if len(ids) and kind_of(times.type) != "datetime":
            raise DriftError(
                f"{time_column!r} holds {times.type} values; give the dates or times of "
                "the predictions"
            )
        seconds = instants(times) if len(ids) else np.empty(0)
        places = self._new(ids, seconds, -np.inf if begin is None else begin)
        chosen = pa.array(places, pa.int64())
        made = pa.table({name: columns[name] for name in self._columns}).take(chosen)
        made = made.append_column(_ID, pa.array(ids[places], pa.string()))
        made = made.append_column(_TIME, pa.array(seconds[places]))
        parts = [made] if self._table is None else [self._table, made]
        self._table = pa.concat_tables(parts, promote_options="permissive")

    def _new(self, ids: Any, seconds: Any, begin: float) -> list[int]:
        places = []
        for place, (row, second) in enumerate(zip(ids, seconds, strict=True)):
            if row is None or not np.isfinite(second):
                self._refused["timeless"] += 1
            elif second < begin:
                self._refused["too_late"] += 1
            elif row in self._known:
                self._refused["repeated"] += 1
            else:
                self._known.add(row)
                places.append(place)
        return places

    def add_labels(self, data: Any) -> None:
        """The later label of a row counts; one that is missing is none.

        Labels of rows whose window is closed are counted and not kept.
        """
        columns = read(data, [self._names[0], self._target])
        ids, labels = (texts(column) for column in columns.values())
        for row, label in zip(ids, labels, strict=True):
            if row is None or label is None:
                continue
            if row not in self._known and _digest(row) in self._closed:
                self._refused["late_labels"] += 1
            else:
                self._labels[row] = label

    def take(self, end: float) -> tuple[pa.Table, pa.Table]:
        """Rows before ``end``, which wait no longer: all, and those with a label."""
        table = self._table if self._table is not None else self._empty()
        past = table[_TIME].to_numpy() < end
        rows = table.filter(pa.array(past))
        self._table = table.filter(pa.array(~past))
        labels = []
        for row in rows[_ID].to_pylist():
            self._known.discard(row)
            self._closed[_digest(row)] = None
            labels.append(self._labels.pop(row, None))
        for digest in list(self._closed)[:-_MOST_CLOSED]:
            del self._closed[digest]
        labelled = rows.append_column(self._target, pa.array(labels, pa.string()))
        known = np.array([label is not None for label in labels], dtype=bool)
        return rows, labelled.filter(pa.array(known))

    def save(self, path: Path, facts: dict[str, Any]) -> None:
        """Write beside the target, then rename."""
        table = self._table if self._table is not None else self._empty()
        closed = b64encode(b"".join(self._closed)).decode()
        facts = {**facts, "labels": self._labels, "refused": self._refused}
        facts["closed"] = closed
        table = table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            pq.write_table(table, draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def restore(self, path: Path) -> dict[str, Any]:
        """Read what :meth:`save` wrote."""
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as err:
            raise DriftError(
                f"{path} keeps no rows that wait for labels: {err}"
            ) from err
        if _KEY not in (table.schema.metadata or {}):
            raise DriftError(f"{path} keeps no rows that wait for labels")
        facts: dict[str, Any] = json.loads(table.schema.metadata[_KEY])
        self._table = table.replace_schema_metadata(None)
        self._known = set(table[_ID].to_pylist())
        self._labels, self._refused = facts["labels"], self._refused | facts["refused"]
        closed, size = b64decode(facts.get("closed", "")), _DIGEST_BYTES
        places = range(0, len(closed), size)
        self._closed = {closed[at : at + size]: None for at in places}
        return facts

    def _empty(self) -> pa.Table:
        names = [*self._columns, _ID, _TIME]
        types = [pa.null()] * len(self._columns) + [pa.string(), pa.float64()]
        return pa.schema(list(zip(names, types, strict=True))).empty_table()


def _digest(row: str) -> bytes:
    return blake2b(
        row.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES
    ).digest()
