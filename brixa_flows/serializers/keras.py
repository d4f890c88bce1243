"""Keras 3 models (tf.keras included): ``.keras``, read in safe mode.

Classes and functions that are not Keras's own come from their module, by the path that
the manifest lists and the trust policy judges; with those of ``__main__`` the model is a
directory that has them pickled by value, which makes it code.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.callers import callers_level
from brixa_flows.serializers.devices import choose_device
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.keras_blame import cannot_describe
from brixa_flows.serializers.keras_custom import (
    custom_objects_of,
    has_lambda,
    import_listed,
    path_of,
)
from brixa_flows.serializers.keras_lost import lost_attributes
from brixa_flows.serializers.lost import warn_of_lost
from brixa_flows.serializers.pickling import dump_by_value, unpickle, unreadable
from brixa_flows.serializers.zipped import refuse_compressed

__all__ = ["KerasSerializer", "UnbuiltModelWarning"]

_FILE = "model.keras"
_KEEP_IT = (
    "make them arguments of a class of your own that get_config() gives back, or keep "
    "them in the tags of the version"
)
_INPUT_ERRORS = (KeyError, RuntimeError, TypeError, ValueError)


class UnbuiltModelWarning(UserWarning):
    """A Keras model was saved before it had weights: its architecture only."""


class KerasSerializer:
    """``model.keras`` (data), or ``model/`` with its classes beside it (code)."""

    framework = "tensorflow"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; one that is not built yet is saved as its architecture.

        Raises:
            SerializationError: If it can't be written in a way that loads again.
        """
        choose_format(options, self.framework, ("keras",))
        path = directory / _FILE
        _write(model, path)
        custom = custom_objects_of(model, path)
        warn_of_lost(model, lost_attributes(model, custom), _KEEP_IT)
        because = _why_code(custom, path)
        if because:
            return _beside_its_classes(model, path, custom, because)
        registered = {name: path_of(each) for name, each in custom.items()}
        config = {"classes": sorted(registered.values()), "registered": registered}
        return SavedModel("tensorflow", "keras", "data", _FILE, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model back, in safe mode unless it was saved as code.

        Raises:
            SerializationError: If the file or a class is not what ``saved`` says.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        device = choose_device(options.device, _present_devices())
        if options.dtype is not None:
            raise SerializationError(
                f"dtype={options.dtype!r} can't be applied to a Keras model; set a "
                "keras.DTypePolicy when it is built"
            )
        path = directory / saved.entry
        if saved.format == "keras":
            custom = _listed_classes(saved.config)
        elif saved.format == "keras-cloudpickle":
            custom = unpickle(path / "classes.pkl")
            path = path / _FILE
        else:
            raise SerializationError(f"{saved.format!r} is no format of Keras models")
        try:
            refuse_compressed(path)
            with keras.device(device.replace("cuda", "gpu")):
                return keras.saving.load_model(
                    path, custom_objects=custom, safe_mode=saved.format == "keras"
                )
        except Exception as err:  # Keras has no error of its own
            raise unreadable(path, err) from err

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Run the model in inference mode; the values are its (first) raw output.

        Raises:
            DatasetError: If the model refuses the inputs.
        """
        try:
            output = model(_as_arrays(inputs), training=False)
        except _INPUT_ERRORS as err:
            raise DatasetError(
                f"the {type(model).__name__} refused the inputs: {err}"
            ) from err
        if isinstance(output, Mapping):
            output = list(output.values())
        while isinstance(output, (list, tuple)):
            output = output[0]
        return Prediction(np.asarray(keras.ops.convert_to_numpy(output)))


def _listed_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return import_listed(dict(config["registered"]), list(config["classes"]))
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise SerializationError(
            f"the manifest's classes of the model can't be imported: {err!r:.200}"
        ) from err


def _as_arrays(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: np.asarray(values) for name, values in inputs.items()}
    return inputs.to_numpy() if hasattr(inputs, "to_numpy") else np.asarray(inputs)


def _present_devices() -> tuple[str, ...]:
    graphics = keras.distribution.list_devices("gpu")
    return (*(f"cuda:{index}" for index in range(len(graphics))), "cpu")


def _why_code(custom: Mapping[str, Any], path: Path) -> str | None:
    """Why a file can't be data, if it can't."""
    if has_lambda(path):
        return (
            "a Lambda layer has a lambda, which safe mode never loads; make it a "
            "function of a module, or a layer class"
        )
    only_here = [path_of(each) for each in custom.values() if _only_here(each)]
    if only_here:
        return f"no other process can import {', '.join(sorted(only_here))}"
    return None


def _only_here(custom: Any) -> bool:
    return custom.__module__ == "__main__" or "<locals>" in custom.__qualname__


def _write(model: Any, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Ours is below, with a remedy.
            warnings.filterwarnings("ignore", message=".*not yet been built")
            model.save(path)
    except (NotImplementedError, TypeError, ValueError) as err:
        raise cannot_describe(model, err) from err
    if not model.built:
        warnings.warn(
            f"the {type(model).__name__} {model.name!r} is not built yet, so its "
            "architecture is saved and it has no weights; call it on data, or give it "
            "a keras.Input, before saving",
            UnbuiltModelWarning,
            stacklevel=callers_level(),
        )


def _beside_its_classes(
    model: Any, path: Path, custom: Mapping[str, Any], because: str
) -> SavedModel:
    folder = path.parent / "model"
    folder.mkdir()
    path.rename(folder / _FILE)
    try:
        dump_by_value(dict(custom), folder / "classes.pkl")
    except SerializationError as err:
        raise SerializationError(
            f"the classes and functions of the {type(model).__name__} can't be saved by "
            f"value: {err}",
            **err.facts,
        ) from err
    config = {"because": because}
    return SavedModel("tensorflow", "keras-cloudpickle", "code", "model", config)
