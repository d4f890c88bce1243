"""What scikit-learn follows without bounds in a loaded estimator, checked before.

An estimator believes what it has learned. Where that is indices or sizes, which compiled
code follows, a forged file would read or write memory that is not its own: trees, sparse
matrices, support vectors, neighbours and centres of clusters.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster._kmeans import _BaseKMeans
from sklearn.neighbors._base import NeighborsBase
from sklearn.svm._base import BaseLibSVM, BaseSVC

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.skops_trees import what_is_wrong_with_trees

__all__ = ["check_bounds"]

_NOT_OF_THE_MODEL = (type, FunctionType, ModuleType)
_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def check_bounds(model: Any, file: str) -> None:
    """Check all that ``model`` holds and compiled code follows.

    Args:
        model: A loaded estimator.
        file: Its name, for the message.

    Raises:
        SerializationError: If something leads out of its bounds.
    """
    for part in _everything(model):
        try:
            wrong = what_is_wrong_with_trees(part) or _what_is_wrong(part)
        except _MALFORMED as err:
            wrong = f"a {type(part).__qualname__} is malformed ({err!r:.200})"
        if wrong:
            raise SerializationError(f"{file} is forged or damaged: {wrong}")


def _everything(model: Any) -> Iterator[Any]:
    """``model`` and all that it holds."""
    seen, waiting = {id(model)}, [model]
    while waiting:
        part = waiting.pop()
        yield part
        is_objects = isinstance(part, np.ndarray) and part.dtype.hasobject
        for each in part.ravel() if is_objects else gc.get_referents(part):
            if id(each) not in seen and not isinstance(each, _NOT_OF_THE_MODEL):
                seen.add(id(each))
                waiting.append(each)


def _what_is_wrong(part: Any) -> str | None:
    if sparse.issparse(part):
        return _wrong_matrix(part)
    if isinstance(part, BaseLibSVM) and hasattr(part, "support_"):
        return _wrong_vectors(part)
    if isinstance(part, NeighborsBase) and hasattr(part, "_fit_X"):
        return _wrong_rows(part._fit_X, part, "neighbour")
    if isinstance(part, _BaseKMeans) and hasattr(part, "cluster_centers_"):
        return _wrong_rows(part.cluster_centers_, part, "centre of a cluster")
    return None


def _wrong_matrix(matrix: Any) -> str | None:
    check = getattr(type(matrix), "check_format", None)  # COO checks itself when made
    if check is not None:
        check(matrix, full_check=True)  # raises what is told as malformed
    return None


def _wrong_rows(rows: Any, estimator: Any, what: str) -> str | None:
    right = rows.shape[0] > 0 and rows.shape[1] == estimator.n_features_in_
    return None if right else f"its {what} is of other features, or there is none"


def _wrong_vectors(machine: Any) -> str | None:
    """libsvm is given arrays, and takes their sizes from one another."""
    count, classes = len(machine.support_), len(machine._n_support)
    pairs = classes * (classes - 1) // 2
    features = machine.n_features_in_
    precomputed = machine.kernel == "precomputed"
    coefficients = machine._dual_coef_
    right = (
        isinstance(machine.kernel, str)
        and "_impl" not in vars(machine)
        and machine.support_.ndim == 1
        and classes >= 2
        and coefficients.shape == (classes - 1, count)
        and (not machine._sparse or coefficients.nnz == (classes - 1) * count)
        and machine._intercept_.shape == (pairs,)
        and all(p.shape in ((0,), (pairs,)) for p in (machine._probA, machine._probB))
    )
    if right and isinstance(machine, BaseSVC):
        right = (machine._n_support >= 0).all() and machine._n_support.sum() == count
    if right and precomputed:
        rows = machine.shape_fit_[0]
        right = bool(((machine.support_ >= 0) & (machine.support_ < rows)).all())
    elif right:
        right = machine.support_vectors_.shape == (count, features)
    return None if right else "its support vectors do not fit together"
