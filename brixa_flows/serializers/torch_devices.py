"""Devices and dtypes of torch, by their names."""

from __future__ import annotations

import torch

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.devices import choose_device

__all__ = ["floating_dtype", "present_devices", "torch_device"]


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
    """A floating dtype by its name.

    Raises:
        SerializationError: If there is no such dtype.
    """
    if name is None:
        return None
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise SerializationError(
            f"dtype={name!r} is no floating dtype; use float16, bfloat16, float32 or "
            "float64"
        )
    return dtype
