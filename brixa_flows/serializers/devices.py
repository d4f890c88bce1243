"""The one grammar of device names: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``."""

from __future__ import annotations

from collections.abc import Sequence

from brixa_flows.errors import DeviceUnavailableError, SerializationError
from brixa_flows.serializers.base import LoadOptions

__all__ = ["choose_device", "refuse_all_but_cpu"]


def choose_device(device: str, present: Sequence[str]) -> str:
    """Turn a device as asked for into one that is there.

    Args:
        device: ``auto`` is the best there is, ``cuda`` the first of its kind.
        present: Those of this machine, best first (``cuda:0``, ``mps``, ``cpu``).

    Raises:
        DeviceUnavailableError: If it is absent or no device name; lists those present.
    """
    device = str(device)  # a torch.device says its name
    if device == "auto":
        return present[0]
    for candidate in present:
        if device in (candidate, candidate.partition(":")[0]):
            return candidate
    raise DeviceUnavailableError(device, present)


def refuse_all_but_cpu(options: LoadOptions, framework: str) -> None:
    """Check the options of a framework that has no devices, dtypes or pipelines.

    Raises:
        DeviceUnavailableError: If another device than the CPU is asked for.
        SerializationError: If a dtype is asked for.
    """
    choose_device(options.device, ("cpu",))
    if options.dtype is not None:
        raise SerializationError(
            f"dtype={options.dtype!r} can't be applied to a model of {framework}; it "
            "is for pytorch models"
        )
