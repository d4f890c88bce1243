"""What the adapters of gradient boosting libraries share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import Prediction, SavedModel
from brixa_flows.serializers.pickled import save_by_value

__all__ = ["as_table", "by_value_or_refuse", "from_probabilities", "is_json"]


def as_table(inputs: Any) -> Any:
    """A DataFrame of columns by name; anything else as it is.

    Raises:
        DatasetError: If the columns are not of one length.
    """
    if not isinstance(inputs, Mapping):
        return inputs
    try:
        return pd.DataFrame(dict(inputs))
    except ValueError as err:
        raise DatasetError(f"the columns are no table: {err}") from err


def from_probabilities(raw: NDArray[Any]) -> Prediction:
    """The answer of a bare booster whose raw output is probabilities.

    Args:
        raw: Of the second class, of shape (n_samples,); or of each class, of shape
            (n_samples, n_classes).
    """
    scores = np.column_stack([1 - raw, raw]) if raw.ndim == 1 else raw
    classes = tuple(range(scores.shape[1]))
    return Prediction(scores.argmax(axis=1), scores, classes)


def is_json(value: Any) -> bool:
    """Whether JSON gives ``value`` back as it is."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def by_value_or_refuse(
    serializer: str, model: Any, directory: Path, wanted: str | None, because: str
) -> SavedModel:
    """For a model that the data format can't hold: cloudpickle, if no format was asked.

    Args:
        serializer: Name of the plug-in.
        model: The model.
        directory: Where to write.
        wanted: The data format that the caller asked for, if any.
        because: Why it can't hold the model.

    Raises:
        SerializationError: If the data format was asked for.
    """
    if wanted is not None:
        raise SerializationError(
            f"the {type(model).__qualname__} can't be saved in the format {wanted}: "
            f"{because}; leave format= out, or ask for cloudpickle"
        )
    return save_by_value(serializer, model, directory, because)
