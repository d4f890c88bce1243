"""Inputs and predictions of golden artifacts as JSON, which will be readable for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brixa_flows.serializers import Prediction

DATA = Path(__file__).parents[1] / "data"


def as_json(inputs: Any) -> Any:
    """A table, an array, a mapping of arrays, or nothing."""
    if inputs is None:
        return None
    if isinstance(inputs, pd.DataFrame):
        return {"table": {name: _array(inputs[name]) for name in inputs.columns}}
    if isinstance(inputs, dict):
        return {"mapping": {name: _array(each) for name, each in inputs.items()}}
    return {"array": _array(inputs)}


def from_json(stored: Any) -> Any:
    """What :func:`as_json` was given."""
    if stored is None:
        return None
    ((kind, content),) = stored.items()
    if kind == "array":
        return _from_array(content)
    columns = {name: _from_array(each) for name, each in content.items()}
    return pd.DataFrame(columns) if kind == "table" else columns


def prediction_as_json(prediction: Prediction) -> dict[str, Any]:
    """Values, scores and classes."""
    scores = prediction.scores
    return {
        "values": _array(prediction.values),
        "scores": None if scores is None else _array(scores),
        "classes": prediction.classes,
    }


def prediction_from_json(stored: dict[str, Any]) -> Prediction:
    """What :func:`prediction_as_json` was given."""
    scores, classes = stored["scores"], stored["classes"]
    return Prediction(
        _from_array(stored["values"]),
        None if scores is None else _from_array(scores),
        None if classes is None else tuple(classes),
    )


def _array(values: Any) -> dict[str, Any]:
    array = np.asarray(values)
    if array.dtype.kind in "OTU":
        array = array.astype(str)
    return {"dtype": array.dtype.str, "values": array.tolist()}


def _from_array(stored: dict[str, Any]) -> Any:
    return np.array(stored["values"], dtype=stored["dtype"])
