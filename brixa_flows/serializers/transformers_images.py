"""Raw images for Hugging Face models, by the processor that was saved with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brixa_flows.errors import DatasetError

__all__ = ["processed"]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_CHANNELS = tuple(_MODES)


def processed(model: Any, images: list[Any]) -> dict[str, Any]:
    """What the model's processor makes of raw images.

    Args:
        model: With the processor as ``brixa_processor``.
        images: Of PIL, or arrays of whole numbers from 0 to 255 of shape (height,
            width), (height, width, channels) or (channels, height, width).

    Raises:
        DatasetError: If there is no processor, or one of them is no image.
    """
    processor = getattr(model, "brixa_processor", None)
    if processor is None:
        raise DatasetError(
            "images need the processor of the model, and none was saved with it; save "
            "it with save_model(..., processor=processor), or give pixel values as "
            f"floats, as {model.main_input_name}"
        )
    mode = _MODES.get(getattr(model.config, "num_channels", 3), "RGB")
    pictures = [_picture(each, at).convert(mode) for at, each in enumerate(images)]
    processor = getattr(processor, "image_processor", processor)
    encoded: Mapping[str, Any] = processor(images=pictures, return_tensors="pt")
    return dict(encoded)


def _picture(value: Any, row: int) -> Image.Image:
    if isinstance(value, Image.Image):
        return value
    pixels: NDArray[Any] = np.asarray(value)
    if pixels.ndim == 3 and pixels.shape[-1] not in _CHANNELS:
        pixels = np.moveaxis(pixels, 0, -1)
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in _CHANNELS)
    if not flat or pixels.dtype.kind not in "iu" or not _are_bytes(pixels):
        raise DatasetError(
            f"row {row} is no image: it has shape {np.shape(value)} and type "
            f"{pixels.dtype}; give whole numbers from 0 to 255, of shape (height, "
            "width[, channels]), or images of PIL"
        )
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return Image.fromarray(pixels.astype(np.uint8))


def _are_bytes(pixels: NDArray[Any]) -> bool:
    return pixels.size > 0 and pixels.min() >= 0 and pixels.max() <= 255
