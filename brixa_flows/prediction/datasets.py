"""Any dataset as labelled batches in the form a model takes, with its digest.

Known forms: ``(X, y)`` of arrays, frames or lists; pandas and polars frames; Arrow
tables; a mapping of columns; the path or glob of CSV or Parquet files (read in bounded
batches); torch datasets and data loaders; ``tf.data``; Hugging Face datasets; datasets
of ``mlflow.data``; any iterable of batches of these forms. Types are told by the names
of their classes: none of those libraries is imported here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.digest import ContentDigest
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.sources import Chunk, Source, open_source
from brixa_flows.registry.facts.metadata import DatasetRef, ModelMetadata

__all__ = ["Batch", "LabelledBatches", "as_batches"]

_TARGET_OF_PAIRS = "target"
_USUAL_TARGETS = ("label", "labels")


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        chunk: The rows as they were read.
        targets: Names of the label columns, if the rows have names.
        inputs: What the model takes.
        labels: Of shape (n_samples,), or (n_samples, n_labels) of several target
            columns; ``None`` if there are none.
    """

    chunk: Chunk
    targets: tuple[str, ...]
    inputs: Any
    labels: NDArray[Any] | None

    def inputs_for(self, metadata: ModelMetadata | None) -> Any:
        """The same rows in the form that another version takes."""
        return _inputs(self.chunk, InputForm.of(metadata), self.targets)

    def column(self, name: str) -> NDArray[Any]:
        """The values of any column of the rows, of shape (n_samples,).

        Raises:
            DatasetError: If there is none of that name.
        """
        if name not in self.chunk.names:
            raise DatasetError(
                f"the dataset has no column {name!r} to slice by; it has: "
                f"{some_of(self.chunk.names)}; add it, or take it out of the slices "
                "(those of the gates, if a policy asks)"
            )
        return self.chunk.column(name)


