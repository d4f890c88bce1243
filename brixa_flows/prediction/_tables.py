"""Adapter: every tabular form as Arrow, and Arrow as what a model was trained on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, some_of

__all__ = [
    "NUMBER_NAMES",
    "as_table",
    "canonical_parts",
    "column_values",
    "read_files",
    "refuse_repeated",
    "remember_numbers",
    "rows_of",
    "table_of",
    "type_names",
    "without_index",
]

# Buffering ahead keeps what was read until the file ends: memory grew with it.
_PARQUET = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(pre_buffer=False)
)
_INDEX_COLUMN = "__index_level_"
_EXACT_UP_TO = 2**53
_CSV_BLOCK_BYTES = 4 * 2**20
_DIGITS_OF_INT64 = 18
NUMBER_NAMES = b"brixa.number_names"


def as_table(data: Any) -> pa.Table:
    """A pandas or polars frame, Arrow data, or a mapping of columns, as a table.

    Raises:
        DatasetError: If it can't be one, or two columns have one name.
    """
    try:
        table = _convert(data)
    except DatasetError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as err:
        raise DatasetError(
            f"the {type(data).__qualname__} can't be read as a table: {_reason(err)}"
        ) from err
    refuse_repeated(table.column_names)
    return without_index(table)


def _reason(err: Exception) -> str:
    """What Arrow says of a column of several types, with the remedy."""
    said = " ".join(" ".join(map(str, err.args)).split())
    column = re.search(r"Conversion failed for column (.+) with type (\S+)", said)
    if column is None:
        return said
    why = said[: column.start()].strip().rstrip(",")
    kind = "values of several types" if column[2] == "object" else column[2]
    return (
        f"column {column[1]!r} holds {kind} ({why}); bring it to one type that Arrow "
        "knows, or leave it out"
    )


def table_of(records: Sequence[Mapping[Any, Any]]) -> pa.Table:
    """Records as a table; what a record lacks is missing there.

    Raises:
        DatasetError: If a column holds values of different types.
    """
    keys = list(dict.fromkeys(key for record in records for key in record))
    refuse_repeated([str(key) for key in keys])
    table = as_table({str(key): [each.get(key) for each in records] for key in keys})
    return remember_numbers(table, keys)


def remember_numbers(table: pa.Table, names: Iterable[Any]) -> pa.Table:
    """The table with a note of which of its columns' names were whole numbers.

    Arrow's names are texts; a function that is given the frame asks for its own.
    """
    numbers = [
        int(n)
        for n in names
        if isinstance(n, int | np.integer) and not isinstance(n, bool)
    ]
    if not numbers:
        return table
    kept = table.schema.metadata or {}
    note = {NUMBER_NAMES: json.dumps(numbers).encode()}
    return table.replace_schema_metadata({**kept, **note})


def refuse_repeated(names: Sequence[str]) -> None:
    """Refuse columns of one name.

    Raises:
        DatasetError: If there are some.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DatasetError(f"two columns are called {repeated[0]!r}; rename one")


def _convert(data: Any) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, dict):
        return pa.table({name: _column(name, part) for name, part in data.items()})
    if hasattr(data, "iloc"):
        return _from_pandas(data)
    if hasattr(data, "collect") and not hasattr(data, "__arrow_c_stream__"):
        data = data.collect()
    if hasattr(data, "to_arrow"):
        return _convert(data.to_arrow())
    if isinstance(data, pa.RecordBatchReader):
        return data.read_all()
    return pa.table(data)


def _column(name: str, values: Any) -> Any:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as err:
        raise DatasetError(
            f"the column {name!r} can't be read: {err}; bring it to one type that Arrow "
            "knows, or leave it out"
        ) from err


def _from_pandas(frame: Any) -> pa.Table:
    if not hasattr(frame, "columns"):
        frame = frame.to_frame()
    given = list(frame.columns)
    names = list(map(str, given))
    refuse_repeated(names)
    if names != given:
        frame = frame.set_axis(names, axis=1)
    return remember_numbers(pa.Table.from_pandas(frame, preserve_index=False), given)


def without_index(table: pa.Table) -> pa.Table:
    """The table without the index that pandas writes into Parquet."""
    kept = [n for n in table.column_names if not n.startswith(_INDEX_COLUMN)]
    return table if len(kept) == len(table.column_names) else table.select(kept)


def read_files(
    files: Sequence[Path], kind: str, rows: int, texts: Collection[str] = ()
) -> Iterator[pa.Table]:
    """Tables of at most ``rows`` rows from CSV or Parquet files, in order.

    Args:
        files: The files.
        kind: ``csv`` or ``parquet``.
        rows: Of a table.
        texts: Columns of a CSV that hold text, also where it looks like numbers.

    Raises:
        DatasetError: If a file can't be read, or its columns differ from the first's.
    """
    paths = [str(file) for file in files]
    tables = (
        _csv_tables(paths, texts) if kind == "csv" else _parquet_tables(paths, rows)
    )
    try:
        for table in tables:
            for start in range(0, table.num_rows, rows):
                yield without_index(table.slice(start, rows))
    except (pa.ArrowException, OSError) as err:
        raise DatasetError(
            f"{paths[0]} (of {len(paths)} files) can't be read: {err}"
        ) from err


