"""LightGBM's boosters and scikit-learn estimators, in its own text format.

The text is the booster. What an estimator knows beside it (its parameters and labels) is
JSON in the manifest.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from sklearn.preprocessing import LabelEncoder

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
from brixa_flows.serializers.held import open_held
from brixa_flows.serializers.pickled import predict_by_methods, save_by_value
from brixa_flows.serializers.pickling import unpickle, unreadable

__all__ = ["LightGBMSerializer"]

_FILE = "model.txt"
_PROBABILITIES = ("binary", "multiclass", "softmax", "multiclassova")
_ERRORS = (
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
    lightgbm.basic.LightGBMError,
)
# Made anew from the labels, or the booster itself.
_DERIVED = ("_Booster", "_classes", "_class_map", "_le")


class LightGBMSerializer:
    """``model.txt`` or ``model.pkl`` (code: its trees have no bounds)."""

    framework = "lightgbm"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; the formats are ``text`` (default) and ``cloudpickle``.

        An estimator of a class of one's own, or with parameters that are no data (a
        callable objective), is written by cloudpickle.

        Raises:
            SerializationError: If it can't be written, as when it is not fitted.
        """
        chosen = choose_format(options, self.framework, ("text", "cloudpickle"))
        if chosen == "cloudpickle":
            return save_by_value(self.framework, model, directory)
        try:
            booster = model if _is_booster(model) else model.booster_
            state = {} if _is_booster(model) else _state_of(model)
        except _ERRORS as err:
            raise SerializationError(
                f"the {type(model).__qualname__} can't be saved: {err}"
            ) from err
        because = _no_data(model, state)
        if because:
            return by_value_or_refuse(
                self.framework, model, directory, options.format, because
            )
        try:
            # All trees, also those after the best one.
            booster.save_model(directory / _FILE, num_iteration=-1)
        except _ERRORS as err:
            raise SerializationError(
                f"the {type(model).__qualname__} can't be saved: {err}"
            ) from err
        config = {
            "class": type(model).__name__,
            "best_iteration": booster.best_iteration,
            "state": state,
            "because": "LightGBM reads a file without checking its bounds",
        }
        return SavedModel(self.framework, "text", "code", _FILE, config)

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
            with open_held(path) as file:
                booster = lightgbm.Booster(model_str=file.read().decode())
            booster.best_iteration = int(saved.config["best_iteration"])
            kind = _class_named(saved.config["class"])
            return (
                booster if kind is lightgbm.Booster else _rebuilt(kind, booster, saved)
            )
        except _ERRORS as err:
            raise unreadable(path, err) from err

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict, with probabilities and classes where the model is a classifier.

        Raises:
            DatasetError: If the model refuses the inputs.
        """
        table = as_table(inputs)
        try:
            if not _is_booster(model):
                return predict_by_methods(model, table)
            if not hasattr(table, "columns"):
                table = np.asarray(table)
            raw = np.asarray(model.predict(table))
        except _ERRORS as err:
            raise DatasetError(
                f"the {type(model).__qualname__} refused the inputs: {err}"
            ) from err
        objective = model.dump_model(num_iteration=1).get("objective", "").split(" ")[0]
        return (
            from_probabilities(raw) if objective in _PROBABILITIES else Prediction(raw)
        )


def _is_booster(model: Any) -> bool:
    return isinstance(model, lightgbm.Booster)


def _state_of(model: Any) -> dict[str, Any]:
    """The attributes of an estimator; arrays as lists, mappings as plain ones."""
    state = {name: value for name, value in vars(model).items() if name not in _DERIVED}
    for name in ("_best_score", "_evals_result"):
        state[name] = json.loads(json.dumps(state.get(name) or {}))
    labels = getattr(model, "_classes", None)
    if labels is not None:
        labels = np.asarray(labels)
        state["_classes"] = {"dtype": labels.dtype.str, "labels": labels.tolist()}
    return state


def _no_data(model: Any, state: dict[str, Any]) -> str | None:
    """Why the data format can't hold ``model``, if it can't."""
    kind = type(model)
    if getattr(lightgbm, kind.__name__, None) is not kind:
        return f"{kind.__qualname__} is no class of lightgbm"
    for name, value in state.items():
        if not is_json(value):
            return f"its attribute {name} is no plain data ({type(value).__qualname__})"
    return None


def _rebuilt(kind: Any, booster: Any, saved: SavedModel) -> Any:
    """An estimator around a booster, as its ``fit`` leaves it."""
    state = dict(saved.config["state"])
    model = kind()
    labels = state.pop("_classes", None)
    vars(model).update(state)
    model._Booster = booster
    model._best_score = defaultdict(OrderedDict, state["_best_score"])
    if labels is not None:
        values = np.asarray(labels["labels"], dtype=labels["dtype"])
        model._le = LabelEncoder().fit(values)
        model._classes = model._le.classes_
        codes = model._le.transform(model._classes)
        model._class_map = dict(zip(model._classes, codes, strict=True))
    return model


def _class_named(name: str) -> Any:
    found = getattr(lightgbm, str(name), None)
    kinds = lightgbm.Booster | lightgbm.LGBMModel
    if isinstance(found, type) and issubclass(found, kinds):
        return found
    raise ValueError(f"{name!r} is no model class of lightgbm {lightgbm.__version__}")
