"""Hugging Face models: the ``save_pretrained`` directory with safetensors.

Loaded by the class its manifest names, from the library ``transformers`` only; code
that travels with a model (``trust_remote_code``) is never run and no network is used.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.pickling import unreadable
from brixa_flows.serializers.pytorch import PyTorchSerializer
from brixa_flows.serializers.torch_devices import floating_dtype, torch_device
from brixa_flows.serializers.torch_predicting import as_array, as_tensor, evaluating

__all__ = ["TransformersSerializer"]

_ENTRY = "model"
# from_pretrained patches torch and its own classes meanwhile, for the whole process.
_LOADING = threading.Lock()
_ATTACHED = ("tokenizer", "processor")
_INPUT_ERRORS = (IndexError, KeyError, RuntimeError, TypeError, ValueError)
_TASKS = {
    "ForCausalLM": "text-generation",
    "ForImageClassification": "image-classification",
    "ForMaskedLM": "fill-mask",
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "LMHeadModel": "text-generation",
}
_LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}


class TransformersSerializer:
    """``model/`` as ``save_pretrained`` writes it (data).

    A tokenizer or processor given on save comes back as attribute ``brixa_tokenizer`` or
    ``brixa_processor`` of the loaded model, is used to predict texts, and is saved again
    with it.
    """

    framework = "pytorch"
    makes_pipelines = True

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; a class that is not of transformers goes as a torch module.

        Raises:
            SerializationError: If it can't be written.
        """
        name = type(model).__name__
        if getattr(transformers, name, None) is not type(model):
            return PyTorchSerializer().save(model, directory, options)
        choose_format(options, self.framework, ("safetensors",), hugging_face=True)
        target = directory / _ENTRY
        config: dict[str, Any] = {"class": name}
        try:
            model.save_pretrained(target)
            for kind in _ATTACHED:
                extra = getattr(options, kind) or getattr(model, f"brixa_{kind}", None)
                if extra is not None:
                    extra.save_pretrained(target)
                    config[kind] = type(extra).__name__
            if options.generation_config is not None:
                options.generation_config.save_pretrained(target)
        except (AttributeError, OSError, TypeError, ValueError) as err:
            raise SerializationError(f"the {name} can't be saved: {err}") from err
        return SavedModel("transformers", "safetensors", "data", _ENTRY, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model (or, with ``as_pipeline``, a pipeline around it) back.

        Raises:
            SerializationError: If the class is none of transformers, or has no pipeline.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        device = torch_device(options.device)
        dtype = floating_dtype(options.dtype)
        path = directory / saved.entry
        cls = _model_class(saved.config["class"])
        try:
            with _LOADING:
                model = cls.from_pretrained(
                    path, local_files_only=True, use_safetensors=True, dtype="auto"
                )
            if "tokenizer" in saved.config:
                model.brixa_tokenizer = transformers.AutoTokenizer.from_pretrained(
                    path, **_LOCAL_ONLY
                )
            if "processor" in saved.config:
                model.brixa_processor = transformers.AutoProcessor.from_pretrained(
                    path, **_LOCAL_ONLY
                )
        except (ImportError, OSError, ValueError) as err:
            raise unreadable(path, err) from err
        model = model.to(device=device, dtype=dtype).eval()
        return _pipeline(model) if options.as_pipeline else model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict texts, or tensors by name.

        A sequence classifier answers with its labels (``id2label``) and the softmax of
        its logits, any other model with its raw outputs.

        Raises:
            DatasetError: If the model refuses the inputs or has no tokenizer for texts.
        """
        try:
            with evaluating(model):
                output = model(**_encode(model, inputs))
        except DatasetError:
            raise
        except _INPUT_ERRORS as err:
            raise DatasetError(
                f"the {type(model).__name__} refused the inputs: {err}"
            ) from err
        logits = as_array(output)
        if not type(model).__name__.endswith("ForSequenceClassification"):
            return Prediction(logits)
        return _classified(model.config, logits)


def _classified(config: Any, logits: Any) -> Prediction:
    """Labels and probabilities from logits of shape (n_samples, n_labels)."""
    labels = tuple(config.id2label[index] for index in range(logits.shape[-1]))
    if config.problem_type == "regression" or len(labels) == 1:
        return Prediction(logits[:, 0] if len(labels) == 1 else logits)
    tensor = torch.from_numpy(logits).double()
    if config.problem_type == "multi_label_classification":
        scores = tensor.sigmoid().numpy()
        return Prediction((scores > 0.5).astype(int), scores, labels)
    scores = tensor.softmax(-1).numpy()
    return Prediction(np.asarray(labels)[scores.argmax(-1)], scores, labels)


def _encode(model: Any, inputs: Any) -> dict[str, Any]:
    """Keyword arguments for the model."""
    like = next(model.parameters())
    if isinstance(inputs, Mapping):
        return {name: as_tensor(values, like) for name, values in inputs.items()}
    texts = _texts(inputs)
    if texts is None:
        return {model.main_input_name: as_tensor(inputs, like)}
    tokenizer = getattr(model, "brixa_tokenizer", None)
    if tokenizer is None:
        raise DatasetError(
            "texts need the tokenizer of the model, and none was saved with it; save it "
            "with save_model(..., tokenizer=tokenizer), or give token arrays"
        )
    encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return dict(encoded.to(like.device))


def _texts(inputs: Any) -> list[str] | None:
    """Texts of a sequence, an array, or the (``text``) column of a DataFrame."""
    if hasattr(inputs, "columns"):
        columns = list(inputs.columns)
        column = "text" if "text" in columns else columns[0]
        if column != "text" and len(columns) > 1:
            return None
        inputs = inputs[column]
    values = list(inputs)
    return values if all(isinstance(each, str) for each in values) else None


def _model_class(name: str) -> Any:
    found = getattr(transformers, str(name), None)
    if isinstance(found, type) and issubclass(found, PreTrainedModel):
        return found
    raise SerializationError(
        f"{name!r} is no model class of the installed transformers "
        f"{transformers.__version__}; install the version it was saved with"
    )


def _pipeline(model: Any) -> Any:
    name = type(model).__name__
    tasks = [task for suffix, task in _TASKS.items() if name.endswith(suffix)]
    if not tasks:
        raise SerializationError(
            f"no pipeline is known for {name}; load it without as_pipeline"
        )
    return transformers.pipeline(
        tasks[0],
        model=model,
        tokenizer=getattr(model, "brixa_tokenizer", None),
        processor=getattr(model, "brixa_processor", None),
        device=model.device,
    )
