"""Labels that follow from probabilities, so that a classifier is asked once.

``predict`` of these estimators of scikit-learn takes the class that ``predict_proba`` has
most of, so both together cost twice what they need to. Classes are named exactly: one
that inherits may have a ``predict`` of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["follows", "labels_by_scores"]

# Their predict is written as the argmax of the same probabilities, equal ones included.
_BY_ARGMAX = frozenset(
    {
        "sklearn.calibration.CalibratedClassifierCV",
        "sklearn.ensemble._bagging.BaggingClassifier",
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.ExtraTreeClassifier",
    }
)
# Their predict compares what probabilities are made of by a rising function.
_BY_RAW_SCORE = frozenset(
    {
        "sklearn.ensemble._gb.GradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
        ".HistGradientBoostingClassifier",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._logistic.LogisticRegressionCV",
        "sklearn.naive_bayes.GaussianNB",
    }
)
_PIPELINE = "sklearn.pipeline.Pipeline"
_TELLS_APART = 1e-9


def labels_by_scores(model: Any, scores: Any) -> NDArray[Any] | None:
    """What ``predict`` would answer; ``None`` if only it knows.

    Args:
        model: The classifier.
        scores: Of its ``predict_proba``.
    """
    last = _last_step(model)
    if not follows(model) or isinstance(scores, list):
        return None
    if _name(last) in _BY_RAW_SCORE and _nearly_equal(scores):
        return None
    labels: NDArray[Any] = np.take(last.classes_, scores.argmax(axis=1))
    return labels


def follows(model: Any) -> bool:
    """Whether its labels follow from its probabilities, but for equal ones."""
    last = _last_step(model)
    if _name(last) not in _BY_ARGMAX | _BY_RAW_SCORE:
        return False
    return "predict" not in vars(model) and "predict" not in vars(last)


def _last_step(model: Any) -> Any:
    while _name(model) == _PIPELINE and model.steps:
        model = model.steps[-1][1]
    return model


def _nearly_equal(scores: NDArray[Any]) -> bool:
    """Whether a row has two best classes that rounding may have brought together."""
    if scores.shape[1] < 2:
        return False
    upper = np.partition(scores, -2, axis=1)[:, -2:]
    return bool((upper[:, 1] - upper[:, 0] < _TELLS_APART).any())


def _name(model: Any) -> str:
    kind = type(model)
    return f"{kind.__module__}.{kind.__qualname__}"
