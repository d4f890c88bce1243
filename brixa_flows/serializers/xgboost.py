"""XGBoost's boosters and scikit-learn estimators, in its own UBJSON or JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.boosted import (
    as_table,
    by_value_or_refuse,
    from_probabilities,
    is_json,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.lost import warn_of_lost
from brixa_flows.serializers.pickled import predict_by_methods, save_by_value
from brixa_flows.serializers.pickling import unpickle, unreadable

__all__ = ["XGBoostSerializer"]

_PROBABILITIES = ("binary:logistic", "multi:softprob")
_OF_FIT = {"evals_result_", "n_classes_"}
_ERRORS = (KeyError, OSError, TypeError, ValueError, xgboost.core.XGBoostError)


class XGBoostSerializer:
    """``model.ubj``, ``model.json`` or ``model.pkl`` (code: trees have no bounds)."""

    framework = "xgboost"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; the formats are ``ubj`` (default), ``json`` and ``cloudpickle``.

        An estimator of a class of one's own, or with parameters that are no data (a
        callable objective), is written by cloudpickle.

        Raises:
            SerializationError: If it can't be written, as when it is not fitted.
        """
        chosen = choose_format(options, self.framework, ("ubj", "json", "cloudpickle"))
        if chosen == "cloudpickle":
            return save_by_value(self.framework, model, directory)
        parameters = _parameters(model)
        because = _no_data(model, parameters)
        if because:
            return by_value_or_refuse(
                self.framework, model, directory, options.format, because
            )
        path = directory / f"model.{chosen}"
        lost = [name for name in _added(model) if not name.startswith("_")]
        warn_of_lost(model, lost, "ask for format='cloudpickle', which keeps them")
        try:
            model.save_model(path)
        except (*_ERRORS, AttributeError) as err:
            raise SerializationError(
                f"the {type(model).__qualname__} can't be saved: {err}"
            ) from err
        config = {
            "class": type(model).__name__,
            "parameters": parameters,
            "because": "XGBoost follows the trees of a file without checking bounds",
        }
        return SavedModel(self.framework, chosen, "code", path.name, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model back, as the class that was saved.

        Raises:
            SerializationError: If the file can't be read with what is installed.
            DeviceUnavailableError: If another device than the CPU is asked for.
        """
        refuse_all_but_cpu(options, self.framework)
        path = directory / saved.entry
        if saved.format == "cloudpickle":
            return unpickle(path)
        try:
            model = _class_named(saved.config["class"])(**saved.config["parameters"])
            model.load_model(path)
        except _ERRORS as err:
            raise unreadable(path, err) from err
        return model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict, with probabilities and classes where the model is a classifier.

        Raises:
            DatasetError: If the model refuses the inputs.
        """
        table = as_table(inputs)
        if not isinstance(model, xgboost.Booster):
            return predict_by_methods(model, table)
        try:
            if not hasattr(table, "columns"):
                table = np.asarray(table)
            rows = xgboost.DMatrix(table, enable_categorical=True)
            raw = np.asarray(model.predict(rows))
        except _ERRORS as err:
            raise DatasetError(f"the Booster refused the inputs: {err}") from err
        objective = json.loads(model.save_config())["learner"]["objective"]["name"]
        return (
            from_probabilities(raw) if objective in _PROBABILITIES else Prediction(raw)
        )


def _parameters(model: Any) -> dict[str, Any]:
    """Those of an estimator that are not at their default: its file does not keep them."""
    if isinstance(model, xgboost.Booster):
        return {}
    default = type(model)().get_params()
    return {
        name: value
        for name, value in model.get_params().items()
        if not _same(value, default.get(name))
    }


def _added(model: Any) -> set[str]:
    """Attributes that neither the constructor nor ``fit`` made."""
    made = {"handle", *_OF_FIT}
    if not isinstance(model, xgboost.Booster):
        made.update(vars(type(model)()))
    return set(vars(model)) - made


def _same(value: Any, other: Any) -> bool:
    both_nan = all(
        isinstance(each, float) and math.isnan(each) for each in (value, other)
    )
    return both_nan or value is other or (is_json(value) and value == other)


def _no_data(model: Any, parameters: dict[str, Any]) -> str | None:
    """Why the data formats can't hold ``model``, if they can't."""
    kind = type(model)
    if getattr(xgboost, kind.__name__, None) is not kind:
        return f"{kind.__qualname__} is no class of xgboost"
    for name, value in parameters.items():
        if not is_json(value):
            return f"its parameter {name} is a {type(value).__qualname__}, which is no data"
    return None


def _class_named(name: str) -> Any:
    found = getattr(xgboost, str(name), None)
    if isinstance(found, type) and issubclass(
        found, xgboost.Booster | xgboost.XGBModel
    ):
        return found
    raise ValueError(f"{name!r} is no model class of xgboost {xgboost.__version__}")
