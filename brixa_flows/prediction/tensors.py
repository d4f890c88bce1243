"""Tensors of any library as arrays; none of the libraries is imported."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["array_of"]


def array_of(values: Any) -> NDArray[Any]:
    """An array of the values of a tensor, or of whatever numpy takes.

    A tensor may be on a device, part of a graph of gradients, or of a type that numpy
    lacks, such as bfloat16, whose values are float32 then.

    Raises:
        ValueError: If the values are not all of one shape.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if not hasattr(np, str(values.dtype).rpartition(".")[2]):
            values = values.float()
    array = np.asarray(values)
    if array.dtype.kind == "V" and array.dtype.names is None:  # those of ml_dtypes
        array = array.astype(np.float32)
    return array
