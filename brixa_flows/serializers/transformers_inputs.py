"""What a Hugging Face model is given: by its tokenizer, its processor, or as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brixa_flows.errors import DatasetError
from brixa_flows.plugins import import_adapter
from brixa_flows.serializers.torch_predicting import as_tensor

__all__ = ["encoded"]

_IMAGES = "brixa_flows.serializers.transformers_images"


def encoded(model: Any, inputs: Any) -> dict[str, Any]:
    """Keyword arguments for a model: of texts, raw images, or tensors by name.

    Args:
        model: With its tokenizer or processor, if it has one.
        inputs: One batch.

    Raises:
        DatasetError: If what reads texts or images was not saved with the model, or the
            inputs are neither.
    """
    like = next(model.parameters())
    images = _images(model, inputs)
    if images is not None:
        inputs = import_adapter(_IMAGES).processed(model, images)
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
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return dict(tokens.to(like.device))


def _images(model: Any, inputs: Any) -> list[Any] | None:
    """Raw images in the inputs of a model of pixels: of PIL, or of whole numbers."""
    if model.main_input_name != "pixel_values":
        return None
    if isinstance(inputs, Mapping) or hasattr(inputs, "columns"):
        names = [name for name in inputs if name == "image"] or list(inputs)
        if len(names) != 1 or names[0] == "pixel_values":
            return None
        inputs = inputs[names[0]]
    if hasattr(inputs, "detach"):
        inputs = inputs.detach().cpu().numpy()
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "iuO":
        return None
    images = list(inputs)
    return None if _are_floats(images) else images


def _are_floats(images: list[Any]) -> bool:
    """Pixel values that a processor has made already."""
    return bool(images) and np.asarray(images[0]).dtype.kind == "f"


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
