"""torch modules: safetensors and a recipe where that is proven equal, else cloudpickle.

``model.safetensors`` holds every parameter and buffer once; names that share a tensor
stay shared. ``model.pt`` is a torch archive whose classes are pickled by value, so that
classes of ``__main__`` load anywhere. A loaded module is in evaluation mode.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import choose_device
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.module_recipe import (
    NoRecipe,
    assign_tensors,
    build,
    named_tensors,
    recipe_of,
)
from brixa_flows.serializers.pickling import (
    PICKLE_PROTOCOL,
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    unpicklable,
    unreadable,
)

__all__ = [
    "PyTorchSerializer",
    "as_array",
    "as_tensor",
    "evaluating",
    "floating_dtype",
    "present_devices",
    "torch_device",
]

_INPUT_ERRORS = (IndexError, KeyError, RuntimeError, TypeError)
_MODE_LOCK = threading.Lock()


class PyTorchSerializer:
    """``model.safetensors`` (data) or ``model.pt`` (code)."""

    framework = "pytorch"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; the formats are ``safetensors`` and ``cloudpickle``.

        Without a format, safetensors is used where the module can be built again from
        its class and plain arguments, and cloudpickle else, with the reason.

        Raises:
            SerializationError: If it can't be written so; names the reason or the
                attribute to blame.
        """
        chosen = choose_format(options, self.framework, ("safetensors", "cloudpickle"))
        if chosen == "cloudpickle":
            return _save_by_value(model, directory, "cloudpickle was asked for")
        try:
            return _save_tensors(model, directory)
        except NoRecipe as err:
            if options.format == "safetensors":
                raise SerializationError(
                    f"the {type(model).__qualname__} can't be saved as safetensors: "
                    f"{err}; leave format= out to use cloudpickle"
                ) from err
            return _save_by_value(model, directory, str(err))

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the module back, on the device and in the dtype asked for.

        Raises:
            SerializationError: If the files or the class are not what ``saved`` says.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        device = torch_device(options.device)
        path = directory / saved.entry
        if saved.format == "safetensors":
            model = _load_tensors(path, saved)
        elif saved.format == "cloudpickle":
            try:
                model = torch.load(path, map_location="cpu", weights_only=False)
            except (*UNPICKLING_ERRORS, RuntimeError) as err:
                raise unreadable(path, err) from err
        else:
            raise SerializationError(f"{saved.format!r} is no format of pytorch models")
        dtype = floating_dtype(options.dtype)
        return model.to(device=device, dtype=dtype).eval()

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Run the module in evaluation mode; the values are its raw outputs.

        Raises:
            DatasetError: If the module refuses the inputs.
        """
        first = next((tensor for _, tensor in named_tensors(model)), None)
        try:
            with evaluating(model):
                if isinstance(inputs, Mapping):
                    output = model(
                        **{name: as_tensor(x, first) for name, x in inputs.items()}
                    )
                else:
                    output = model(as_tensor(inputs, first))
            return Prediction(as_array(output))
        except _INPUT_ERRORS as err:
            raise DatasetError(
                f"the {type(model).__qualname__} refused the inputs: {err}"
            ) from err


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


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation and inference mode; the modes of all submodules come back after."""
    in_training = [module for module in model.modules() if module.training]
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


def _save_tensors(model: nn.Module, directory: Path) -> SavedModel:
    recipe = recipe_of(model)
    tensors: dict[str, torch.Tensor] = {}
    shared: dict[str, str] = {}
    owners: dict[int, str] = {}
    for name, tensor in named_tensors(model):
        first = owners.setdefault(id(tensor), name)
        if first == name:
            tensors[name] = tensor.detach()
        else:
            shared[name] = first
    _refuse_overlaps(tensors)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, directory / "model.safetensors")
    except (SafetensorError, RuntimeError, ValueError, KeyError) as err:
        raise NoRecipe(f"safetensors can't hold its tensors ({err})") from err
    frozen = [name for name, each in model.named_parameters() if not each.requires_grad]
    config = {
        "recipe": recipe,
        "classes": sorted(_classes(recipe)),
        "shared": shared,
        "frozen": frozen,
    }
    return SavedModel("pytorch", "safetensors", "data", "model.safetensors", config)


def _refuse_overlaps(tensors: Mapping[str, torch.Tensor]) -> None:
    """Tensors that are different views of one memory would come apart."""
    owners: dict[int, str] = {}
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            continue
        other = owners.setdefault(tensor.untyped_storage().data_ptr(), name)
        if other != name:
            raise NoRecipe(f"{other} and {name} are views of the same memory")


def _classes(recipe: Mapping[str, Any]) -> set[str]:
    children = recipe.get("children", {}).values()
    return {recipe["class"]}.union(*(_classes(child) for child in children))


def _load_tensors(path: Path, saved: SavedModel) -> nn.Module:
    config = saved.config
    recipe = config["recipe"]
    unlisted = _classes(recipe) - set(config["classes"])
    if unlisted:  # the trust policy judged the listed ones
        raise SerializationError(f"the recipe names unlisted classes: {unlisted}")
    try:
        tensors = load_file(path)
        model = build(recipe)
    except (SafetensorError, TypeError, ValueError) as err:
        raise unreadable(path, err) from err
    for name, _ in model.named_parameters():
        if name in tensors and name not in config["frozen"]:
            tensors[name].requires_grad_()
    for name, first in config["shared"].items():
        tensors[name] = tensors[first]
    assign_tensors(model, tensors)
    return model


def _save_by_value(model: nn.Module, directory: Path, because: str) -> SavedModel:
    try:
        torch.save(
            model,
            directory / "model.pt",
            pickle_module=cloudpickle,
            pickle_protocol=PICKLE_PROTOCOL,
        )
    except PICKLING_ERRORS as err:
        raise unpicklable(model, err, by_value=True) from err
    config = {"because": because}
    return SavedModel("pytorch", "cloudpickle", "code", "model.pt", config)
