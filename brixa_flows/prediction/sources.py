"""Where rows come from: every known form of a dataset, opened as chunks of rows."""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.pairs import (
    refuse_more_parts,
    refuse_other_order,
    without_decimals,
)
from brixa_flows.prediction.pictures import holds_pictures, is_picture, stacked_pictures
from brixa_flows.prediction.tensors import array_of
from brixa_flows.prediction.torch_items import stacked_items

__all__ = ["Chunk", "Source", "open_source"]

_FILE_KINDS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_HELD_BY_MLFLOW = ("df", "ds", "features")
_FRAME_ROOTS = ("pandas", "polars", "pyarrow", "duckdb")


@dataclass(frozen=True)
class Chunk:
    """Some rows as they were read: a table, or inputs with labels.

    Attributes:
        table: Arrow table.
        inputs: Array, mapping of arrays or list of texts, where there is no table.
        labels: Labels that came beside the table or inputs.
        label_name: Their name.
    """

    table: Any = None
    inputs: Any = None
    labels: NDArray[Any] | None = None
    label_name: str = "target"

    @property
    def rows(self) -> int:
        """Number of rows."""
        if self.table is not None:
            return int(self.table.num_rows)
        if isinstance(self.inputs, Mapping):
            return len(next(iter(self.inputs.values())))
        return len(self.inputs)

    @property
    def names(self) -> list[str]:
        """Names of the columns, if they have names."""
        if self.table is not None:
            return list(self.table.column_names)
        return list(self.inputs) if isinstance(self.inputs, Mapping) else []

    def column(self, name: str) -> NDArray[Any]:
        """The values of one of :attr:`names`, of shape (n_samples, ...)."""
        if self.table is None:
            return np.asarray(self.inputs[name])
        values: NDArray[Any] = _tables().column_values(self.table, name)
        return values

    def types(self, target: str | None) -> dict[str, str]:
        """Type name by column."""
        if self.table is not None:
            found: dict[str, str] = _tables().type_names(self.table)
        elif isinstance(self.inputs, Mapping):
            found = {str(name): _kind(part) for name, part in self.inputs.items()}
        else:
            found = {"inputs": _kind(self.inputs)}
        if self.labels is not None:
            found[target or self.label_name] = _kind(self.labels)
        return found


def _kind(values: Any) -> str:
    array = np.asarray(values)
    if holds_pictures(array):
        return "image"
    shape = "" if array.ndim == 1 else str(list(array.shape[1:]))
    return f"{'string' if array.dtype.kind in 'OU' else array.dtype}{shape}"


@dataclass(frozen=True)
class Source:
    """A dataset.

    Attributes:
        name: What it is called when nobody says.
        chunks: Opens it at its beginning.
        uri: Where it lies, if it has a place.
        once: Whether it can be read once only.
        rows: How many rows it has, where that is known beforehand.
        target: Name of the label column, where the data say so.
    """

    name: str
    chunks: Callable[[], Iterator[Chunk]]
    uri: str = ""
    once: bool = False
    rows: int | None = None
    target: str | None = None


def open_source(dataset: Any, rows: int, texts: Collection[str] = ()) -> Source:
    """Tell the form of ``dataset`` and open it.

    Args:
        dataset: The data.
        rows: Rows of a chunk, at most, where we have the choice.
        texts: Columns of CSV files that hold text, also where it looks like numbers.

    Raises:
        DatasetError: If the form is not known or there is no such file.
    """
    if isinstance(dataset, str | Path):
        return _open_files(str(dataset), rows, texts)
    roots = _roots(dataset)
    if "mlflow" in roots:
        return _open_mlflow(dataset, rows)
    if "datasets" in roots:
        return _open_hugging_face(dataset, rows)
    if _is_one_batch(dataset, roots):
        known = len(dataset) if hasattr(dataset, "iloc") else None
        return Source(
            _name_of(dataset), lambda: _slices(_chunk(dataset), rows), rows=known
        )
    if isinstance(dataset, tuple):
        refuse_more_parts(dataset)
    if isinstance(dataset, np.ndarray):
        raise DatasetError(
            f"an array of shape {dataset.shape} alone has no labels; give (X, y)"
        )
    if "torch" in roots and not _has_class(dataset, "DataLoader"):
        return Source(
            "torch dataset",
            lambda: (_chunk(each) for each in stacked_items(dataset, rows)),
        )
    if "tensorflow" in roots:
        return Source("tf.data", lambda: _tensorflow_chunks(dataset, rows))
    if isinstance(dataset, Iterable):
        once = isinstance(dataset, Iterator)
        return Source(
            _name_of_batches(dataset, once),
            lambda: (_chunk(each) for each in dataset),
            "",
            once,
        )
    raise DatasetError(
        f"a dataset of type {type(dataset).__qualname__} can't be read; give (X, y), a "
        "DataFrame, an Arrow table, a mapping of columns, a list of records, a CSV or "
        "Parquet path, a torch, tf.data, Hugging Face or MLflow dataset, or an iterable "
        "of batches"
    )


