"""Decision trees of a file, checked before they predict.

scikit-learn follows the indices in its trees without bounds, so a forged tree would read
memory that is not its own, or never end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (
    BaseHistGradientBoosting,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

__all__ = ["what_is_wrong_with_trees"]

_OF_TREES = (
    BaseDecisionTree,
    BaseForest,
    BaseGradientBoosting,
    BaseHistGradientBoosting,
)


def what_is_wrong_with_trees(part: Any) -> str | None:
    """What a tree, or an estimator of trees, would follow out of its bounds.

    A node leads nowhere or backwards, has two parents, or asks for a feature that the
    model has not.
    """
    if isinstance(part, Tree):
        return _wrong_tree(part)
    if isinstance(part, TreePredictor):
        return _wrong_predictor(part)
    if isinstance(part, _OF_TREES) and hasattr(part, "n_features_in_"):
        return _wrong_width(part)
    return None


def _wrong_tree(tree: Any) -> str | None:
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    wrong = _wrong_children(left[~leaf], right[~leaf], np.flatnonzero(~leaf), len(left))
    features = tree.feature[~leaf]
    if wrong is None and not _within(features, tree.n_features):
        wrong = f"a node asks for a feature outside of the {tree.n_features}"
    if wrong is None and _depth(left, right, leaf) > tree.max_depth:
        wrong = "it is deeper than it says"
    return wrong


def _wrong_predictor(predictor: Any) -> str | None:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    inner = nodes[~leaf]
    left, right = inner["left"].astype(np.int64), inner["right"].astype(np.int64)
    wrong = _wrong_children(left, right, np.flatnonzero(~leaf), len(nodes))
    sets = inner["bitset_idx"][inner["is_categorical"].astype(bool)].astype(np.int64)
    if wrong is None and not _within(sets, len(predictor.raw_left_cat_bitsets)):
        wrong = "a node asks for a set of categories that is not there"
    return wrong


def _wrong_children(
    left: NDArray[Any], right: NDArray[Any], parents: NDArray[Any], n_nodes: int
) -> str | None:
    children = np.concatenate([left, right])
    if not _within(children, n_nodes) or (children <= np.tile(parents, 2)).any():
        return "a node leads nowhere or backwards"
    if len(np.unique(children)) != len(children):
        return "a node has two parents"
    return None


def _within(values: NDArray[Any], limit: int) -> bool:
    return bool(((values >= 0) & (values < limit)).all())


def _depth(left: NDArray[Any], right: NDArray[Any], leaf: NDArray[Any]) -> int:
    level, depth = np.zeros(1, dtype=np.int64), 0
    while len(inner := level[~leaf[level]]):
        level, depth = np.concatenate([left[inner], right[inner]]), depth + 1
    return depth


def _wrong_width(estimator: Any) -> str | None:
    """These hand their rows to the trees with no check of their own in between."""
    width = estimator.n_features_in_
    if isinstance(estimator, BaseDecisionTree):
        right = estimator.tree_.n_features == width
    elif isinstance(estimator, BaseHistGradientBoosting):
        nodes = [each.nodes for row in estimator._predictors for each in row]
        right = all(_within(each["feature_idx"], width) for each in nodes)
    else:
        trees = np.ravel(estimator.estimators_)
        right = all(each.tree_.n_features == width for each in trees)
    return None if right else f"it asks for more features than the {width} of its model"
