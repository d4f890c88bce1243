"""Says which columns and rows a model stumbled over, where it says only that it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import BrixaError, UnansweredRowsError, some_of
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry.facts.metadata import ModelMetadata

__all__ = ["unanswered"]

_LONGEST_REASON = 300  # a library may print the whole array
_NUMBERS = ("int", "uint", "float")


def unanswered(
    err: Exception, metadata: ModelMetadata, inputs: Any, rows: int, start: int
) -> UnansweredRowsError:
    """The error of a model that raised, with what is odd in the rows it was given.

    Args:
        err: What was raised.
        metadata: Of the model.
        inputs: What it was given.
        rows: How many rows these are.
        start: Rows of the dataset before them.
    """
    where = f"{metadata.name} {metadata.version}"
    said = f"raised {type(err).__name__}: {' '.join(str(err).split())}"
    if isinstance(err, BrixaError):
        said = err.message.removeprefix(f"{where}: ")
    if len(said) > _LONGEST_REASON:
        said = f"{said[:_LONGEST_REASON]} ..."
    dtypes = InputForm.of(metadata).dtypes
    faults = {
        name: fault
        for name, values in _columns(inputs)
        if (fault := _fault(values, dtypes.get(name, ""), start))
    }
    blamed = some_of(f"column {name!r} {fault}" for name, fault in faults.items())
    told = f"{blamed}; it " if faults else f"of {rows} rows{_given(inputs)}, it "
    said = said if said.startswith("raised ") else f"says: {said}"
    return UnansweredRowsError(f"{where}: {told}{said}", columns=tuple(faults))


def _columns(inputs: Any) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Named columns of values, as far as the inputs have some."""
    if hasattr(inputs, "iloc") and hasattr(inputs, "columns"):
        for name in inputs.columns:
            yield name, np.asarray(inputs[name])
    elif isinstance(inputs, Mapping):
        for name, values in inputs.items():
            yield name, np.asarray(values)
    elif isinstance(inputs, np.ndarray) and inputs.ndim == 2:
        for place in range(inputs.shape[1]):
            yield place, inputs[:, place]


def _fault(values: NDArray[Any], dtype: str, start: int) -> str:
    """What a model may not take of a column, with the count and the first row."""
    flat = values.reshape(len(values), -1)
    if values.dtype.kind == "f":
        bad = ~np.isfinite(flat).all(axis=1)
        return _of(bad, "is NaN or infinite", start)
    numeric = dtype.startswith(_NUMBERS)
    if values.dtype.kind not in "OUT":
        odd = np.full(len(values), numeric and values.dtype.kind not in "iub")
        return _of(odd, f"holds {values.dtype}, not {dtype} as in training,", start)
    texts = np.array([any(isinstance(v, str) for v in row) for row in flat])
    if texts.any() and numeric:
        example = values[int(texts.argmax())]
        told = _of(texts, "holds text", start)
        return f"{told}, such as {str(example)[:40]!r}, but was {dtype} in training"
    missing = np.array([any(v is None or v != v for v in row) for row in flat])
    return _of(missing, "is missing", start)


def _of(bad: NDArray[np.bool_], what: str, start: int) -> str:
    if not bad.any():
        return ""
    first = start + int(bad.argmax())
    return f"{what} in {int(bad.sum())} of {len(bad)} rows (the first is row {first})"


def _given(inputs: Any) -> str:
    """What they were, in a few words."""
    if hasattr(inputs, "columns"):
        names = some_of(map(repr, inputs.columns))
        return f" with the columns {names}"
    if isinstance(inputs, Mapping):
        return f" with the columns {some_of(map(repr, inputs))}"
    return f" of shape {np.shape(inputs)}" if hasattr(inputs, "shape") else ""
