"""Adapter to pyarrow: every form of tabular data as bounded record batches."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from brixa_flows.drift._arrow_objects import as_array
from brixa_flows.errors import DriftError, some_of

__all__ = ["BATCH_ROWS", "read_batches"]

BATCH_ROWS = 131_072
_NESTED_ROWS = 2_048
_QUERY_ROWS = 16_384
_FORMS = (
    "a pandas or polars frame, an Arrow table, batches or reader, a Parquet path, "
    "folder or glob, a DuckDB relation, the cursor of a query, an array, or a dict of "
    "arrays"
)


def read_batches(
    data: Any, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read ``data`` in batches of at most :data:`BATCH_ROWS` rows.

    Column names become texts; a name that occurs again gets ``#2``, ``#3`` ... behind
    it. Objects of mixed types become their texts.

    Args:
        data: Any form the message of the error lists.
        columns: Only these; all by default. Files and parts of data may lack some: a
            batch then has those that are there.

    Yields:
        At least one batch, which may have no rows, so that columns are always known.

    Raises:
        DriftError: If the form is unknown, a file can't be read or a column is nowhere.
    """
    if columns is None:
        yield from _all_batches(data, None)
        return
    wanted, seen = list(dict.fromkeys(columns)), dict[str, None]()
    for batch in _all_batches(data, wanted):
        seen.update(dict.fromkeys(batch.schema.names))
        yield batch.select([name for name in wanted if name in batch.schema.names])
    _check_present(wanted, seen)


