"""Hugging Face models: the ``save_pretrained`` directory with safetensors.

Loaded by the class its manifest names: one of ``transformers``, or an importable one that
the manifest lists for the trust policy to judge. Code that travels with a model
(``trust_remote_code``) is never run and no network is used.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from packaging.version import Version
from safetensors import SafetensorError
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
from brixa_flows.serializers.held import origin_of
from brixa_flows.serializers.module_recipe import (
    NoRecipe,
    assign_tensors,
    class_path,
    first_difference,
    import_module_class,
    named_tensors,
)
from brixa_flows.serializers.pickling import unreadable
from brixa_flows.serializers.progress import is_shown
from brixa_flows.serializers.pytorch import PyTorchSerializer
from brixa_flows.serializers.safetensors_file import SHARD_BYTES
from brixa_flows.serializers.torch_devices import floating_dtype, torch_device
from brixa_flows.serializers.torch_predicting import as_array, evaluating
from brixa_flows.serializers.transformers_blame import cannot_write
from brixa_flows.serializers.transformers_files import (
    other_source,
    refuse_other_sources,
    refuse_to_keep_other_sources,
)
from brixa_flows.serializers.transformers_inputs import encoded
from brixa_flows.serializers.transformers_lost import (
    warn_of_lost_notes,
    warn_of_lost_parts,
)

__all__ = ["TransformersSerializer"]

_ENTRY = "model"
# from_pretrained patches torch and its own classes meanwhile, for the whole process.
_LOADING = threading.Lock()
_CLASSIFIERS = ("ForSequenceClassification", "ForImageClassification")
_ATTACHED = ("tokenizer", "processor")
_OPTIONAL = (*_ATTACHED, "generation_config")
_INPUT_ERRORS = (IndexError, KeyError, RuntimeError, TypeError, ValueError)
_TASKS = {
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForCausalLM": "text-generation",
    "ForDepthEstimation": "depth-estimation",
    "ForImageClassification": "image-classification",
    "ForMaskedLM": "fill-mask",
    "ForObjectDetection": "object-detection",
    "ForQuestionAnswering": "question-answering",
    "ForSemanticSegmentation": "image-segmentation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "LMHeadModel": "text-generation",
}
_UNREADABLE = (
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)
_LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}
_READERS: Mapping[str, Callable[[Path], Any]] = {
    "tokenizer": lambda path: transformers.AutoTokenizer.from_pretrained(
        path, **_LOCAL_ONLY
    ),
    "processor": lambda path: transformers.AutoProcessor.from_pretrained(
        path, **_LOCAL_ONLY
    ),
}
_NEW_NAMES = Version(transformers.__version__) >= Version("4.56")
_OPTIONS = {
    "local_files_only": True,
    "dtype" if _NEW_NAMES else "torch_dtype": "auto",
}


class TransformersSerializer:
    """``model/`` as ``save_pretrained`` writes it (data).

    A tokenizer or processor given on save comes back as attribute ``brixa_tokenizer`` or
    ``brixa_processor`` of the loaded model, is used to predict texts, and is saved again
    with it.

    Args:
        shard_bytes: What one safetensors file holds at most.
    """

    framework = "pytorch"
    makes_pipelines = True

    def __init__(self, shard_bytes: int = SHARD_BYTES) -> None:
        self._shard_bytes = shard_bytes

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``.

        One that its class and its config do not give back (a replaced head, an adapter,
        a class of ``__main__``, a backbone from elsewhere) goes as a torch module.

        Raises:
            SerializationError: If it can't be written.
        """
        try:
            config = _config_of(model)
        except NoRecipe as err:
            _refuse_attachments(model, options, err)
            return PyTorchSerializer(self._shard_bytes).save(model, directory, options)
        choose_format(options, self.framework, ("safetensors",), hugging_face=True)
        target = directory / _ENTRY
        try:
            with _bars_if_long(model.get_memory_footprint()):
                model.save_pretrained(target, max_shard_size=self._shard_bytes)
            for kind in _ATTACHED:
                extra = getattr(options, kind) or getattr(model, f"brixa_{kind}", None)
                if extra is not None:
                    extra.save_pretrained(target)
                    config[kind] = type(extra).__name__
                    warn_of_lost_notes(extra, partial(_READERS[kind], target))
            if options.generation_config is not None:
                options.generation_config.save_pretrained(target)
        except (AttributeError, OSError, TypeError, ValueError) as err:
            attached = {kind: getattr(options, kind) for kind in _OPTIONAL}
            raise cannot_write(model, attached, err) from err
        refuse_to_keep_other_sources(target)
        return SavedModel("transformers", "safetensors", "data", _ENTRY, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model (or, with ``as_pipeline``, a pipeline around it) back.

        Raises:
            SerializationError: If the class is not there or not listed, a weight is
                missing, or there is no pipeline for it.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        device = torch_device(options.device)
        dtype = floating_dtype(options.dtype)
        path = directory / saved.entry
        refuse_other_sources(path)
        model = _read(path, _model_class(saved.config))
        try:
            for kind, read in _READERS.items():
                if kind in saved.config:
                    setattr(model, f"brixa_{kind}", read(path))
        except Exception as err:  # tokenizers raises that itself
            raise unreadable(path, err) from err
        model.name_or_path = str(origin_of(path))
        model = model.to(device=device, dtype=dtype).eval()
        return _pipeline(model) if options.as_pipeline else model

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict texts, raw images, or tensors by name.

        A classifier of sequences or images answers with its labels (``id2label``) and
        the softmax of its logits, any other model with its raw outputs.

        Raises:
            DatasetError: If the model refuses the inputs, has no tokenizer for texts or
                no processor for images.
        """
        try:
            with evaluating(model):
                output = model(**encoded(model, inputs))
        except DatasetError:
            raise
        except _INPUT_ERRORS as err:
            raise DatasetError(
                f"the {type(model).__name__} refused the inputs: {err}"
            ) from err
        logits = as_array(output)
        if not any(end in type(model).__name__ for end in _CLASSIFIERS):
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


def _config_of(model: Any) -> dict[str, Any]:
    """What the manifest says of a model that its class and its config give back.

    Raises:
        NoRecipe: If they do not.
    """
    cls = type(model)
    is_theirs = getattr(transformers, cls.__name__, None) is cls
    with suppress(TypeError):  # it can't be written, which is told by who writes it
        if named := other_source(model.config.to_diff_dict()):
            raise NoRecipe(f"its config {named}")
    if getattr(model, "hf_quantizer", None) is None:
        try:
            with _LOADING, torch.device("meta"):
                twin = cls(copy.deepcopy(model.config) if is_theirs else model.config)
        except Exception as err:  # a user's constructor may raise anything
            raise NoRecipe(f"its class can't be built from its config: {err}") from err
        if _shapes(model) != _shapes(twin):
            raise NoRecipe(
                "its weights are not those that its class has for its config"
            )
        if is_theirs:
            warn_of_lost_parts(model, twin)
        else:
            _refuse_other_state(model, twin)
    if is_theirs:
        return {"class": cls.__name__}
    path = class_path(cls)
    return {"class": path, "classes": [path]}


def _refuse_other_state(model: Any, twin: Any) -> None:
    """An attribute that does not come from the config would be lost."""
    assign_tensors(twin.to(model.dtype), dict(named_tensors(model)))
    for name in ("generation_config", *(f"brixa_{kind}" for kind in _ATTACHED)):
        if hasattr(model, name):
            setattr(twin, name, getattr(model, name))
    if difference := first_difference(model, twin):
        raise NoRecipe(f"its config does not give back {difference}")


def _shapes(model: Any) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in named_tensors(model)}


def _refuse_attachments(model: Any, options: SaveOptions, why: NoRecipe) -> None:
    for name in _OPTIONAL:
        if getattr(options, name) is not None:
            raise SerializationError(
                f"{name}= can't be kept with this {type(model).__name__}, because it is "
                f"saved as a torch module: {why}",
                option=name,
            )


def _model_class(config: Mapping[str, Any]) -> Any:
    name = str(config.get("class"))
    if ":" in name:
        if name not in config.get("classes", ()):  # which the trust policy judged
            raise SerializationError(f"the manifest names the unlisted class {name}")
        found = import_module_class(name)
    else:
        found = getattr(transformers, name, None)
    if isinstance(found, type) and issubclass(found, PreTrainedModel):
        return found
    raise SerializationError(
        f"{name!r} is no model class of the installed transformers "
        f"{transformers.__version__}; install the version it was saved with"
    )


def _read(path: Path, cls: Any) -> Any:
    """The model, mapped into memory where transformers does so."""
    try:
        size_bytes = sum(each.stat().st_size for each in path.iterdir())
        with _LOADING, _bars_if_long(size_bytes):
            model, info = cls.from_pretrained(
                path, use_safetensors=True, output_loading_info=True, **_OPTIONS
            )
    except _UNREADABLE as err:
        raise unreadable(path, err) from err
    absent = [*info["missing_keys"], *info["mismatched_keys"]]
    if absent:
        raise SerializationError(
            f"{path.name} lacks weights of the {cls.__name__}, first {absent[0]!r}; "
            "install the version of transformers that it was saved with"
        )
    return model


@contextmanager
def _bars_if_long(size_bytes: int) -> Iterator[None]:
    """Bars of the library where one of ours would be shown, and in no log."""
    bars = transformers.utils.logging
    hidden = bars.is_progress_bar_enabled() and not is_shown(size_bytes)
    if hidden:
        bars.disable_progress_bar()
    try:
        yield
    finally:
        if hidden:
            bars.enable_progress_bar()


def _pipeline(model: Any) -> Any:
    name = type(model).__name__
    kinds = [each.__name__ for each in type(model).__mro__]
    tasks = [
        task for kind in kinds for end, task in _TASKS.items() if kind.endswith(end)
    ]
    if not tasks:
        raise SerializationError(
            f"no pipeline is known for {name}; load it without as_pipeline"
        )
    try:
        return transformers.pipeline(
            tasks[0],
            model=model,
            tokenizer=getattr(model, "brixa_tokenizer", None),
            device=model.device,
            **_as_pipelines_take_it(getattr(model, "brixa_processor", None)),
        )
    except Exception as err:  # transformers raises that itself
        raise SerializationError(
            f"the {name} can't be loaded as a pipeline: {err} Save it with tokenizer= or "
            "processor=, or load it without as_pipeline"
        ) from err


def _as_pipelines_take_it(processor: Any) -> dict[str, Any]:
    """The argument of a pipeline that a processor is for."""
    kinds = [each.__name__ for each in type(processor).__mro__]
    if any("ImageProcess" in kind for kind in kinds):
        return {"image_processor": processor}
    if any("FeatureExtract" in kind for kind in kinds):
        return {"feature_extractor": processor}
    return {} if processor is None else {"processor": processor}
