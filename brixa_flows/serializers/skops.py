"""scikit-learn estimators as skops files, which hold no pickles.

A skops file names the types that it is made of. Reading one is data tier because only
types of a list that we own are ever constructed: those that skops itself trusts (the
public estimators, numpy, scipy's functions) and :data:`OTHER_TYPES`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import skops.io

from brixa_flows.errors import SerializationError, UntrustedArtifactError, some_of
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.pickling import (
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    blame,
    pickles,
    unreadable,
)
from brixa_flows.serializers.sklearn import SklearnSerializer
from brixa_flows.serializers.skops_bounds import check_bounds
from brixa_flows.serializers.zipped import refuse_compressed, refuse_large_within

__all__ = ["OTHER_TYPES", "SkopsSerializer"]

_FILE = "model.skops"

# Parts of fitted estimators that hold numbers and call nothing that the file names.
# Trees and sparse matrices are followed without bounds, so check_bounds() looks into them;
# KDTree and BallTree are the same and can't be looked into, so they are not here.
OTHER_TYPES = frozenset(
    {
        "numpy.dtype",
        "numpy.mean",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.sparse._csr.csr_matrix",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
_TRIES = 5


class SkopsSerializer:
    """``model.skops`` (data)."""

    framework = "sklearn"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``, if it is made of allow-listed types only.

        Raises:
            SerializationError: If skops can't write it, or it has a type that is not on
                our list; names the types.
        """
        choose_format(options, self.framework, ("skops",))
        if not pickles(model):  # skops would take it apart, and close an open file
            raise _refusal(model, "it can't be pickled", [])
        path = directory / _FILE
        try:
            skops.io.dump(model, path)
            refuse_large_within(path)
            foreign = _foreign_types(path)
        except (*PICKLING_ERRORS, BadZipFile) as err:
            path.unlink(missing_ok=True)
            raise _refusal(model, f"skops says: {err}", []) from err
        if foreign:
            path.unlink()
            reason = (
                "it has types that are not on the list of those that are safe to load: "
                + some_of(foreign)
            )
            raise _refusal(model, reason, foreign)
        return SavedModel("skops", "skops", "data", _FILE)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the estimator back, constructing allow-listed types only.

        Raises:
            UntrustedArtifactError: If the file has another type; names the types.
            SerializationError: If it is no skops file of ours.
            DeviceUnavailableError: If another device than the CPU is asked for.
        """
        refuse_all_but_cpu(options, self.framework)
        path = directory / saved.entry
        try:
            refuse_compressed(path)
            refuse_large_within(path)
            foreign = _foreign_types(path)
            model = None if foreign else _construct(path)
        except UNPICKLING_ERRORS as err:
            raise unreadable(path, err) from err
        if foreign:
            raise UntrustedArtifactError(
                f"{path.name} is not loaded: it has types that are not on the list of "
                f"those that are safe to load: {some_of(foreign)}; ask who made it to "
                "save it as joblib, and trust that version",
                types=foreign,
            )
        check_bounds(model, path.name)
        return model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict, with ``predict_proba`` where the estimator has it.

        Raises:
            DatasetError: If the estimator refuses the inputs or can't predict.
        """
        return SklearnSerializer().predict(model, inputs)


def _construct(path: Path) -> Any:
    for _ in range(_TRIES):
        # Python 3.11 counts how deep all threads are that parse the head of an array in
        # one number, and blames one of them (python/cpython#106905).
        with suppress(SystemError):
            return skops.io.load(path, trusted=sorted(OTHER_TYPES))
    return skops.io.load(path, trusted=sorted(OTHER_TYPES))


def _foreign_types(path: Path) -> list[str]:
    return sorted(set(skops.io.get_untrusted_types(file=path)) - OTHER_TYPES)


def _refusal(model: Any, reason: str, types: list[str]) -> SerializationError:
    place, culprit = blame(model, _is_of_ours)
    kind = type(culprit)
    name = getattr(culprit, "__qualname__", f"{kind.__module__}.{kind.__qualname__}")
    return SerializationError(
        f"the {type(model).__qualname__} can't be saved as skops because of its attribute "
        f"{place} ({name}): {reason}; "
        "save it without format= (joblib)",
        attribute=place,
        types=types,
    )


def _is_of_ours(part: Any) -> bool:
    if not pickles(part):
        return False
    try:
        types = skops.io.get_untrusted_types(data=skops.io.dumps(part))
    except (*PICKLING_ERRORS, BadZipFile):
        return False
    return OTHER_TYPES.issuperset(types)
