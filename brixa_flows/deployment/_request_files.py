"""Adapter to pyarrow: requests with their answers as Parquet files of a storage.

A row is one record: the columns of the model's input, ``prediction``,
``probability_LABEL`` where the model has them, and what ``OURS`` names. A file is called
``FIRST-LAST-REPLICA-RANDOM.parquet`` by the UTC times of its first and last row, so files
of a window are found by their names, and the oldest are the first. Its metadata hold
under ``brixa_request_log`` the ``protocol``, the model, its version and its ``inputs``.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from brixa_flows.deployment.request_log import Logged
from brixa_flows.deployment.served import ServedModel
from brixa_flows.errors import ObjectNotFoundError
from brixa_flows.storage.base import StorageNode

__all__ = ["OURS", "RequestFiles", "read_requests"]

OURS = ("model_version", "predicted_at", "latency_ms", "request_id")
_KEY = b"brixa_request_log"
_PROTOCOL = 1
_STAMP = "%Y%m%dT%H%M%S%f"
_GROUP_ROWS = 8192
_MOST_TABLES = 64
_MOST_OPEN = 8
_TIME = pa.timestamp("us", tz="UTC")


class _Part:
    """A file that is still written, in memory.

    Args:
        schema: Of its rows.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.began = time.monotonic()
        self.rows = 0
        self.first = self.last = 0.0
        self._sink = io.BytesIO()
        # A dictionary of measured numbers costs four times as much CPU and more room.
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        self._writer = pq.ParquetWriter(
            self._sink, schema, compression="zstd", use_dictionary=texts
        )
        self._tables: list[pa.Table] = []
        self._gathered_rows = self._gathered_bytes = 0

    @property
    def size_bytes(self) -> int:
        """About."""
        return self._sink.tell() + self._gathered_bytes

    def append(self, table: pa.Table, entries: Sequence[Logged]) -> None:
        """Add rows."""
        moments = [entry.at_seconds for entry in entries]
        self.first = min(self.first or moments[0], *moments)
        self.last = max(self.last, *moments)
        self.rows += table.num_rows
        self._tables.append(table)
        self._gathered_rows += table.num_rows
        self._gathered_bytes += int(table.nbytes)
        if self._gathered_rows >= _GROUP_ROWS:
            self._write_group()
        elif len(self._tables) >= _MOST_TABLES:  # many small ones need far more memory
            self._tables = [pa.concat_tables(self._tables).combine_chunks()]

    def _write_group(self) -> None:
        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables))
        self._tables, self._gathered_rows, self._gathered_bytes = [], 0, 0

    def finish(self) -> bytes:
        """All of the file."""
        self._write_group()
        self._writer.close()
        return self._sink.getvalue()


class RequestFiles:
    """Open files of one replica, by the form of their rows.

    Args:
        storage: Where they go.
        prefix: Directory key of them.
        name: Of this replica.
        max_size_bytes: Of all files there, those of other replicas too.
    """

    def __init__(
        self, storage: StorageNode, prefix: str, *, name: str, max_size_bytes: int
    ) -> None:
        self._storage = storage
        self._prefix = prefix
        self._name = name
        self._max_size_bytes = max_size_bytes
        self._open: list[_Part] = []

    def append(self, batches: Sequence[Sequence[Logged]]) -> None:
        """Add requests of one form, those of a batch together."""
        pieces = [_Piece(batch) for batch in batches]
        entries = [entry for piece in pieces for entry in piece.entries]
        table = _table(pieces, entries)
        part = next((each for each in self._open if each.schema == table.schema), None)
        if part is None:
            part = _Part(table.schema)
            self._open.append(part)
        part.append(table, entries)

    def due(self, size_bytes: int, age_seconds: float) -> list[_Part]:
        """Files that are as large or as old; they are open no longer."""
        now = time.monotonic()
        surplus = self._open[:-_MOST_OPEN]
        due = [
            part
            for part in self._open
            if part.size_bytes >= size_bytes
            or now - part.began >= age_seconds
            or part in surplus
        ]
        self._open = [part for part in self._open if part not in due]
        return due

    def publish(self, part: _Part) -> None:
        """Show a file whole, and remove the oldest ones where there is no room.

        Raises:
            StorageError: If it can't be written.
        """
        first, last = (
            f"{datetime.fromtimestamp(seconds, UTC):{_STAMP}}"
            for seconds in (part.first, part.last)
        )
        file = f"{first}-{last}-{self._name}-{uuid.uuid4().hex[:8]}.parquet"
        self._storage.create(f"{self._prefix}/{file}", part.finish())
        kept = list(self._storage.list(self._prefix, recursive=False))
        surplus = sum(each.size_bytes for each in kept) - self._max_size_bytes
        for each in kept:
            if surplus <= 0:
                return
            self._storage.delete(each.key, durable=False)
            surplus -= each.size_bytes


