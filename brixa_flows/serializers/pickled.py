"""The fallback for any other Python object: pickle protocol 5, always with a warning."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.forests import scores_of_forest, values_of_forest
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.label_rules import follows, labels_by_scores
from brixa_flows.serializers.pickling import (
    PICKLE_PROTOCOL,
    PICKLING_ERRORS,
    dump_by_value,
    unpicklable,
    unpickle,
    why_by_value,
)

__all__ = ["PickleSerializer", "predict_by_methods", "save_by_value"]

_FILE = "model.pkl"
_INPUT_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class PickleSerializer:
    """``model.pkl``; by cloudpickle for what no other process can import."""

    framework = "pickle"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; the formats are ``pickle`` (default) and ``cloudpickle``.

        Raises:
            SerializationError: If it can't be pickled; names the attribute to blame.
        """
        chosen = choose_format(options, self.framework, ("pickle", "cloudpickle"))
        because = None if options.format else why_by_value(model)
        if because or chosen == "cloudpickle":
            return save_by_value(self.framework, model, directory, because)
        path = directory / _FILE
        try:
            with path.open("wb") as file:
                pickle.dump(model, file, protocol=PICKLE_PROTOCOL)
        except PICKLING_ERRORS as err:
            raise unpicklable(model, err) from err
        config = {"because": why} if (why := _why_not_data(model)) else {}
        return SavedModel(self.framework, chosen, "code", _FILE, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the object back.

        Raises:
            SerializationError: If the file can't be read with what is installed.
            DeviceUnavailableError: If another device than the CPU is asked for.
        """
        refuse_all_but_cpu(options, self.framework)
        return unpickle(directory / saved.entry)

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict by ``.predict`` (and ``.predict_proba``), else by calling the object.

        Raises:
            DatasetError: If it can do neither, or refuses the inputs.
        """
        return predict_by_methods(model, inputs)


def _why_not_data(model: Any) -> str | None:
    """What a caller can do for a format that holds data only, if there is one."""
    kinds = {f"{each.__module__}.{each.__qualname__}" for each in type(model).__mro__}
    if "transformers.pipelines.base.Pipeline" in kinds:
        return (
            "it is a pipeline; save its model with tokenizer=, and load that with "
            "as_pipeline=True"
        )
    if isinstance(model, (dict, list)) and _holds_tensors(model):
        return "as data it needs a version that is registered with framework='pytorch'"
    return None


def _holds_tensors(value: Any, levels: int = 3) -> bool:
    if isinstance(value, (dict, list)) and levels:
        parts = value.values() if isinstance(value, dict) else value
        return any(_holds_tensors(part, levels - 1) for part in parts)
    return f"{type(value).__module__}.{type(value).__qualname__}" == "torch.Tensor"


def save_by_value(
    serializer: str, model: Any, directory: Path, because: str | None = None
) -> SavedModel:
    """Write ``model.pkl`` by cloudpickle for any serializer.

    Args:
        serializer: Name of the plug-in that will read it.
        model: Any object.
        directory: Where to.
        because: Why its better format was not possible, for the warning.

    Raises:
        SerializationError: If it can't be pickled; names the attribute to blame.
    """
    dump_by_value(model, directory / _FILE)
    config = {"because": because} if because else {}
    return SavedModel(serializer, "cloudpickle", "code", _FILE, config)


def predict_by_methods(model: Any, inputs: Any) -> Prediction:
    """Predict with the methods that scikit-learn made a convention.

    Raises:
        DatasetError: If the model has neither ``predict`` nor a call, or refuses.
    """
    predict = getattr(model, "predict", None)
    if predict is None and callable(model):
        predict = model
    if predict is None:
        raise DatasetError(
            f"a {type(model).__qualname__} can't predict: it has no method predict and "
            "can't be called"
        )
    try:
        values, scores = _answers(model, predict, inputs)
    except _INPUT_ERRORS as err:
        raise DatasetError(
            f"the {type(model).__qualname__} refused the inputs: {err}"
        ) from err
    if scores is None:
        return Prediction(values)
    labels = getattr(model, "classes_", None)
    several = labels is None or isinstance(labels, list)
    classes = None if several else tuple(np.asarray(labels).tolist())
    return Prediction(values, scores, classes)


def _answers(
    model: Any, predict: Callable[[Any], Any], inputs: Any
) -> tuple[NDArray[Any], NDArray[np.floating[Any]] | None]:
    """Labels or numbers, and probabilities; the model is asked once if that is enough."""
    if not follows(model):
        values = values_of_forest(model, inputs)
        values = np.asarray(predict(inputs)) if values is None else values
        return values, _probabilities(model, inputs)
    given = scores_of_forest(model, inputs)
    given = model.predict_proba(inputs) if given is None else given
    labels = labels_by_scores(model, given)
    scores = _as_matrix(given)
    return np.asarray(predict(inputs)) if labels is None else labels, scores


def _probabilities(model: Any, inputs: Any) -> NDArray[np.floating[Any]] | None:
    if not hasattr(model, "predict_proba"):
        return None
    return _as_matrix(model.predict_proba(inputs))


def _as_matrix(scores: Any) -> NDArray[np.floating[Any]] | None:
    """Probabilities of shape (n_samples, n_classes).

    Of several outputs of two classes each, those of the second classes, of shape
    (n_samples, n_outputs); of outputs of more classes none.
    """
    if isinstance(scores, list):
        if any(np.shape(each)[1:] != (2,) for each in scores):
            return None
        scores = np.stack([np.asarray(each)[:, 1] for each in scores], axis=1)
    scores = np.asarray(scores)
    return scores if scores.ndim == 2 else None
