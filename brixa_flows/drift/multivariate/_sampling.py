"""Adapter to pyarrow: a random sample of the rows of any data, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift._arrow_columns import kind_of
from brixa_flows.drift._arrow_reading import read_batches
from brixa_flows.drift._arrow_tensors import flattened
from brixa_flows.drift.column import ColumnKind
from brixa_flows.drift.performance._arrow import floats, texts
from brixa_flows.drift.radix import Floats

__all__ = ["kind", "numbers", "rows", "sample", "table", "texts", "vectors", "widths"]


def sample(
    data: Any, columns: Sequence[str] | None, most: int, rng: np.random.Generator
) -> tuple[dict[str, pa.Array], int, dict[str, int]]:
    """At most so many rows, each as likely, and how many there were.

    Each row draws a number, and the smallest ones stay.

    Returns:
        The columns, the number of rows, and of how many rows a column was not there, as
        files differ.
    """
    kept: pa.Table | None = None
    drawn, seen, there = np.empty(0), 0, Counter[str]()
    for batch in read_batches(data, columns):
        drawn_now = rng.random(batch.num_rows)
        seen += batch.num_rows
        there.update(dict.fromkeys(batch.schema.names, batch.num_rows))
        table = pa.Table.from_batches([batch])
        if kept is not None:
            drawn_now = np.concatenate([drawn, drawn_now])
            table = pa.concat_tables([kept, table], promote_options="permissive")
        if len(drawn_now) > most:
            places = np.sort(np.argpartition(drawn_now, most)[:most])
            drawn_now, table = drawn_now[places], table.take(pa.array(places))
        kept, drawn = table, drawn_now
    if kept is None:
        return {}, 0, {}
    absent = {name: seen - rows for name, rows in there.items() if rows < seen}
    joined = kept.unify_dictionaries().combine_chunks()
    names = joined.column_names
    return {name: _single(joined[name]) for name in names}, seen, absent


def table(columns: dict[str, pa.Array]) -> pa.Table:
    """The sample as data."""
    return pa.table(columns)


def kind(column: pa.Array) -> ColumnKind:
    """What its values are."""
    return kind_of(column.type)


def numbers(column: pa.Array, name: str) -> Floats:
    """Of shape (n_rows,), NaN where missing."""
    return floats(column, name)


def rows(column: pa.Array, width: int) -> Floats:
    """Tensors of one size, of shape (n_rows, width), NaN where a row is missing."""
    made = np.full((len(column), width), np.nan)
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    made[valid] = flattened(column.drop_null())[0].reshape(-1, width)
    return made


def vectors(made: Floats) -> pa.Array:
    """Vectors of shape (n_rows, n_numbers) as a column of lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), made.shape[1])


def widths(column: pa.Array) -> set[int]:
    """How many numbers the rows of a tensor have."""
    known = column.drop_null()
    owners = flattened(known)[1]
    return set(np.bincount(owners, minlength=len(known)).tolist())


def _single(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        made = column.chunk(0)
    else:
        made = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0)
    return made.storage if isinstance(made, pa.ExtensionArray) else made
