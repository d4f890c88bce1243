"""Any dataset as labelled batches in the form a model takes, with its digest.

Known forms: ``(X, y)`` of arrays, frames or lists; pandas and polars frames; Arrow
tables; a mapping of columns; the path or glob of CSV or Parquet files (read in bounded
batches); torch datasets and data loaders; ``tf.data``; any iterable of batches of
these forms. Types are told by the names of their classes: none of those libraries is
imported here.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.prediction.digest import ContentDigest
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.sources import Chunk, Source, open_source
from brixa_flows.registry.metadata import DatasetRef, ModelMetadata

__all__ = ["Batch", "LabelledBatches", "as_batches"]

_TARGET_OF_PAIRS = "target"


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        chunk: The rows as they were read.
        target: Name of the label column, if the rows are a table.
        inputs: What the model takes.
        labels: Of shape (n_samples,), ``None`` if there are none.
    """

    chunk: Chunk
    target: str | None
    inputs: Any
    labels: NDArray[Any] | None

    def inputs_for(self, metadata: ModelMetadata | None) -> Any:
        """The same rows in the form that another version takes."""
        return _inputs(self.chunk, InputForm.of(metadata), self.target)

    def column(self, name: str) -> NDArray[Any]:
        """The values of any column of the rows, of shape (n_samples,).

        Raises:
            DatasetError: If there is none of that name.
        """
        table = self.chunk.table
        names = [] if table is None else table.column_names
        if name not in names:
            raise DatasetError(
                f"the dataset has no column {name!r}; it has: {some_of(names)}"
            )
        values: NDArray[Any] = _tables().column_values(table, name)
        return values


class LabelledBatches:
    """A dataset that is read batch by batch.

    Iterating computes :attr:`digest`, :attr:`rows` and :attr:`columns` on the way; asked
    for before, they cost a pass of their own (which a one-shot iterator can't give).

    Args:
        source: Where the rows come from.
        form: How the model takes them.
        target: Name of the label column; ``None`` infers it.
        besides: Columns that are surely not the label.
        labelled: Whether rows without a label are an error.
        name: What people call the dataset.
    """

    def __init__(
        self,
        source: Source,
        form: InputForm,
        *,
        target: str | None = None,
        besides: Collection[str] = (),
        labelled: bool = True,
        name: str | None = None,
    ) -> None:
        self._source = source
        self._form = form
        self._asked = target
        self._besides = frozenset(besides)
        self._labelled = labelled
        self._facts: tuple[str, int, dict[str, str]] | None = None
        self._started = False
        self.target: str | None = target
        self.name = name or source.name
        self.uri = source.uri

    def __iter__(self) -> Iterator[Batch]:
        if self._started and self._source.once:
            raise DatasetError(
                "this iterator of batches was read already and can't be read again; "
                "give a list of batches or a function's result afresh"
            )
        self._started = True
        digest, rows, columns = ContentDigest(), 0, dict[str, str]()
        for chunk in self._source.chunks():
            target = self._target_in(chunk)
            labels = self._labels(chunk, target)
            columns = columns or chunk.types(target)
            rows += chunk.rows
            _add_to_digest(digest, chunk, target)
            yield Batch(chunk, target, _inputs(chunk, self._form, target), labels)
        if rows == 0:
            raise DatasetError(f"the dataset {self.name!r} has no rows")
        self._facts = digest.hexdigest(), rows, columns

    @property
    def digest(self) -> str:
        """SHA-256 of the content, its first 32 hexadecimal digits."""
        return self._read_facts()[0]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._read_facts()[1]

    @property
    def columns(self) -> dict[str, str]:
        """Type name by column, label included."""
        return self._read_facts()[2]

    def reference(self, role: str = "evaluation") -> DatasetRef:
        """The dataset as lineage knows it."""
        return DatasetRef(
            name=self.name,
            uri=self.uri,
            digest=self.digest,
            rows=self.rows,
            columns=self.columns,
            role=role,
        )

    def _read_facts(self) -> tuple[str, int, dict[str, str]]:
        if self._facts is None:
            for _ in self:
                pass
        assert self._facts is not None
        return self._facts

    def _target_in(self, chunk: Chunk) -> str | None:
        if chunk.labels is not None or chunk.table is None:
            return self._asked if chunk.labels is None else chunk.label_name
        names = chunk.table.column_names
        if self._asked is not None:
            if self._asked not in names:
                raise DatasetError(
                    f"the target column {self._asked!r} is not in the dataset; it has: "
                    f"{some_of(names)}"
                )
            return self._asked
        self.target = self.target or self._infer_target(names)
        return self.target

    def _infer_target(self, names: Sequence[str]) -> str | None:
        if self._form.kind == "named":
            taken = self._besides.union(self._form.columns)
            spare = [name for name in names if name not in taken]
            if len(spare) == 1:
                return spare[0]
            if not self._labelled:
                return None
            why = (
                f"its columns that {self._form.model} was not trained on are: "
                f"{some_of(spare)}"
            )
        else:
            if not self._labelled:
                return None
            why = f"{self._form.model} names no columns; the dataset has: {some_of(names)}"
        raise DatasetError(
            f"can't tell which column holds the labels ({why}); say target='...'"
        )

    def _labels(self, chunk: Chunk, target: str | None) -> NDArray[Any] | None:
        labels = chunk.labels
        if labels is None and chunk.table is not None and target is not None:
            labels = _tables().column_values(chunk.table, target)
        if labels is None and self._labelled:
            raise DatasetError(
                "the dataset has inputs but no labels; give (X, y), or a table with a "
                "target column"
            )
        if labels is not None and len(labels) != chunk.rows:
            raise DatasetError(
                f"there are {chunk.rows} rows of inputs but {len(labels)} labels; each "
                "row needs one"
            )
        return labels


