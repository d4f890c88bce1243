"""Devices and dtypes of torch, by their names."""

from __future__ import annotations

import io
from typing import Any

import torch

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.devices import choose_device

__all__ = ["floating_dtype", "present_devices", "tensors_of", "torch_device"]

_GRAPHICS = ("cuda", "mps")


def present_devices() -> tuple[str, ...]:
    """Devices of this machine, best first."""
    present = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        present.append("mps")
    return (*present, "cpu")


def torch_device(device: str) -> torch.device:
    """The device asked for.

    Raises:
        DeviceUnavailableError: If it is not there; lists those present.
    """
    return torch.device(choose_device(device, present_devices()))


def floating_dtype(name: str | None) -> torch.dtype | None:
    """A floating dtype by its name, with or without ``torch.``.

    Raises:
        SerializationError: If there is no such dtype.
    """
    if name is None:
        return None
    dtype = getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise SerializationError(
            f"dtype={name!r} is no floating dtype; use float16, bfloat16, float32 or "
            "float64"
        )
    return dtype


def tensors_of(content: bytes) -> Any:
    """Tensors that are a part of another object's pickle, which somebody vouched for.

    Those of a device that is absent come onto the CPU, others onto their device.
    """

    def place(storage: Any, location: str) -> Any:
        absent = location.startswith(_GRAPHICS) and location not in present_devices()
        return storage if absent else None

    return torch.load(io.BytesIO(content), map_location=place, weights_only=False)
