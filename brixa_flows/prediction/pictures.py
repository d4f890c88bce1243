"""Images in rows, of one size or of many; the imaging library itself is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["holds_pictures", "is_picture", "stacked_pictures"]

_MODES = ("L", "RGB", "RGBA")


def is_picture(value: Any) -> bool:
    """Whether it is an image of PIL, or an array of the shape of a decoded one."""
    if isinstance(value, np.ndarray):
        return value.ndim in (2, 3) and value.dtype == np.uint8
    return _is_of_pil(value)


def holds_pictures(array: NDArray[Any]) -> bool:
    """Whether it is an array of images of several sizes."""
    return array.dtype.kind == "O" and array.size > 0 and is_picture(array.flat[0])


def stacked_pictures(values: Sequence[Any]) -> NDArray[Any] | None:
    """Images as one array: of shape (n_samples, height, width[, channels]).

    Images of several sizes or modes are an array of arrays, of shape (n_samples,).
    Palettes are looked up: the numbers of a palette mean nothing without it.

    Returns:
        ``None`` if one of them is no image.
    """
    if not len(values) or not all(map(is_picture, values)):
        return None
    arrays = [np.asarray(_plain(each)) for each in values]
    if len({each.shape for each in arrays}) == 1:
        return np.stack(arrays)
    ragged: NDArray[Any] = np.empty(len(arrays), dtype=object)
    ragged[:] = arrays
    return ragged


def _is_of_pil(value: Any) -> bool:
    return any(each.__module__.partition(".")[0] == "PIL" for each in type(value).mro())


def _plain(picture: Any) -> Any:
    if isinstance(picture, np.ndarray) or picture.mode in _MODES:
        return picture
    return picture.convert("RGB")