def _roots(data: Any) -> set[str]:
    return {each.__module__.partition(".")[0] for each in type(data).__mro__}


def _has_class(data: Any, name: str) -> bool:
    return any(each.__name__ == name for each in type(data).__mro__)


def _is_one_batch(data: Any, roots: set[str]) -> bool:
    pair = isinstance(data, tuple) and len(data) == 2
    one = isinstance(data, Mapping) or bool(roots & set(_FRAME_ROOTS))
    return pair or one or _is_records(data)


def _is_records(data: Any) -> bool:
    """Mappings of single values; a list of mappings of arrays is one of batches."""
    if not isinstance(data, list) or not data:
        return False
    if not all(isinstance(record, Mapping) for record in data):
        return False
    others = [value for value in data[0].values() if np.ndim(value) > 0]
    lone = len(others) == len(data[0])
    return not others or (not lone and all(map(is_picture, others)))


def _name_of(data: Any) -> str:
    part = data[0] if isinstance(data, tuple) else data
    return f"in-memory {type(part).__name__}"


def _name_of_batches(data: Any, once: bool) -> str:
    """Of a class that somebody named, such as a loader, its own name."""
    if once:
        return "iterator of batches"
    return f"{len(data)} batches" if isinstance(data, list) else type(data).__name__


def _chunk(data: Any) -> Chunk:
    """One batch of any form."""
    refuse_more_parts(data)
    if isinstance(data, list | tuple) and len(data) == 2 and not _is_records(data):
        inputs, labels = data
        refuse_other_order(inputs, labels)
        name = getattr(labels, "name", None)
        chunk, values = _unlabelled(inputs), _as_labels(labels)
        name = _free_name(name if isinstance(name, str) else "target", chunk, values)
        return Chunk(chunk.table, chunk.inputs, values, name)
    return _unlabelled(data)


def _free_name(name: str, chunk: Chunk, labels: NDArray[Any]) -> str:
    """The name of labels; another one if a column of the inputs has it.

    A column with these very values is the labels once more, which no model may see.
    """
    while name in chunk.names and not _are_same(chunk.column(name), labels):
        name += "_label"
    return name


def _are_same(column: NDArray[Any], labels: NDArray[Any]) -> bool:
    return column.shape == labels.shape and bool(np.all(column == labels))


def _unlabelled(data: Any) -> Chunk:
    data = _columns_with_pictures(data)
    if _roots(data) & set(_FRAME_ROOTS) and not hasattr(data, "__array_interface__"):
        return Chunk(table=_tables().as_table(data))
    if _is_records(data):
        return Chunk(table=_tables().table_of(data))
    if isinstance(data, Mapping):
        columns = {str(name): _as_numpy(part) for name, part in data.items()}
        if not columns:
            raise DatasetError("the mapping of columns is empty")
        _check_lengths({name: len(part) for name, part in columns.items()})
        if all(p.ndim == 1 and not holds_pictures(p) for p in columns.values()):
            table = _tables().as_table(columns)
            return Chunk(table=_tables().remember_numbers(table, data))
        return Chunk(inputs=columns)
    if isinstance(data, Sequence) and all(isinstance(text, str) for text in data):
        return Chunk(inputs=list(data))
    return Chunk(inputs=_as_numpy(data))


def _columns_with_pictures(data: Any) -> Any:
    """A frame or records as a mapping of columns, if some are images: Arrow has none."""
    if _is_records(data):
        if not any(map(is_picture, data[0].values())):
            return data
        return {name: [each.get(name) for each in data] for name in data[0]}
    if not hasattr(data, "iloc") or not hasattr(data, "columns") or not len(data):
        return data
    if not any(map(is_picture, data.iloc[0])):
        return data
    _tables().refuse_repeated([str(name) for name in data.columns])
    return {str(name): list(data[name]) for name in data.columns}