class _Piece:
    """Requests of one batch.

    Args:
        entries: All of its requests, or some.
    """

    def __init__(self, entries: Sequence[Logged]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.first)
        inputs, self.prediction = entries[0].batch
        self.columns = inputs if isinstance(inputs, dict) else {"": inputs}
        whole = len(next(iter(self.columns.values())))
        is_whole = sum(entry.rows for entry in entries) == whole
        self._rows = None if is_whole else self._places()

    def _places(self) -> NDArray[np.int64]:
        spans = [np.arange(e.first, e.first + e.rows) for e in self.entries]
        return np.concatenate(spans)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The rows of these requests."""
        return values if self._rows is None else values[self._rows]


def _table(pieces: Sequence[_Piece], entries: Sequence[Logged]) -> pa.Table:
    served = entries[0].served
    columns = _inputs(pieces, served)
    inputs = list(columns)
    ours = {**_answers(pieces), **_facts(entries)}
    # A model may have an input of the name of one of ours.
    columns = {f"input.{n}" if n in ours else n: a for n, a in columns.items()}
    described = {
        "protocol": _PROTOCOL,
        "deployment": served.deployment,
        "model": served.name,
        "version": served.version,
        "inputs": inputs,
    }
    table = pa.table({**columns, **ours})
    return table.replace_schema_metadata({_KEY: json.dumps(described).encode()})


def _inputs(pieces: Sequence[_Piece], served: ServedModel) -> dict[str, pa.Array]:
    columns = served.signature.columns
    if columns is None:
        single = served.signature.single
        merged = np.concatenate([piece.of(piece.columns[""]) for piece in pieces])
        return {single.name: _array(merged, single.kind)}
    kinds = {column.name: column.kind for column in columns}
    return {
        name: _array(
            np.concatenate([piece.of(piece.columns[name]) for piece in pieces]),
            kinds.get(name, "any"),
        )
        for name in pieces[0].columns
    }


def _answers(pieces: Sequence[_Piece]) -> dict[str, pa.Array]:
    given = [piece.prediction for piece in pieces]
    chosen = list(zip(pieces, given, strict=True))
    values = np.concatenate([piece.of(each.values) for piece, each in chosen])
    if values.ndim > 1 and values.shape[1:] == (1,) * (values.ndim - 1):
        values = values.reshape(-1)
    ours = {"prediction": _array(values, "any")}
    scores = [piece.of(p.scores) for piece, p in chosen if p.scores is not None]
    if scores:
        merged = np.concatenate(scores)
        labels = given[0].classes or tuple(range(merged.shape[1]))
        for place, label in enumerate(labels):
            ours[f"probability_{label}"] = pa.array(merged[:, place])
    return ours


def _facts(entries: Sequence[Logged]) -> dict[str, pa.Array]:
    rows = [entry.rows for entry in entries]
    moments = [int(entry.at_seconds * 1e6) for entry in entries]
    latencies = [entry.latency_seconds * 1e3 for entry in entries]
    of_row = np.repeat(np.arange(len(entries)), rows)
    ids = pa.array([_text(entry.request_id) for entry in entries], pa.string())
    version = pa.scalar(entries[0].served.version, pa.string())
    return {
        "model_version": pa.repeat(version, len(of_row)),
        "predicted_at": pa.array(np.repeat(moments, rows), pa.int64()).cast(_TIME),
        "latency_ms": pa.array(np.repeat(latencies, rows)),
        "request_id": ids.take(pa.array(of_row)),
    }


def _array(values: NDArray[Any], kind: str) -> pa.Array:
    """A column; what a row of several dimensions holds becomes a list."""
    if values.ndim > 1:
        size = int(np.prod(values.shape[1:]))
        flat = _array(values.reshape(-1), kind)
        return pa.FixedSizeListArray.from_arrays(flat, size)
    if values.dtype.kind not in "OUS":
        if values.dtype.kind == "f" and values.dtype.itemsize == 2:
            values = values.astype(np.float32)
        return pa.array(values, from_pandas=True)
    if kind == "boolean":
        return pa.array(values.tolist(), pa.bool_(), from_pandas=True)
    if kind == "any":
        with contextlib.suppress(pa.ArrowException, OverflowError, UnicodeError):
            inferred = pa.array(values.tolist(), from_pandas=True)
            return (
                inferred.cast(pa.string())
                if inferred.null_count == len(inferred)
                else inferred
            )
    return pa.array([_text(value) for value in values.tolist()], pa.string())


def _text(value: Any) -> str | None:
    """What is neither of one type nor can be told as such; JSON's texts may be no UTF-8."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value).encode("utf-8", "backslashreplace").decode()


