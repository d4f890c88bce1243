"""How to build a torch module again without pickling it: class path and arguments.

A recipe is trusted only after it was followed on the meta device and the result, given
the original's tensors, was found to be the same down to every attribute.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.torch_devices import floating_dtype

__all__ = [
    "NoRecipe",
    "assign_tensors",
    "build",
    "class_path",
    "first_difference",
    "import_module_class",
    "named_tensors",
    "recipe_of",
]

Recipe = dict[str, Any]

# A loaded module is in evaluation mode; the others are notes of transformers about its
# start and of torch.jit.script about its methods.
_PASSING = frozenset({"training", "_is_hf_initialized", "__overloads__"})
_GRAPHICS_CARD = re.compile(r"(cuda|mps)(:\d+)?")
_PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    torch.dtype,
    torch.device,
    torch.Size,
    type(None),
)


class NoRecipe(Exception):
    """Why a module can't be built from its class path and plain arguments."""


def recipe_of(model: nn.Module) -> Recipe:
    """The proven recipe of a module: ``class``, ``args`` or ``children``, ``dtype``.

    Raises:
        NoRecipe: If there is none; the message is the reason, for the warning.
    """
    if any(each.__module__.startswith("peft.") for each in type(model).__mro__):
        raise NoRecipe(
            "it is an adapter around its base model; merge_and_unload() gives one model "
            "that is saved as data"
        )
    recipe: Recipe = json.loads(json.dumps(_draft(model)))
    floating = {t.dtype for _, t in named_tensors(model) if t.is_floating_point()}
    if len(floating) == 1:
        recipe["dtype"] = str(floating.pop()).removeprefix("torch.")
    try:
        with torch.random.fork_rng(devices=[]):
            twin = _build(recipe)
            assign_tensors(twin, dict(named_tensors(model)))
            _settle(twin)
    except Exception as err:  # a user's constructor may raise anything
        reason = str(err).split("\n", 1)[0][:200]
        raise NoRecipe(f"its constructor can't be repeated: {reason}") from err
    difference = first_difference(model, twin)
    if difference:
        raise NoRecipe(f"its constructor does not give back {difference}")
    return recipe


def build(recipe: Recipe) -> nn.Module:
    """Follow a recipe on the meta device: the module has no values yet.

    Raises:
        SerializationError: If the class is not there, is no torch module, or can't be
            made with these arguments.
    """
    try:
        return _build(recipe)
    except SerializationError:
        raise
    except Exception as err:  # a user's constructor may raise anything
        raise SerializationError(
            f"the {str(recipe.get('class'))[:200]} can't be built again ({err}); was the "
            "class changed since the model was saved?"
        ) from err


def _build(recipe: Recipe) -> nn.Module:
    cls = import_module_class(recipe["class"])
    module: nn.Module
    with torch.device("meta"):
        if "children" in recipe:
            module = cls()
            for name, child in recipe["children"].items():
                module.add_module(name, _build(child))
        else:
            module = cls(**recipe["args"])
    if "dtype" in recipe:
        module = module.to(floating_dtype(recipe["dtype"]))
    return module


def _settle(model: nn.Module) -> None:
    """Tell modules that remember their device (Lightning's do) where they are now."""
    devices = {tensor.device for _, tensor in named_tensors(model)}
    if len(devices) == 1:
        model.to(devices.pop())