class LabelledBatches:
    """A dataset that is read batch by batch.

    Iterating computes :attr:`digest`, :attr:`rows` and :attr:`columns` on the way; asked
    for before, they cost a pass of their own (which a one-shot iterator can't give).

    Args:
        source: Where the rows come from.
        form: How the model takes them.
        target: Name of the label column, or of several; ``None`` infers it.
        besides: Columns that are surely not the label.
        labelled: Whether rows without a label are an error.
        name: What people call the dataset.
        may_be_empty: Whether no rows at all are no error.
    """

    def __init__(
        self,
        source: Source,
        form: InputForm,
        *,
        target: str | Sequence[str] | None = None,
        besides: Collection[str] = (),
        labelled: bool = True,
        name: str | None = None,
        may_be_empty: bool = False,
    ) -> None:
        self._source = source
        self._form = form
        self._asked = _names(target if target is not None else source.target)
        self._besides = frozenset(besides)
        self._labelled = labelled
        self._may_be_empty = may_be_empty
        self._facts: tuple[str, int, dict[str, str]] | None = None
        self._started = False
        self._found = self._asked
        self.name = name or source.name
        self.uri = source.uri
        self.once = source.once
        self.expected_rows = source.rows

    def __iter__(self) -> Iterator[Batch]:
        if self._started and self._source.once:
            raise DatasetError(
                "this iterator of batches was read already and can't be read again; "
                "give a list of batches or a function's result afresh"
            )
        self._started = True
        digest, rows, columns = ContentDigest(), 0, dict[str, str]()
        for chunk in self._source.chunks():
            if not chunk.rows and not self._may_be_empty:
                continue
            targets = self._targets_in(chunk)
            labels = self._labels(chunk, targets)
            columns = columns or chunk.types(targets[0] if targets else None)
            rows += chunk.rows
            _add_to_digest(digest, chunk, targets)
            yield Batch(chunk, targets, _inputs(chunk, self._form, targets), labels)
        if rows == 0 and not self._may_be_empty:
            raise DatasetError(f"the dataset {self.name!r} has no rows")
        self._facts = digest.hexdigest(), rows, columns

    @property
    def target(self) -> str | None:
        """Name of the label column (of several, with commas), once it is known."""
        return ", ".join(self._found) or None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the label columns, once they are known."""
        return self._found

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

    def _targets_in(self, chunk: Chunk) -> tuple[str, ...]:
        if chunk.labels is not None:
            return (chunk.label_name,)
        names = chunk.names
        if not names:
            return self._asked
        lacking = [name for name in self._asked if name not in names]
        if lacking:
            raise DatasetError(
                f"the target column {lacking[0]!r} is not in the dataset; it has: "
                f"{some_of(names)}"
            )
        self._found = self._asked or self._found or self._infer_target(names)
        return self._found

    def _infer_target(self, names: Sequence[str]) -> tuple[str, ...]:
        if self._form.kind == "named":
            taken = self._besides.union(self._form.columns)
            spare = [name for name in names if name not in taken]
            if len(spare) == 1:
                return (spare[0],)
            if not self._labelled:
                return ()
            why = (
                f"its columns that {self._form.model} was not trained on are: "
                f"{some_of(spare)}"
            )
        else:
            if not self._labelled:
                return ()
            usual = [name for name in names if name in _USUAL_TARGETS]
            if len(usual) == 1:
                return (usual[0],)
            why = f"{self._form.model} names no columns; the dataset has: {some_of(names)}"
        raise DatasetError(
            f"can't tell which column holds the labels ({why}); say target='...'"
        )

    def _labels(self, chunk: Chunk, targets: Sequence[str]) -> NDArray[Any] | None:
        labels = chunk.labels
        if labels is None and targets and chunk.names:
            columns = [chunk.column(name) for name in targets]
            labels = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
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
    target: str | Sequence[str] | None = None,
    metadata: ModelMetadata | None = None,
    batch_rows: int | None = None,
    name: str | None = None,
    besides: Collection[str] = (),
    labelled: bool = True,
    may_be_empty: bool = False,
) -> LabelledBatches:
    """Read any supported dataset batch by batch.

    Args:
        dataset: The data, in one of the forms above.
        target: Name of the label column of a table, or of several that hold 0 and 1;
            ``None`` takes the one column that is not in the model's input schema, or
            the one that is called ``label`` or ``labels``.
        metadata: Of the model whose form the inputs should have.
        batch_rows: Rows of a batch, at most, where the source leaves us the choice;
            ``None`` for what suits the model.
        name: What people call it; else told by its path or type.
        besides: Columns that are surely not the label, when it is inferred.
        labelled: Whether rows without labels are an error.
        may_be_empty: Whether no rows at all are no error.

    Raises:
        DatasetError: If the form is not known; at iteration, if labels or columns are
            not to be found.
    """
    if isinstance(dataset, LabelledBatches):
        return dataset
    form = InputForm.of(metadata)
    rows = form.usual_rows if batch_rows is None else batch_rows
    if rows < 1:
        raise DatasetError(f"batch_rows must be 1 or more, not {batch_rows}")
    source = open_source(dataset, rows, form.texts)
    return LabelledBatches(
        source,
        form,
        target=target,
        besides=besides,
        labelled=labelled,
        name=name,
        may_be_empty=may_be_empty,
    )


def _names(target: str | Sequence[str] | None) -> tuple[str, ...]:
    if target is None:
        return ()
    if isinstance(target, str) or not isinstance(target, Iterable):
        return (str(target),)  # a number is the name of a column too
    return tuple(map(str, target))


def _inputs(chunk: Chunk, form: InputForm, targets: Sequence[str]) -> Any:
    if chunk.table is not None:
        return form.from_table(chunk.table, targets)
    if isinstance(chunk.inputs, dict) and chunk.labels is None:
        rest = {k: v for k, v in chunk.inputs.items() if k not in targets}
        return form.from_array(rest)
    return form.from_array(chunk.inputs)


def _add_to_digest(digest: ContentDigest, chunk: Chunk, targets: Sequence[str]) -> None:
    if chunk.table is not None:
        for name in chunk.table.column_names:
            digest.update_column(name, chunk.table.column(name))
    elif isinstance(chunk.inputs, dict):
        for name, values in chunk.inputs.items():
            digest.update_block(str(name), np.asarray(values), alone=False)
    else:
        digest.update_block("inputs", np.asarray(chunk.inputs))
    if chunk.labels is not None:
        name = targets[0] if targets else _TARGET_OF_PAIRS
        digest.update_block(name, chunk.labels, alone=False)


def _tables() -> Any:
    return import_adapter("brixa_flows.prediction._tables")