def _parquet_tables(paths: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """A few row groups at a time: a scanner reads up to 1 GiB ahead of a slow reader."""
    refuse_repeated(pq.read_schema(paths[0]).names)
    dataset = pads.dataset(paths, format=_PARQUET)
    for fragment in dataset.get_fragments():
        there = fragment.physical_schema.names
        lacking = [name for name in dataset.schema.names if name not in there]
        if lacking:  # Arrow would fill it with nulls
            raise DatasetError(
                f"{fragment.path} has no column {some_of(lacking)}, which {paths[0]} "
                "has; give files of the same columns"
            )
        for groups in _grouped([group.num_rows for group in fragment.row_groups], rows):
            part = fragment.subset(row_group_ids=groups)
            yield part.to_table(schema=dataset.schema)


def _grouped(sizes: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Neighbours that have that many rows together."""
    groups: list[int] = []
    held = 0
    for place, size in enumerate(sizes):
        groups.append(place)
        held += size
        if held >= rows:
            yield groups
            groups, held = [], 0
    if groups:
        yield groups


def _csv_tables(paths: Sequence[str], texts: Collection[str]) -> Iterator[pa.Table]:
    """Block by block; columns and types are those of the first file's first block.

    An empty field of a text column is missing, as pandas reads it.
    """
    names: list[str] = []
    types: dict[str, pa.DataType] = {name: pa.string() for name in texts}
    for path in paths:
        options = pacsv.ConvertOptions(
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=types,
            include_columns=names,
            include_missing_columns=bool(names),
        )
        read = pacsv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
        with pacsv.open_csv(path, read_options=read, convert_options=options) as reader:
            names = reader.schema.names
            refuse_repeated(names)
            types = {f.name: f.type for f in reader.schema if f.type != pa.null()}
            for batch in reader:
                yield pa.Table.from_batches([batch])


def rows_of(files: Sequence[Path]) -> int | None:
    """Rows of Parquet files by their footers, ``None`` if one can't be read."""
    try:
        return sum(int(pq.read_metadata(file).num_rows) for file in files)
    except (pa.ArrowInvalid, OSError):
        return None  # the reader says what is wrong with it


def column_values(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as an array; a missing value is NaN in numbers, else ``None``."""
    column = _decoded(table.column(name))
    if pa.types.is_boolean(column.type) and column.null_count == 0:
        flags: NDArray[Any] = column.to_numpy()
        return flags
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    values: NDArray[Any] = column.to_numpy()
    return values


def _decoded(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(_number_type(column.type))
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def _number_type(decimal: Any) -> Any:
    """Whole decimals are counts or classes, whose digits all matter."""
    whole = decimal.scale == 0 and decimal.precision <= _DIGITS_OF_INT64
    return pa.int64() if whole else pa.float64()


def type_names(table: pa.Table) -> dict[str, str]:
    """Arrow's type name by column, the same for every width of text."""
    return {
        field.name: str(field.type).replace("large_", "").removesuffix("_view")
        for field in table.schema
    }


def canonical_parts(values: Any) -> list[bytes]:
    """The bytes of a column, equal for equal values of whatever physical type.

    Numbers and flags are float64, with one NaN for NaN and missing; whole numbers that
    float64 can't hold follow as int64. Texts are their lengths (-1 for missing) and
    their bytes; times are microseconds. Each part may be concatenated over batches.
    """
    column = _decoded(_as_array(values))
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return _number_parts(column)
    if _is_number(kind):
        return _number_parts(column)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        column = pa.array([None if v is None else repr(v) for v in column.to_pylist()])
    texts = column.cast(pa.large_string())
    lengths = pc.fill_null(pc.binary_length(texts), -1).cast(pa.int64())
    whole = "".join(text for text in texts.to_pylist() if text is not None)
    return [np.asarray(lengths).tobytes(), whole.encode()]


def _as_array(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        try:
            return pa.chunked_array([pa.array(values, from_pandas=True)])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            values = np.array([None if v is None else repr(v) for v in values])
    try:
        return pa.chunked_array([pa.array(values)])
    except pa.ArrowNotImplementedError:  # complex numbers, say, which nobody can judge
        return pa.chunked_array([pa.array([repr(v) for v in values])])


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _number_parts(column: Any) -> list[bytes]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers = column.cast(pa.float64(), safe=False)
    values = np.array(numbers.to_numpy(), dtype=np.float64)
    values[np.isnan(values)] = np.nan
    values[values == 0] = 0.0
    parts = [values.tobytes()]
    large = np.abs(values) >= _EXACT_UP_TO  # the next integer is rounded to it
    if pa.types.is_integer(column.type) and large.any():
        exact = column.filter(pa.array(large))
        parts.append(np.asarray(exact.cast(pa.int64(), safe=False)).tobytes())
    return parts
