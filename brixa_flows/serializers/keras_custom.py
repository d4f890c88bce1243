"""Which classes and functions a Keras model takes from elsewhere than Keras.

A ``.keras`` file names them but does not say where they are, and safe mode imports
nothing outside of Keras: who loads it must hand them over.
"""

from __future__ import annotations

import importlib
import json
import random
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import keras

from brixa_flows.errors import SerializationError

__all__ = [
    "again",
    "custom_objects_of",
    "has_lambda",
    "import_listed",
    "is_of_keras",
    "path_of",
]

_LAMBDA = "<lambda>"
_KERAS_PACKAGES = frozenset({"keras", "keras_hub", "keras_cv", "keras_nlp"})


def custom_objects_of(model: Any, path: Path) -> dict[str, Any]:
    """Class or function by the name that the file gives it.

    Args:
        model: The model.
        path: The ``.keras`` file it was just written to.
    """
    live = {keras.saving.get_registered_name(each): each for each in _live(model)}
    names = _foreign_names(_config_of(path))
    return {name: live[name] for name in names if name in live}


def is_of_keras(kind: type) -> bool:
    """Whether Keras brings a class itself."""
    return kind.__module__.partition(".")[0] in _KERAS_PACKAGES


def again(part: Any, custom: Mapping[str, Any]) -> Any:
    """A part of a model as its config gives it back, without what compile made."""
    seeds = random.getstate()  # layers draw a seed each
    try:
        config = keras.saving.serialize_keras_object(part)
        if isinstance(config, dict):
            config.pop("compile_config", None)
        return keras.saving.deserialize_keras_object(
            config, custom_objects=dict(custom), safe_mode=False
        )
    finally:
        random.setstate(seeds)


def has_lambda(path: Path) -> bool:
    """Whether a ``.keras`` file holds bytecode, which safe mode never loads."""
    return _LAMBDA in _foreign_names(_config_of(path))


def _config_of(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def path_of(custom: Any) -> str:
    """Where a class or function is: ``module:qualified.name``."""
    return f"{custom.__module__}:{custom.__qualname__}"


def import_listed(
    registered: Mapping[str, str], listed: Iterable[str]
) -> dict[str, Any]:
    """Import the custom objects of a model.

    Args:
        registered: ``module:name`` by the name that the file gives it.
        listed: The paths that the trust policy judged.

    Raises:
        SerializationError: If one is not listed, not there or nothing of Keras's kind.
    """
    allowed = frozenset(listed)
    found = {}
    for key, path in registered.items():
        module, _, qualname = path.partition(":")
        if path not in allowed:
            raise SerializationError(f"the manifest names {path} but does not list it")
        try:
            custom: Any = importlib.import_module(module)
            for part in qualname.split("."):
                custom = getattr(custom, part)
        except (AttributeError, ImportError) as err:
            raise SerializationError(
                f"{path}, which the model needs, can't be imported here ({err}); "
                "install the package that has it, or put it on PYTHONPATH"
            ) from err
        if not (isinstance(custom, FunctionType) or hasattr(custom, "from_config")):
            raise SerializationError(f"{path} is no Keras class or function here")
        found[key] = custom
    return found


def _live(model: Any) -> Iterator[Any]:
    """Classes and functions that the parts of a model are made of."""
    owners = [model, *model._flatten_layers(), getattr(model, "optimizer", None)]
    for owner in owners:
        if owner is None:
            continue
        parts = [owner, *vars(owner).values()]
        parts += [getattr(owner, "loss", None)]
        for part in parts:
            if isinstance(part, FunctionType):
                yield part
            elif hasattr(part, "get_config") and not isinstance(part, type):
                yield type(part)


def _foreign_names(config: Any) -> Iterator[str]:
    """Names of everything in a config that Keras does not bring itself."""
    if isinstance(config, list):
        for each in config:
            yield from _foreign_names(each)
    if not isinstance(config, dict):
        return
    kind, inner = config.get("class_name"), config.get("config")
    package = str(config.get("module")).partition(".")[0]
    if kind == "__lambda__":
        yield _LAMBDA
    elif kind == "function":
        if package not in _KERAS_PACKAGES and isinstance(inner, str):
            yield inner
    elif isinstance(kind, str) and package not in _KERAS_PACKAGES:
        yield str(config.get("registered_name") or kind)
    for each in config.values():
        yield from _foreign_names(each)
