"""Adapter to pyarrow: columns of any form of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift._arrow_columns import kind_of
from brixa_flows.drift._arrow_reading import read_batches
from brixa_flows.drift.performance.columns import Texts
from brixa_flows.drift.radix import Floats
from brixa_flows.errors import DriftError, some_of

__all__ = ["floats", "is_number", "read", "texts"]


def read(data: Any, names: Sequence[str]) -> dict[str, pa.Array]:
    """All rows of the named columns.

    Raises:
        DriftError: If a column is absent, also in one file of several: rows without a
            feature would be judged as if its value were missing.
    """
    wanted, batches = list(dict.fromkeys(names)), []
    for batch in read_batches(data, wanted):
        absent = [name for name in wanted if name not in batch.schema.names]
        if absent and batch.num_rows:
            raise DriftError(
                f"a part of the data, such as a file of a folder, has no column "
                f"{some_of(absent)}, which other parts have; give parts that all have it"
            )
        if not absent:
            batches.append(batch)
    return {name: _joined([batch.column(name) for batch in batches]) for name in wanted}


def is_number(column: pa.Array) -> bool:
    """Whether it is counted in bins and not in categories."""
    return kind_of(column.type) in ("numeric", "datetime")


def floats(column: pa.Array, name: str) -> Floats:
    """Numbers and truth values."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    try:
        values = column.cast(pa.float64(), safe=False)
    except pa.ArrowException as err:
        raise DriftError(
            f"column {name!r} holds {column.type} values and not numbers: {err}"
        ) from err
    made: Floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return made


def texts(column: pa.Array) -> Texts:
    """One text for each value, coded once."""
    if pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        words = [None if value is None else str(value) for value in column.to_pylist()]
        return np.array(words, dtype=object)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = [_text(value) for value in column.dictionary.to_pylist()]
    table = np.array([*names, None], dtype=object)
    codes = pc.fill_null(column.indices.cast(pa.int64()), len(names))
    found: Texts = table[codes.to_numpy(zero_copy_only=False)]
    return found


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        if np.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _joined(parts: list[pa.Array]) -> pa.Array:
    """Batches may differ where one of them holds nothing, or has its own words."""
    parts = [part for part in parts if len(part)] or parts[:1]
    types = {part.type for part in parts}
    if len(types) > 1:
        named = [each for each in types if not pa.types.is_null(each)]
        parts = [part.cast(named[0]) for part in parts]
    joined = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
