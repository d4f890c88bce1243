"""Hugging Face models on TensorFlow: ``save_pretrained`` with safetensors.

For transformers before 5, which dropped these classes. Loaded by the class that the
manifest names, from the library only; code that travels with a model is never run and no
network is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import transformers

from brixa_flows.errors import DatasetError, SerializationError, some_of
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import choose_device
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.pickling import unreadable
from brixa_flows.serializers.transformers_files import (
    refuse_other_sources,
    refuse_to_keep_other_sources,
)
from brixa_flows.serializers.transformers_lost import warn_of_lost_notes

__all__ = ["TFTransformersSerializer"]

_ENTRY = "model"
_ATTACHED = {"tokenizer": "AutoTokenizer", "processor": "AutoProcessor"}
_LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}
_ERRORS = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


class TFTransformersSerializer:
    """``model/`` as ``save_pretrained`` writes it (data).

    A tokenizer or processor given on save comes back as attribute ``brixa_tokenizer`` or
    ``brixa_processor`` of the loaded model, is used to predict texts, and is saved again
    with it.
    """

    framework = "tensorflow"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model`` with what belongs to it.

        Raises:
            SerializationError: If it can't be written, or its class is none of
                transformers.
        """
        choose_format(options, self.framework, ("safetensors",), hugging_face=True)
        name = type(model).__name__
        if getattr(transformers, name, None) is not type(model):
            raise SerializationError(
                f"the {name} is no class of transformers {transformers.__version__}, so "
                "no other process could make it; save the transformers model inside of it"
            )
        target = directory / _ENTRY
        config: dict[str, Any] = {"class": name, "attached": []}
        try:
            model.save_pretrained(target, safe_serialization=True)
            for kind in _ATTACHED:
                extra = getattr(options, kind) or getattr(model, f"brixa_{kind}", None)
                if extra is not None:
                    extra.save_pretrained(target)
                    config["attached"].append(kind)
                    warn_of_lost_notes(extra, partial(_attached, kind, target))
            if options.generation_config is not None:
                options.generation_config.save_pretrained(target)
            # A model that build() made, not a call, is written under names that
            # from_pretrained does not find, and it would make up weights instead.
            _read(type(model), target)
        except _ERRORS as err:
            raise SerializationError(f"the {name} can't be saved: {err}") from err
        refuse_to_keep_other_sources(target)
        return SavedModel("transformers-tf", "safetensors", "data", _ENTRY, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model back.

        Raises:
            SerializationError: If the class is none of the installed transformers.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        if options.dtype is not None:
            raise SerializationError(
                f"dtype={options.dtype!r} can't be applied to a TensorFlow model; set "
                "it when the model is made"
            )
        graphics = len(tf.config.list_logical_devices("GPU"))
        present = (*(f"cuda:{index}" for index in range(graphics)), "cpu")
        device = choose_device(options.device, present).replace("cuda", "gpu")
        path = directory / saved.entry
        kind = _class_named(saved.config.get("class"))
        refuse_other_sources(path)
        try:
            with tf.device(device):
                model = _read(kind, path)
            for name in saved.config["attached"]:
                setattr(model, f"brixa_{name}", _attached(name, path))
        except Exception as err:  # tokenizers raises that itself
            raise unreadable(path, err) from err
        return model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict texts, or arrays by name.

        A sequence classifier answers with its labels (``id2label``) and the softmax of
        its logits, any other model with its first output.

        Raises:
            DatasetError: If the model refuses the inputs or has no tokenizer for texts.
        """
        encoded = _encode(model, inputs)
        try:
            output = model(encoded, training=False)
        except _ERRORS as err:
            raise DatasetError(
                f"the {type(model).__name__} refused the inputs: {err}"
            ) from err
        raw = np.asarray(output[0])
        labels = tuple(model.config.id2label.values())
        is_classifier = type(model).__name__.endswith("ForSequenceClassification")
        if not is_classifier or model.config.problem_type not in (
            None,
            "single_label_classification",
        ):
            return Prediction(raw)
        if len(labels) < 2:
            return Prediction(raw[:, 0])
        scores = np.asarray(tf.nn.softmax(tf.cast(raw, tf.float64), axis=-1))
        return Prediction(np.asarray(labels)[scores.argmax(-1)], scores, labels)


def _read(kind: Any, path: Path) -> Any:
    """The model with every weight from the file.

    Raises:
        ValueError: If the file lacks one, which transformers only logs.
    """
    model, found = kind.from_pretrained(
        path, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    missing = sorted(map(str, found["missing_keys"]))
    if missing:
        raise ValueError(
            f"its file has no weights of that name: {some_of(missing)}; call the model "
            "on data, or build_in_name_scope(), before anything else builds it"
        )
    return model


def _attached(kind: str, path: Path) -> Any:
    """The tokenizer or processor in a folder."""
    reader = getattr(transformers, _ATTACHED[kind])
    return reader.from_pretrained(path, **_LOCAL_ONLY)


def _class_named(name: Any) -> Any:
    found = getattr(transformers, str(name), None)
    base = getattr(transformers, "TFPreTrainedModel", None)
    if isinstance(found, type) and isinstance(base, type) and issubclass(found, base):
        return found
    raise SerializationError(
        f"{name!r} is no TensorFlow model class of the installed transformers "
        f"{transformers.__version__}; install: pip install 'brixa-flows[transformers-tf]'"
    )


def _encode(model: Any, inputs: Any) -> Any:
    """What the model is called with."""
    if isinstance(inputs, Mapping):
        return {name: np.asarray(values) for name, values in inputs.items()}
    if hasattr(inputs, "columns") and len(inputs.columns) == 1:
        inputs = inputs.iloc[:, 0]
    values = inputs if isinstance(inputs, np.ndarray) else list(inputs)
    if not all(isinstance(each, str) for each in values):
        return {model.main_input_name: np.asarray(values)}
    tokenizer = getattr(model, "brixa_tokenizer", None)
    if tokenizer is None:
        raise DatasetError(
            "texts need the tokenizer of the model, and none was saved with it; save it "
            "with save_model(..., tokenizer=tokenizer), or give token arrays"
        )
    return dict(
        tokenizer(list(values), padding=True, truncation=True, return_tensors="tf")
    )