def read_requests(
    storage: StorageNode,
    prefix: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    version: str | None = None,
    inputs_only: bool = False,
    besides: Collection[str] = (),
) -> Iterator[pa.RecordBatch]:
    """What was kept, file by file, oldest first.

    Args:
        storage: Where files are.
        prefix: Directory key of them.
        since: Rows from then on.
        until: Rows before then.
        version: Rows of this version alone.
        inputs_only: Leave out what was answered and when.
        besides: Columns of that to keep nevertheless.

    Yields:
        Batches of at least one row.
    """
    for stored in storage.list(prefix, recursive=False):
        span = stored.key.rpartition("/")[2].split("-")
        if len(span) < 2 or _outside(span[0], span[1], since, until):
            continue
        try:
            data, _ = storage.read(stored.key)
        except ObjectNotFoundError:
            continue  # it made room for a newer one meanwhile
        # Not by read_table, as in drift/_parquet.py: its threads may outlive Python.
        table = pq.ParquetFile(io.BytesIO(data)).read(use_threads=False)
        described = json.loads(table.schema.metadata[_KEY])
        if version not in (None, described["version"]):
            continue
        chosen = _in_window(table, since, until)
        if inputs_only:
            chosen = _inputs_alone(chosen, described["inputs"], besides)
        yield from (batch for batch in chosen.to_batches() if batch.num_rows)


def _outside(
    first: str, last: str, since: datetime | None, until: datetime | None
) -> bool:
    too_early = since is not None and last < f"{since.astimezone(UTC):{_STAMP}}"
    too_late = until is not None and first >= f"{until.astimezone(UTC):{_STAMP}}"
    return too_early or too_late


def _in_window(
    table: pa.Table, since: datetime | None, until: datetime | None
) -> pa.Table:
    for moment, holds in ((since, pc.greater_equal), (until, pc.less)):
        if moment is not None:
            table = table.filter(holds(table["predicted_at"], pa.scalar(moment, _TIME)))
    return table


def _inputs_alone(
    table: pa.Table, inputs: Sequence[str], besides: Collection[str]
) -> pa.Table:
    names = table.column_names
    renamed = {f"input.{n}" if f"input.{n}" in names else n: n for n in inputs}
    others = set(besides) - set(inputs)
    kept = [n for n in names if n in renamed or n in others]
    return table.select(kept).rename_columns([renamed.get(n, n) for n in kept])
