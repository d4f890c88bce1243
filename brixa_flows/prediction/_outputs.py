"""Adapter: predictions as Arrow tables, written to a file that is whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.serializers.base import Prediction

__all__ = ["Output", "make_folder", "opened_file", "scored_table"]


class Output(Protocol):
    """Takes tables of one schema, one after the other."""

    def write(self, table: Any) -> None:
        """Append rows."""
        ...


class _ParquetOutput:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _CsvOutput:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pacsv.CSVWriter(file, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class FileOutput:
    """A CSV or Parquet file; its schema is that of the first table.

    Args:
        file: Where to write.
        path: What it will be called; its suffix is the format.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._kind = _CsvOutput if path.suffix.lower() == ".csv" else _ParquetOutput
        self._writer: _CsvOutput | _ParquetOutput | None = None
        self._schema: pa.Schema = None

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Raises:
            DatasetError: If their types changed on the way.
        """
        if self._writer is None:
            self._schema = table.schema
            self._writer = self._kind(self._file, self._schema)
        self._writer.write(_as_first(table, self._schema))

    def close(self) -> None:
        """End the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _as_first(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema.equals(schema):
        return table
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as err:
        raise DatasetError(
            f"later rows have other columns or types than the first ones: {err}"
        ) from err


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing.

    Raises:
        DatasetError: If that can't be, or would make one beside those of the system:
            then the name is wrong more often than not.
    """
    whole = folder.absolute()
    try:
        missing = [each for each in (whole, *whole.parents) if not each.exists()]
        if missing and len(missing[-1].parents) == 1:
            raise DatasetError(
                f"there is no {missing[-1]} to write into; make that folder yourself if "
                "it is meant, or write below one that is there"
            )
        base = missing[-1].parent if missing else whole
        if not base.is_dir():
            raise DatasetError(f"{base} is a file, so nothing is written below it")
        whole.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DatasetError(
            f"the folder {whole} can't be written into ({err.strerror}); choose another"
        ) from err


@contextlib.contextmanager
def opened_file(path: Path, *, overwrite: bool) -> Iterator[Output]:
    """A file that appears under its name when everything is written, or never.

    Args:
        path: Its name, which ends in ``.csv`` or ``.parquet``.
        overwrite: Whether one that is there is replaced at the end.

    Raises:
        DatasetError: If there is one, its folder can't be made, or somebody else
            writes it right now.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise DatasetError(f"{path} is being written by another process") from err
        file.truncate(0)  # what one that was killed left
        output = FileOutput(file, path)
        try:
            yield output
            output.close()
            file.flush()
            os.fsync(file.fileno())
            _appear(partial, path, overwrite)
        except BaseException:
            with contextlib.suppress(OSError, pa.ArrowException):
                output.close()
            partial.unlink(missing_ok=True)
            raise


def _appear(partial: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        partial.replace(path)
        return
    try:
        os.link(partial, path)
    except FileExistsError as err:
        raise DatasetError(f"{path} appeared meanwhile; it is left as it is") from err
    partial.unlink()


def scored_table(
    kept: pa.Table, prediction: Prediction, version: str, moment: datetime
) -> pa.Table:
    """Rows with what a version says of them.

    Args:
        kept: Columns of the input that go along.
        prediction: For each of its rows.
        version: The version.
        moment: When it was asked, UTC.

    Raises:
        DatasetError: If a column of the input is called as one of ours.
    """
    ours: dict[str, Any] = dict(_named("prediction", prediction.values))
    scores = prediction.scores
    if scores is not None:
        labels = prediction.classes or tuple(range(scores.shape[1]))
        for place, label in enumerate(labels):
            ours[f"probability_{label}"] = pa.array(scores[:, place])
    rows = len(prediction.values)
    ours["model_version"] = pa.array([version] * rows, pa.string())
    ours["predicted_at"] = pa.array([moment] * rows, pa.timestamp("us", tz="UTC"))
    taken = [name for name in kept.column_names if name in ours]
    if taken:
        raise DatasetError(
            f"the input has columns called {some_of(map(repr, taken))}, as the output "
            "does; rename them, or say by --id (ids=) which columns to keep"
        )
    for name, column in ours.items():
        kept = kept.append_column(name, column)
    return kept


def _named(name: str, values: NDArray[Any]) -> Iterator[tuple[str, Any]]:
    flat = np.asarray(values).reshape(len(values), -1)
    for place in range(flat.shape[1]):
        column = flat[:, place]
        array = pa.array(column.tolist() if column.dtype.kind in "OU" else column)
        yield (name if flat.shape[1] == 1 else f"{name}_{place}"), array
