"""Items of a torch dataset, stacked to chunks of rows; torch itself is not imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError
from brixa_flows.prediction.pictures import stacked_pictures
from brixa_flows.prediction.tensors import array_of

__all__ = ["stacked_items"]


def stacked_items(dataset: Any, rows: int) -> Iterator[Any]:
    """Items of a map-style or iterable dataset, ``rows`` at a time.

    An item is a pair (inputs, label), whose inputs may be a text, an array or a mapping
    of arrays; or a mapping in which the label has a name.

    Yields:
        A pair (inputs, labels) or a mapping of arrays, one row an item.

    Raises:
        DatasetError: If an item is neither, or items differ in shape.
    """
    items = (
        dataset
        if not hasattr(dataset, "__len__")
        else (dataset[index] for index in range(len(dataset)))
    )
    kept: list[Any] = []
    for item in items:
        kept.append(item)
        if len(kept) == rows:
            yield _stacked(kept)
            kept = []
    if kept:
        yield _stacked(kept)


def _stacked(items: list[Any]) -> Any:
    first = items[0]
    if isinstance(first, Mapping):
        return _side_by_side(items)
    if not isinstance(first, tuple | list) or len(first) != 2:
        parts = f" of {len(first)} parts" if isinstance(first, tuple | list) else ""
        raise DatasetError(
            "each item of a torch dataset must be a pair (inputs, label) or a mapping, "
            f"but the first is a {type(first).__qualname__}{parts}"
        )
    stack: Callable[[list[Any]], Any] = _column
    if isinstance(first[0], Mapping):
        stack = _side_by_side
    elif isinstance(first[0], str):
        stack = list
    return stack([pair[0] for pair in items]), _column([pair[1] for pair in items])


def _side_by_side(items: list[Any]) -> dict[str, Any]:
    return {name: _column([item[name] for item in items]) for name in items[0]}


def _column(values: list[Any]) -> NDArray[Any]:
    pictures = stacked_pictures(values)
    if pictures is not None:
        return pictures
    arrays = list(map(array_of, values))
    try:
        return np.stack(arrays)
    except ValueError as err:
        raise DatasetError(
            f"the items of the torch dataset are not all of one shape: {err}; pad them, "
            "or give a DataLoader whose collate_fn does"
        ) from err
