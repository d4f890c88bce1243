"""torch: modules, state dicts, TorchScript and exported programs.

``model.safetensors`` (a folder ``model`` of shards above 5 GB) holds every tensor once,
beside a recipe for the module or the structure of the state dict in the manifest.
``model.pt`` is a torch archive whose classes are pickled by value, so that classes of
``__main__`` load anywhere, or TorchScript; ``model.pt2`` is an exported program. A loaded
module is in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.module_recipe import (
    NoRecipe,
    assign_tensors,
    build,
    named_tensors,
    recipe_of,
)
from brixa_flows.serializers.safetensors_file import (
    SHARD_BYTES,
    CantHold,
    overlaps,
    read_tensors,
    write_tensors,
)
from brixa_flows.serializers.tensor_structure import (
    read_structure,
    restore,
    restore_views,
)
from brixa_flows.serializers.torch_devices import floating_dtype, torch_device
from brixa_flows.serializers.torch_pickled import load_by_value, save_by_value
from brixa_flows.serializers.torch_predicting import call, evaluating
from brixa_flows.serializers.torch_programs import (
    load_program,
    load_script,
    module_of,
    save_program,
    save_script,
)

__all__ = ["PyTorchSerializer"]

_MANIFEST_ERRORS = (AttributeError, KeyError, TypeError, ValueError)


class PyTorchSerializer:
    """What torch models are saved as.

    ========================  ===================================  ====
    module with a recipe      ``safetensors``                      data
    any other module          ``cloudpickle``                      code
    state dict, checkpoint    ``safetensors``                      data
    ``torch.jit`` module      ``torchscript``                      code
    exported program          ``pt2``                              code
    ========================  ===================================  ====

    Args:
        shard_bytes: What one safetensors file holds at most.
    """

    framework = "pytorch"

    def __init__(self, shard_bytes: int = SHARD_BYTES) -> None:
        self._shard_bytes = shard_bytes

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``.

        Without a format, a module is written as ``safetensors`` where it can be built
        again from its class and plain arguments, and as ``cloudpickle`` else, with
        the reason.

        Raises:
            SerializationError: If it can't be written so; names the reason or the
                attribute to blame.
        """
        if isinstance(model, ExportedProgram):
            choose_format(options, self.framework, ("pt2",))
            return save_program(model, directory)
        if isinstance(model, torch.jit.ScriptModule):
            choose_format(options, self.framework, ("torchscript",))
            return save_script(model, directory)
        if isinstance(model, nn.Module):
            return self._save_module(model, directory, options)
        choose_format(options, self.framework, ("safetensors",))
        return self._save_state_dict(model, directory)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model back, on the device and in the dtype asked for.

        Raises:
            SerializationError: If the files or the class are not what ``saved`` says.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        device = torch_device(options.device)
        dtype = floating_dtype(options.dtype)
        path = directory / saved.entry
        if saved.format == "pt2":
            return load_program(path, device, dtype)
        if saved.format == "safetensors" and "structure" in saved.config:
            return _load_state_dict(path, saved.config, device, dtype)
        loader = _MODULE_LOADERS.get(saved.format)
        if loader is None:
            raise SerializationError(
                f"{saved.format!r} is no format of pytorch models; upgrade brixa-flows"
            )
        return loader(path, saved.config).to(device=device, dtype=dtype).eval()

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Run the module in evaluation mode; the values are its raw outputs.

        Raises:
            DatasetError: If the module refuses the inputs, or it is a state dict.
        """
        what = type(model).__qualname__
        if isinstance(model, ExportedProgram):
            first = next(iter(model.state_dict.values()), None)
            with torch.inference_mode():
                return call(module_of(model), inputs, first, what)
        if not isinstance(model, nn.Module):
            raise DatasetError(
                f"a state dict (a {what}) can't predict; give it to load_state_dict() of "
                "its module, and predict with that"
            )
        first = next((tensor for _, tensor in named_tensors(model)), None)
        with evaluating(model):
            return call(model, inputs, first, what)

    def _save_module(
        self, model: nn.Module, directory: Path, options: SaveOptions
    ) -> SavedModel:
        chosen = choose_format(options, self.framework, ("safetensors", "cloudpickle"))
        if chosen == "cloudpickle":
            return save_by_value(model, directory, "cloudpickle was asked for")
        try:
            return self._save_by_recipe(model, directory)
        except (NoRecipe, CantHold) as err:
            if options.format == "safetensors":
                raise SerializationError(
                    f"the {type(model).__qualname__} can't be saved as safetensors: "
                    f"{err}; leave format= out to use cloudpickle"
                ) from err
            return save_by_value(model, directory, str(err))

    def _save_by_recipe(self, model: nn.Module, directory: Path) -> SavedModel:
        recipe = recipe_of(model)
        tensors: dict[str, torch.Tensor] = {}
        shared: dict[str, str] = {}
        owners: dict[int, str] = {}
        for name, tensor in named_tensors(model):
            first = owners.setdefault(id(tensor), name)
            if first == name:
                tensors[name] = tensor
            else:
                shared[name] = first
        for one, other in overlaps(tensors):
            raise NoRecipe(f"{one} and {other} are views of the same memory")
        frozen = [
            name for name, each in model.named_parameters() if not each.requires_grad
        ]
        config = {
            "recipe": recipe,
            "classes": sorted(_classes(recipe)),
            "shared": shared,
            "frozen": frozen,
        }
        return self._write(tensors, directory, config)

    def _save_state_dict(self, state: Any, directory: Path) -> SavedModel:
        taken = read_structure(state)
        config = {"structure": taken.structure, "views": taken.views}
        return self._write(taken.tensors, directory, config)

    def _write(
        self,
        tensors: Mapping[str, torch.Tensor],
        directory: Path,
        config: dict[str, Any],
    ) -> SavedModel:
        files = write_tensors(tensors, directory, self._shard_bytes)
        config |= {"shards": files.shards} if files.shards else {}
        return SavedModel(self.framework, "safetensors", "data", files.entry, config)


def _classes(recipe: Mapping[str, Any]) -> set[str]:
    children = recipe.get("children", {}).values()
    return {recipe["class"]}.union(*(_classes(child) for child in children))


def _load_by_recipe(path: Path, config: Mapping[str, Any]) -> nn.Module:
    try:
        recipe, listed = config["recipe"], set(config["classes"])
        unlisted = _classes(recipe) - listed
        frozen, shared = set(config["frozen"]), dict(config["shared"])
        shards = dict(config.get("shards", {}))
    except (*_MANIFEST_ERRORS, RecursionError) as err:
        raise SerializationError(
            f"the manifest's recipe of the module is none: {err!r:.200}"
        ) from err
    if unlisted:  # the trust policy judged the listed ones
        raise SerializationError(f"the recipe names unlisted classes: {unlisted}")
    tensors = read_tensors(path, shards, lambda tensor: tensor)
    model = build(recipe)
    for name, parameter in model.named_parameters():
        if name in tensors and name not in frozen:
            tensors[name].requires_grad_(parameter.requires_grad)
    try:
        tensors |= {name: tensors[first] for name, first in shared.items()}
    except KeyError as err:
        raise SerializationError(
            f"the manifest says that {err} is shared, and no file holds it"
        ) from err
    assign_tensors(model, tensors)
    return model


def _load_state_dict(
    path: Path,
    config: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype | None,
) -> Any:
    def prepare(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, dtype if tensor.is_floating_point() else None)

    try:
        shards, views = dict(config.get("shards", {})), dict(config.get("views", {}))
    except _MANIFEST_ERRORS as err:
        raise SerializationError(
            f"the manifest's facts about the tensors are none: {err!r:.200}"
        ) from err
    tensors = read_tensors(path, shards, prepare)
    restore_views(views, tensors)
    return restore(config["structure"], tensors)


def _load_script(path: Path, config: Mapping[str, Any]) -> nn.Module:
    return load_script(path)


_MODULE_LOADERS: Mapping[str, Callable[[Path, Mapping[str, Any]], nn.Module]] = {
    "safetensors": _load_by_recipe,
    "cloudpickle": load_by_value,
    "torchscript": _load_script,
}
