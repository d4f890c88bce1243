"""``tf.Module`` objects that are no Keras models: TensorFlow's SavedModel.

A SavedModel is a program of TensorFlow operations, which may read and write files, so it
is code. What comes back has the functions of the module, not its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import choose_device
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.held import keep_held
from brixa_flows.serializers.pickling import unreadable

__all__ = ["SavedModelSerializer"]

_ENTRY, _SIGNATURE = "model", "serving_default"
_ERRORS = (
    AssertionError,
    AttributeError,
    KeyError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


class SavedModelSerializer:
    """``model/`` as ``tf.saved_model.save`` writes it (code)."""

    framework = "tensorflow"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model`` with what calling it does as its signature.

        Raises:
            SerializationError: If calling it is no ``tf.function`` with an
                ``input_signature`` and no ``input_example`` was given.
        """
        choose_format(options, self.framework, ("saved_model",))
        try:
            signatures = _signatures(model, options.input_example)
            tf.saved_model.save(model, str(directory / _ENTRY), signatures=signatures)
        except _ERRORS as err:
            raise SerializationError(
                f"the {type(model).__qualname__} can't be saved as SavedModel: {err}"
            ) from err
        return SavedModel("saved_model", "saved_model", "code", _ENTRY)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the module back, with its variables on the device.

        Raises:
            SerializationError: If it can't be read with what is installed.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        if options.dtype is not None:
            raise SerializationError(
                f"dtype={options.dtype!r} can't be applied to a SavedModel, whose "
                "operations have their types"
            )
        graphics = len(tf.config.list_logical_devices("GPU"))
        present = (*(f"cuda:{index}" for index in range(graphics)), "cpu")
        device = choose_device(options.device, present).replace("cuda", "gpu")
        path = directory / saved.entry
        try:
            with tf.device(device):
                model = tf.saved_model.load(str(path))
        except _ERRORS as err:
            raise unreadable(path, err) from err
        if any((path / "assets").iterdir() if (path / "assets").exists() else ()):
            keep_held(path, model)  # it reads its assets by path when it is saved again
        return model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Call the model, or its signature if it was loaded; the first output counts.

        Raises:
            DatasetError: If it refuses the inputs or can't be called.
        """
        try:
            if not isinstance(inputs, Mapping):
                inputs = [np.asarray(inputs)]
            signature = getattr(model, "signatures", {}).get(_SIGNATURE)
            if signature is None:
                output = _call(model, inputs)
            else:
                output = _call_signature(signature, inputs)
        except _ERRORS as err:
            raise DatasetError(
                f"the {type(model).__qualname__} refused the inputs: {err}"
            ) from err
        return Prediction(np.asarray(tf.nest.flatten(output)[0]))


def _signatures(model: Any, example: Any) -> Any:
    """What a loaded module had, else its call with the shapes of its inputs."""
    if getattr(model, "signatures", None):
        return model.signatures
    if not callable(model):
        raise TypeError("it can't be called; give it a method __call__")
    call = model.__call__
    if getattr(call, "input_signature", None) is not None:
        return {_SIGNATURE: call.get_concrete_function()}
    if example is None:
        raise TypeError(
            "the shapes of its inputs are not known; decorate __call__ with "
            "tf.function(input_signature=[...]), or give input_example= on save"
        )
    function = call if hasattr(call, "get_concrete_function") else tf.function(call)
    if isinstance(example, Mapping):
        by_name = {key: _spec(value, model, key) for key, value in example.items()}
        return {_SIGNATURE: function.get_concrete_function(**by_name)}
    return {_SIGNATURE: function.get_concrete_function(_spec(example, model, "inputs"))}


def _spec(example: Any, model: Any, name: str) -> Any:
    """Any number of rows like those of ``example``."""
    array = np.asarray(example)
    return tf.TensorSpec((None, *array.shape[1:]), _dtype(array, model), name)


def _dtype(array: Any, model: Any) -> Any:
    """Floats are of the type of the variables: numpy's default is none of networks."""
    if array.dtype.kind != "f":
        return tf.as_dtype(array.dtype)
    floating = [each.dtype for each in model.variables if each.dtype.is_floating]
    return floating[0] if floating else tf.float32


def _call(module: Any, inputs: Any) -> Any:
    declared = getattr(module.__call__, "input_signature", None)
    values = list(inputs.values()) if isinstance(inputs, Mapping) else inputs
    specs = declared or [_spec(value, module, "inputs") for value in values]
    tensors = [_fitting(*each) for each in zip(values, specs, strict=True)]
    if isinstance(inputs, Mapping):
        return module(**dict(zip(inputs, tensors, strict=True)))
    return module(*tensors)


def _call_signature(signature: Any, inputs: Any) -> Any:
    specs = signature.structured_input_signature[1]
    if not isinstance(inputs, Mapping):
        inputs = dict(zip(specs, inputs, strict=True))
    tensors = {name: _fitting(values, specs[name]) for name, values in inputs.items()}
    return signature(**tensors)


def _fitting(values: Any, spec: Any) -> Any:
    """A tensor of the type of ``spec``; TensorFlow itself does not check its shape."""
    array = np.asarray(values)
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"{spec.name} has shape {array.shape}, but takes {spec.shape}")
    if array.dtype.kind in "biuf":
        return tf.cast(array, spec.dtype)
    return tf.convert_to_tensor(array, spec.dtype)