def named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and buffer, each under all its names, also non-persistent."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def assign_tensors(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put ``tensors`` in the place of the parameters and buffers of those names.

    Names that share one tensor object share one parameter afterwards.

    Raises:
        SerializationError: If names, shapes or dtypes are not those of the module.
    """
    expected = dict(named_tensors(model))
    if expected.keys() != tensors.keys():
        wrong = sorted(expected.keys() ^ tensors.keys())
        raise SerializationError(
            f"the tensors are not those of the class, first {wrong[0]!r}; was the "
            "class changed since the model was saved?"
        )
    made: dict[int, nn.Parameter] = {}
    for name, tensor in tensors.items():
        old = expected[name]
        if (old.shape, old.dtype) != (tensor.shape, tensor.dtype):
            raise SerializationError(
                f"{name} has shape {tuple(tensor.shape)} and {tensor.dtype}, the class "
                f"wants {tuple(old.shape)} and {old.dtype}"
            )
        owner, _, leaf = name.rpartition(".")
        value = tensor
        if isinstance(old, nn.Parameter):
            value = made.setdefault(
                id(tensor), nn.Parameter(tensor.detach(), tensor.requires_grad)
            )
        setattr(model.get_submodule(owner), leaf, value)
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            # Renews the list of weights that it keeps beside its parameters.
            module._apply(lambda tensor: tensor)  # type: ignore[no-untyped-call]


def _draft(model: nn.Module) -> Recipe:
    cls = type(model)
    path = class_path(cls)
    if cls is nn.Sequential:
        children = {name: _draft(child) for name, child in model.named_children()}
        return {"class": path, "children": children}
    return {"class": path, "args": _arguments(model)}


def class_path(cls: type) -> str:
    """``module:Class``, where another process finds the class too.

    Raises:
        NoRecipe: If it finds none or another one there.
    """
    path = f"{cls.__module__}:{cls.__qualname__}"
    if cls.__module__ == "__main__":
        raise NoRecipe(f"its class {cls.__qualname__} lives in __main__")
    if _look_up(cls.__module__, cls.__qualname__) is not cls:
        raise NoRecipe(f"its class {cls.__qualname__} is not at {path}")
    return path


def _arguments(model: nn.Module) -> dict[str, Any]:
    """Constructor arguments, as far as the module keeps them under their names.

    Lightning's ``save_hyperparameters`` keeps them in ``hparams``.
    """
    arguments = {}
    kept = getattr(model, "hparams", None)
    kept = kept if isinstance(kept, dict) else {}
    for parameter in list(inspect.signature(type(model)).parameters.values()):
        required = parameter.default is parameter.empty
        attribute = getattr(model, parameter.name, parameter.default)
        value = kept.get(parameter.name, attribute)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise NoRecipe("its constructor has positional-only arguments")
        if isinstance(parameter.default, bool) and not isinstance(value, bool):
            value = value is not None
        if isinstance(value, str) and _GRAPHICS_CARD.fullmatch(value):
            raise NoRecipe(
                f"its constructor's argument {parameter.name!r} is {value!r}, which "
                "may be absent where it is loaded"
            )
        if _is_json(value):
            arguments[parameter.name] = value
        elif required:
            raise NoRecipe(
                f"it keeps its constructor's argument {parameter.name!r} in no "
                "attribute of that name as a plain value"
            )
    return arguments


def _is_json(value: Any) -> bool:
    if value is inspect.Parameter.empty:
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _look_up(module: str, qualname: str) -> Any:
    """What a module has under a name; a dot leads into a class, never a module.

    A module has those that it imports as attributes, so a path would leave the ones that
    the trust policy judged.
    """
    found: Any = sys.modules.get(module)
    for depth, part in enumerate(qualname.split(".")):
        if depth and not isinstance(found, type):
            return None
        found = getattr(found, part, None)
    return found


def import_module_class(path: str) -> Any:
    """The torch module class at ``module:Class``.

    Raises:
        SerializationError: If there is none.
    """
    module, _, qualname = path.partition(":")
    try:
        importlib.import_module(module)
    except ImportError as err:
        raise SerializationError(
            f"the class {path} can't be imported here ({err}); install the package "
            "that has it, or put it on PYTHONPATH"
        ) from err
    found = _look_up(module, qualname)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise SerializationError(f"{path} is no torch module class here")
    return found


def first_difference(model: nn.Module, twin: nn.Module) -> str | None:
    """Path of the first part in which two modules differ, ``None`` if in none."""
    return _first_difference("model", model, twin, set())


def _first_difference(path: str, a: Any, b: Any, seen: set[int]) -> str | None:
    """Path of the first part in which two modules or values differ."""
    if a is b or id(a) in seen:
        return None
    if type(a) is not type(b):
        return path
    if isinstance(a, torch.Tensor):
        return None if _same_tensor(a, b) else path
    if isinstance(a, _PLAIN):
        return None if a == b or (a != a and b != b) else path
    seen.add(id(a))
    parts, twins = _parts(a), _parts(b)
    if parts is None or twins is None:
        return path
    for key in [*parts, *twins]:
        if key not in parts or key not in twins:
            return f"{path}.{key}"
    if list(parts) != list(twins) and not isinstance(a, nn.Module):
        return path
    differences = (
        _first_difference(f"{path}.{key}", part, twins[key], seen)
        for key, part in parts.items()
    )
    return next((each for each in differences if each), None)


def _parts(value: Any) -> dict[Any, Any] | None:
    """What a value consists of, by key; ``None`` for what can't be compared."""
    kind = type(value)
    if kind in (dict, OrderedDict):
        return dict(value)
    if isinstance(value, dict) and not isinstance(value, defaultdict):
        attributes = getattr(value, "__dict__", {})
        return dict(value) | {("attribute", k): v for k, v in attributes.items()}
    if kind in (list, tuple):
        return dict(enumerate(value))
    if kind in (set, frozenset):
        return dict.fromkeys(sorted(value, key=repr))
    if kind is weakref.ref:
        return {"referent": value()}
    if isinstance(value, nn.Module):
        # What a class leaves out of its pickles (a trainer) is not part of it.
        state = value.__getstate__()  # type: ignore[no-untyped-call]
        if not isinstance(state, dict):
            return None
        return {key: part for key, part in state.items() if key not in _PASSING}
    return None


def _same_tensor(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (
        a.layout == b.layout
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.requires_grad == b.requires_grad
        and not b.is_meta
        and a.data_ptr() == b.data_ptr()
    )
