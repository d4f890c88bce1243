"""Running what torch can run: inputs to tensors, outputs to arrays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from brixa_flows.errors import DatasetError
from brixa_flows.serializers.base import ModelInputs, Prediction

__all__ = ["as_array", "as_tensor", "call", "evaluating"]

_INPUT_ERRORS = (
    AssertionError,  # of torch.export's guards
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
_MODE_LOCK = threading.Lock()


def call(
    module: Any, inputs: ModelInputs, like: torch.Tensor | None, what: str
) -> Prediction:
    """Call a module on inputs, by name where they have names.

    Args:
        module: What is called.
        inputs: One batch.
        like: A tensor on the device and in the floating dtype of the module.
        what: The model, for messages.

    Raises:
        DatasetError: If the module refuses the inputs.
    """
    try:
        if isinstance(inputs, Mapping):
            named = {name: as_tensor(each, like) for name, each in inputs.items()}
            return Prediction(as_array(module(**named)))
        return Prediction(as_array(module(as_tensor(inputs, like))))
    except _INPUT_ERRORS as err:
        raise DatasetError(f"the {what} refused the inputs: {err}") from err


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation and inference mode; the modes of all submodules come back after."""
    # A frozen TorchScript module has no mode.
    in_training = [each for each in model.modules() if getattr(each, "training", False)]
    if not in_training:
        with torch.inference_mode():
            yield
        return
    with _MODE_LOCK:
        try:
            model.eval()
            with torch.inference_mode():
                yield
        finally:
            for module in in_training:
                module.training = True


def as_tensor(inputs: Any, like: torch.Tensor | None) -> torch.Tensor:
    """Inputs as a tensor on the device and in the floating dtype of ``like``.

    Columns of a DataFrame become floating; an array of integers stays so (tokens).

    Raises:
        DatasetError: If they are not numbers.
    """
    try:
        if hasattr(inputs, "to_numpy"):
            inputs = inputs.to_numpy(dtype="float64")
        if isinstance(inputs, np.ndarray):
            inputs = np.require(inputs, requirements="W")  # torch takes no read-only
        tensor = torch.as_tensor(inputs)
    except (TypeError, ValueError) as err:
        raise DatasetError(f"the inputs are no numbers: {err}") from err
    if like is None:
        return tensor
    if tensor.is_floating_point() and like.is_floating_point():
        tensor = tensor.to(like.dtype)
    return tensor.to(like.device)


def as_array(output: Any) -> NDArray[Any]:
    """The (first) tensor of a model's output, or its logits, as a numpy array.

    Raises:
        TypeError: If there is no tensor in it.
    """
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else [*output.values()]
    while isinstance(output, (list, tuple)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the output is a {type(output).__qualname__}, no tensor")
    output = output.detach().cpu()
    if output.dtype is torch.bfloat16:
        output = output.float()
    return np.asarray(output.numpy())