def _all_batches(data: Any, wanted: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Batches with at least those of the wanted columns that are there."""
    if isinstance(data, (str, Path)):
        yield from _from_path(str(data), wanted)
        return
    if isinstance(data, pads.Dataset):
        yield from _from_dataset(data, wanted)
        return
    for batch in _from_memory(data):
        batch = _with_plain_text(_with_unique_names(batch))
        for start in range(0, max(batch.num_rows, 1), BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _from_memory(data: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(data, pa.RecordBatch):
        yield data
    elif isinstance(data, pa.Table):
        yield from _table_batches(data)
    elif isinstance(data, np.ndarray):
        yield _from_arrays(_columns_of(data))
    elif _is_a(data, "pandas.") and hasattr(data, "iloc"):
        yield _from_pandas(data)
    elif isinstance(data, Mapping):
        yield _from_arrays({str(name): values for name, values in data.items()})
    elif _is_a(data, "polars.") and hasattr(data, "collect"):
        yield from _from_memory(data.collect())
    elif hasattr(data, "fetchmany"):
        yield from _from_cursor(data)
    elif hasattr(data, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(data)
        yield from _and_the_schema(reader, reader.schema)
    elif isinstance(data, Iterable) and not isinstance(data, (bytes, str)):
        yield from _from_parts(data)
    else:
        raise DriftError(f"can't read a {type(data).__name__}; give {_FORMS}")


def _from_parts(parts: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        framed = _is_a(part, "pandas.") or _is_a(part, "polars.")
        if not framed and not isinstance(part, (pa.RecordBatch, pa.Table)):
            raise DriftError(
                f"an item of the data is a {type(part).__name__}, not an Arrow batch or "
                f"a frame; give {_FORMS}"
            )
        yield from _from_memory(part)


def _from_cursor(cursor: Any) -> Iterator[pa.RecordBatch]:
    """Rows of a query: a cursor of Python's database API, or a result of SQLAlchemy."""
    if hasattr(cursor, "keys"):
        names = [str(name) for name in cursor.keys()]
    else:
        names = [str(column[0]) for column in cursor.description or ()]
    if not names:
        raise DriftError("the cursor has no query with rows; execute a SELECT first")
    rows = cursor.fetchmany(_QUERY_ROWS)
    while True:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        arrays = [as_array(list(column)) for column in columns]
        yield pa.RecordBatch.from_arrays(arrays, names=names)
        rows = cursor.fetchmany(_QUERY_ROWS)
        if not rows:
            return


def _from_path(text: str, wanted: list[str] | None) -> Iterator[pa.RecordBatch]:
    if not text.strip():
        raise DriftError(f"the path of the data is empty; give {_FORMS}")
    files = sorted(glob.glob(text)) if glob.has_magic(text) else [text]
    if not files or not Path(files[0]).exists():
        raise DriftError(f"there is no data at {text}; give {_FORMS}")
    if len(files) == 1 and Path(files[0]).is_dir():
        inside = [str(path) for path in sorted(Path(files[0]).rglob("*.csv"))]
        files = inside or files
    if files[0].endswith(".csv"):
        yield from _read_csv(text, files)
        return
    source = files[0] if len(files) == 1 else files
    try:
        dataset = pads.dataset(source, format="parquet")
        if not dataset.files:
            raise DriftError(f"there is no file in the folder {text}; give {_FORMS}")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        raise DriftError(f"can't read {text} as parquet: {err}") from err
    yield from _parquet_batches(dataset, wanted)


def _read_csv(text: str, files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """One file after the other, each with columns and types of its own."""
    try:
        for path in files:
            for batch in _csv_batches(path):
                yield _with_plain_text(_with_unique_names(batch))
    except (pa.ArrowInvalid, OSError) as err:
        raise DriftError(f"can't read {text} as csv: {err}") from err


def _csv_batches(path: str) -> Iterator[pa.RecordBatch]:
    """Types are those of the first block; where a later value has another, texts."""
    seen = 0
    texts: dict[str, pa.DataType] = {}
    while True:
        options = pacsv.ConvertOptions(column_types=texts, strings_can_be_null=True)
        skipped = 0
        try:
            reader = pacsv.open_csv(path, convert_options=options)
            names = reader.schema.names
            for batch in _and_the_schema(reader, reader.schema):
                left = max(seen - skipped, 0)
                skipped += batch.num_rows
                if left < batch.num_rows or not batch.num_rows:
                    yield batch.slice(left)
                seen = max(seen, skipped)
            return
        except pa.ArrowInvalid as err:
            found = re.search(r"CSV column #(\d+).*conversion error", str(err))
            if not found or names[int(found[1])] in texts:
                raise
            texts[names[int(found[1])]] = pa.string()


def _parquet_batches(
    dataset: pads.Dataset, wanted: list[str] | None
) -> Iterator[pa.RecordBatch]:
    """One file after the other: a scanner of the data set reads ahead by gigabytes.

    A file may have columns of its own.
    """
    for place, path in enumerate(dataset.files):
        try:
            with dataset.filesystem.open_input_file(path) as source:
                file = pq.ParquetFile(source, pre_buffer=False)
                if not place and wanted is not None:
                    _check_files(dataset, wanted, file.schema_arrow.names)
                yield from _file_batches(file, wanted)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
            raise DriftError(f"can't read {path} as parquet: {err}") from err


def _check_files(dataset: pads.Dataset, wanted: list[str], first: list[str]) -> None:
    """Nobody waits for all rows to be read to be told of a slip."""
    seen = dict.fromkeys(first)
    for path in dataset.files[1:]:
        if seen.keys() >= set(wanted):
            return
        with dataset.filesystem.open_input_file(path) as source:
            seen.update(dict.fromkeys(pq.read_schema(source).names))
    _check_present(wanted, seen)


def _file_batches(
    file: pq.ParquetFile, wanted: list[str] | None
) -> Iterator[pa.RecordBatch]:
    schema, names = file.schema_arrow, None
    if wanted is not None:
        # Without any column a file would have no rows either.
        names = [name for name in wanted if name in schema.names] or schema.names[:1]
    batches = file.iter_batches(_batch_rows(schema), columns=names)
    for batch in _and_the_schema(batches, schema):
        yield _with_plain_text(_with_unique_names(batch))


def _from_dataset(
    dataset: pads.Dataset, wanted: list[str] | None
) -> Iterator[pa.RecordBatch]:
    """One file after the other, each without the columns that it lacks.

    pyarrow fills them with nulls, casts what has another type and passes over what the
    first file did not have. Only a schema that somebody chose is left to do so.
    """
    inferred, seen = None, dict[str, None]()
    for fragment in _fragments(dataset):
        try:
            own = _schema_of(fragment)
            seen.update(dict.fromkeys(own.names))
            if inferred is None:
                inferred = own.equals(dataset.schema)
            chosen = own
            if not inferred:
                known = [each for each in dataset.schema if each.name in own.names]
                chosen = pa.schema(known)
            if wanted is not None:
                named = [each for each in chosen if each.name in wanted]
                chosen = pa.schema(named or list(chosen)[:1])
            for batch in _fragment_batches(fragment, chosen):
                yield _with_plain_text(_with_unique_names(batch))
        except (pa.ArrowException, OSError) as err:
            place = getattr(fragment, "path", "the Arrow dataset")
            raise DriftError(f"can't read {place}: {err}") from err
    if inferred is None:
        yield from _and_the_schema([], dataset.schema)
    else:
        _check_present(wanted or [], seen)


def _fragments(dataset: pads.Dataset) -> Iterator[pads.Fragment]:
    try:
        yield from dataset.get_fragments()
    except ValueError as err:
        raise DriftError(
            "the Arrow dataset has a filter, which hides what its files lack; give its "
            ".scanner().to_reader(), or the path of its files"
        ) from err


def _fragment_batches(
    fragment: pads.Fragment, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    batches = fragment.to_batches(
        schema=schema,
        batch_size=_batch_rows(schema),
        batch_readahead=2,
        fragment_readahead=1,
    )
    yield from _and_the_schema(batches, schema)


def _schema_of(fragment: pads.Fragment) -> pa.Schema:
    """The columns of a file and those that its path tells."""
    schema = fragment.physical_schema
    for name, value in pads.get_partition_keys(fragment.partition_expression).items():
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.scalar(value).type))
    return schema


def _batch_rows(schema: pa.Schema) -> int:
    """Fewer rows where one may be an image."""
    nested = any(pa.types.is_nested(field.type) for field in schema)
    return _NESTED_ROWS if nested else BATCH_ROWS


def _table_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    batches = table.to_batches(max_chunksize=BATCH_ROWS)
    yield from _and_the_schema(batches, table.schema)


def _and_the_schema(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The batches, or an empty one that still has the columns."""
    empty = True
    for batch in batches:
        empty = False
        yield batch
    if empty:
        arrays = [pa.array([], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _from_pandas(frame: Any) -> pa.RecordBatch:
    if not hasattr(frame, "columns"):
        frame = frame.to_frame()
    names = [str(name) for name in frame.columns]
    arrays = [as_array(frame.iloc[:, place]) for place in range(len(names))]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _from_arrays(arrays: dict[str, Any]) -> pa.RecordBatch:
    read = {name: as_array(values) for name, values in arrays.items()}
    lengths = {name: len(array) for name, array in read.items()}
    if len(set(lengths.values())) > 1:
        raise DriftError(f"the arrays have different lengths: {lengths}")
    return pa.RecordBatch.from_arrays(list(read.values()), names=list(read))


def _columns_of(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """A column a feature; of more dimensions than two, one of tensors."""
    if array.ndim == 2:
        return {str(place): array[:, place] for place in range(array.shape[1])}
    if array.ndim == 0:
        raise DriftError(f"a single number is no data; give {_FORMS}")
    return {"0": array}


def _with_unique_names(batch: pa.RecordBatch) -> pa.RecordBatch:
    seen: dict[str, int] = {}
    names = []
    for name in batch.schema.names:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    if names == batch.schema.names:
        return batch
    return pa.RecordBatch.from_arrays(batch.columns, names=names)


def _with_plain_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """String views (of polars) as strings: Arrow's kernels know few views yet."""
    arrays = [_plain_text(array) for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _plain_text(array: pa.Array) -> pa.Array:
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_dictionary(array.type):
        words = _plain_text(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, words)
    return array


def _check_present(wanted: Sequence[str], names: Iterable[str]) -> None:
    there = list(names)
    absent = [column for column in wanted if column not in there]
    if absent:
        raise DriftError(
            f"the data have no column {some_of(absent)}; they have: {some_of(there)}"
        )


def _is_a(data: Any, prefix: str) -> bool:
    return any(kind.__module__.startswith(prefix) for kind in type(data).__mro__)
