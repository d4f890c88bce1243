"""What is checked of inputs and labels that come as a pair."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError

__all__ = ["refuse_more_parts", "refuse_other_order", "without_decimals"]


def refuse_other_order(inputs: Any, labels: Any) -> None:
    """Refuse frames of one index in two orders, which read by place would mix rows up.

    Raises:
        DatasetError: If they are.
    """
    if not (hasattr(inputs, "iloc") and hasattr(labels, "iloc")):
        return
    if len(inputs) != len(labels) or inputs.index.equals(labels.index):
        return
    if inputs.index.is_unique and inputs.index.isin(labels.index).all():
        raise DatasetError(
            "the rows of X and y have the same index in different orders; give "
            "(X, y.loc[X.index]), or both after reset_index(drop=True) if they belong "
            "together by place"
        )


def refuse_more_parts(data: Any) -> None:
    """Refuse ``(x, y, sample_weight)``, of which nobody could tell what is judged.

    Raises:
        DatasetError: If it is one.
    """
    if not isinstance(data, list | tuple) or len(data) < 3:
        return
    if not all(hasattr(each, "shape") for each in data[1:]):
        return
    alike = len({np.shape(each) for each in data}) == 1
    if isinstance(data, list) and alike and not hasattr(data[0], "detach"):
        return  # rows
    if any(hasattr(each, "columns") for each in data[1:]):
        return  # batches
    raise DatasetError(
        f"there are {len(data)} parts, but only pairs (inputs, labels) are read; leave "
        "sample weights out (of a tf.data dataset: .map(lambda x, y, w: (x, y))), and "
        "give several inputs as a mapping: ({'a': a, 'b': b}, labels)"
    )


def without_decimals(array: NDArray[Any]) -> NDArray[Any]:
    """Decimals as the numbers they are: whole ones as whole numbers."""
    if array.dtype != object or not isinstance(next(iter(array.flat), None), Decimal):
        return array
    if not all(
        isinstance(value, Decimal) and value.is_finite() for value in array.flat
    ):
        return array
    whole = all(value == int(value) for value in array.flat)
    return array.astype(np.int64 if whole else np.float64)
