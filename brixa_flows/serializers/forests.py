"""Forests of scikit-learn asked for a few rows: the same numbers for a fifth of the time.

Its ``predict_proba`` hands each tree to joblib, with a copy of the settings and of the
filters of warnings: for a hundred trees six milliseconds, of which the trees need one.
Here they are asked one after the other, as it does without threads, and their answers are
added in the same order, so the sums are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["scores_of_forest", "values_of_forest"]

_MODULE = "sklearn.ensemble._forest"
_CLASSIFIERS = ("RandomForestClassifier", "ExtraTreesClassifier")
_REGRESSORS = ("RandomForestRegressor", "ExtraTreesRegressor")
_FEW_ROWS = 512  # above, threads that the model may ask for are worth their start


def scores_of_forest(model: Any, inputs: Any) -> NDArray[np.float64] | None:
    """What ``predict_proba`` gives, of shape (n_samples, n_classes).

    Args:
        model: Any model.
        inputs: One batch.

    Returns:
        ``None`` if it is no such forest, or the batch is large.

    Raises:
        ValueError: If the forest refuses the inputs.
    """
    if not _is_forest(model, inputs, _CLASSIFIERS, "predict_proba"):
        return None
    return _mean_of_trees(model, inputs, "predict_proba")


def values_of_forest(model: Any, inputs: Any) -> NDArray[np.float64] | None:
    """What ``predict`` of a regressor gives, of shape (n_samples,).

    Args:
        model: Any model.
        inputs: One batch.

    Returns:
        ``None`` if it is no such forest, or the batch is large.

    Raises:
        ValueError: If the forest refuses the inputs.
    """
    if not _is_forest(model, inputs, _REGRESSORS, "predict"):
        return None
    return _mean_of_trees(model, inputs, "predict")


def _mean_of_trees(model: Any, inputs: Any, method: str) -> NDArray[np.float64]:
    rows = model._validate_X_predict(inputs)
    first, *others = model.estimators_
    mean = np.asarray(getattr(first, method)(rows, check_input=False), np.float64) + 0.0
    for tree in others:
        mean += getattr(tree, method)(rows, check_input=False)
    mean /= len(model.estimators_)
    return mean


def _is_forest(model: Any, inputs: Any, kinds: tuple[str, ...], method: str) -> bool:
    """Is it one of these as scikit-learn made it, with one output, asked for few rows?"""
    kind = type(model)
    return (
        kind.__module__ == _MODULE
        and kind.__qualname__ in kinds
        and method not in vars(model)
        and getattr(model, "n_outputs_", 0) == 1
        and hasattr(model, "_validate_X_predict")
        and hasattr(inputs, "shape")
        and len(inputs.shape) == 2
        and inputs.shape[0] <= _FEW_ROWS
        and not hasattr(inputs, "tocsr")
    )