def _check_lengths(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        told = some_of(f"{name!r} has {rows}" for name, rows in lengths.items())
        raise DatasetError(f"the columns have different numbers of rows: {told}")


def _as_numpy(data: Any) -> NDArray[Any]:
    if isinstance(data, list | tuple) or getattr(data, "dtype", None) == object:
        pictures = stacked_pictures(data)
        if pictures is not None:
            return pictures
    try:
        array = array_of(data)
    except ValueError as err:
        raise DatasetError(f"the rows are not all of one shape: {err}") from err
    if array.ndim == 0:
        raise DatasetError(
            f"a single {type(data).__qualname__} can't be read as rows of inputs; give "
            "an array of shape (n_samples, ...), or a list of records such as "
            "[{'a': 1.0}]"
        )
    return array


def _as_labels(labels: Any) -> NDArray[Any]:
    if _roots(labels) & set(_FRAME_ROOTS) and not hasattr(
        labels, "__array_interface__"
    ):
        if not hasattr(labels, "columns"):
            labels = {"target": labels}
        table = _tables().as_table(labels)
        columns = [_tables().column_values(table, name) for name in table.column_names]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    array = without_decimals(_as_numpy(labels))
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _slices(chunk: Chunk, rows: int) -> Iterator[Chunk]:
    for start in range(0, chunk.rows, rows):
        part = slice(start, start + rows)
        labels = None if chunk.labels is None else chunk.labels[part]
        if start == 0 and chunk.labels is not None:
            _check_lengths({"X": chunk.rows, "y": len(chunk.labels)})
        table = None if chunk.table is None else chunk.table.slice(start, rows)
        yield Chunk(table, _slice(chunk.inputs, part), labels, chunk.label_name)


def _slice(inputs: Any, part: slice) -> Any:
    if isinstance(inputs, Mapping):
        return {name: values[part] for name, values in inputs.items()}
    return None if inputs is None else inputs[part]


def _open_files(text: str, rows: int, texts: Collection[str]) -> Source:
    path = unquote(urlparse(text).path) if text.startswith("file://") else text
    given = Path(path)
    if given.is_dir():
        files = sorted(f for f in given.rglob("*") if f.suffix.lower() in _FILE_KINDS)
    elif given.exists():
        files = [given]
    else:
        files = sorted(Path(found) for found in glob.glob(path, recursive=True))
    if not files:
        raise DatasetError(
            f"there is no file {text!r}; give the path or glob of CSV or Parquet files"
        )
    kinds = {_FILE_KINDS.get(file.suffix.lower(), file.suffix) for file in files}
    if len(kinds) > 1 or not kinds <= set(_FILE_KINDS.values()):
        raise DatasetError(
            f"{text!r} matches files of the kinds {some_of(sorted(kinds))}; give CSV or "
            "Parquet files, of one kind"
        )
    kind = kinds.pop()
    return Source(
        given.name,
        lambda: (
            Chunk(table=t) for t in _tables().read_files(files, kind, rows, texts)
        ),
        uri=str(given.absolute()),
        rows=_tables().rows_of(files) if kind == "parquet" else None,
    )


def _open_mlflow(dataset: Any, rows: int) -> Source:
    """Of ``mlflow.data``: its frame or arrays, with the targets that it names."""
    held = (getattr(dataset, name, None) for name in _HELD_BY_MLFLOW)
    data = next((each for each in held if each is not None), None)
    targets = getattr(dataset, "targets", None)
    if data is None:
        raise DatasetError(
            f"an MLflow dataset of type {type(dataset).__qualname__} can't be read; "
            "give one of from_pandas, from_polars, from_numpy or from_huggingface"
        )
    if targets is not None and not isinstance(targets, str):
        data, targets = (data, targets), None
    opened = open_source(data, rows)
    return replace(opened, name=str(dataset.name), target=targets)


def _open_hugging_face(dataset: Any, rows: int) -> Source:
    """A Dataset or IterableDataset of Hugging Face; images decoded to arrays."""
    if isinstance(dataset, Mapping):
        raise DatasetError(
            f"a {type(dataset).__qualname__} holds the splits {some_of(dataset)}; give "
            "one of them"
        )
    kinds = [_has_class(each, "Image") for each in (dataset.features or {}).values()]
    form = None if any(kinds) else "arrow"
    return Source(
        str(getattr(dataset, "config_name", None) or "Hugging Face dataset"),
        lambda: map(_unlabelled, dataset.with_format(form).iter(batch_size=rows)),
        rows=getattr(dataset, "num_rows", None),
    )


def _tensorflow_chunks(dataset: Any, rows: int) -> Iterator[Chunk]:
    labels = (
        dataset.element_spec[-1] if isinstance(dataset.element_spec, tuple) else None
    )
    if labels is not None and labels.shape.rank == 0:
        dataset = dataset.batch(rows)
    for batch in dataset.as_numpy_iterator():
        yield _chunk(batch)


def _tables() -> Any:
    return import_adapter("brixa_flows.prediction._tables")