def as_batches(
    dataset: Any,
    *,
    target: str | None = None,
    metadata: ModelMetadata | None = None,
    batch_rows: int = 10_000,
    name: str | None = None,
    besides: Collection[str] = (),
    labelled: bool = True,
) -> LabelledBatches:
    """Read any supported dataset batch by batch.

    Args:
        dataset: The data, in one of the forms above.
        target: Name of the label column of a table; ``None`` takes the one column that
            is not in the model's input schema.
        metadata: Of the model whose form the inputs should have.
        batch_rows: Rows of a batch, at most, where the source leaves us the choice.
        name: What people call it; else told by its path or type.
        besides: Columns that are surely not the label, when it is inferred.
        labelled: Whether rows without labels are an error.

    Raises:
        DatasetError: If the form is not known; at iteration, if labels or columns are
            not to be found.
    """
    if isinstance(dataset, LabelledBatches):
        return dataset
    if batch_rows < 1:
        raise DatasetError(f"batch_rows must be 1 or more, not {batch_rows}")
    source = open_source(dataset, batch_rows)
    form = InputForm.of(metadata)
    return LabelledBatches(
        source, form, target=target, besides=besides, labelled=labelled, name=name
    )


def _inputs(chunk: Chunk, form: InputForm, target: str | None) -> Any:
    if chunk.table is not None:
        return form.from_table(chunk.table, target)
    return form.from_array(chunk.inputs)


def _add_to_digest(digest: ContentDigest, chunk: Chunk, target: str | None) -> None:
    if chunk.table is not None:
        for name in chunk.table.column_names:
            digest.update_column(name, chunk.table.column(name))
    elif isinstance(chunk.inputs, dict):
        for name, values in chunk.inputs.items():
            digest.update_block(str(name), np.asarray(values))
    else:
        digest.update_block("inputs", np.asarray(chunk.inputs))
    if chunk.labels is not None:
        digest.update_block(target or _TARGET_OF_PAIRS, chunk.labels)


def _tables() -> Any:
    return importlib.import_module("brixa_flows.prediction._tables")
