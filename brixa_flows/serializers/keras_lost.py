"""Which attributes of a Keras model its config does not give back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import keras

__all__ = ["lost_attributes"]

# Names of their own, and what compile, build, fit and predict leave behind.
_PASSING = frozenset(
    {
        "built",
        "compiled",
        "history",
        "loss",
        "name",
        "optimizer",
        "stop_evaluating",
        "stop_predicting",
        "stop_training",
    }
)
_PLAIN = (bool, int, float, str, type(None))


def lost_attributes(model: Any, custom: Mapping[str, Any]) -> list[str]:
    """Attributes that a model or a layer of it has, and that no file keeps.

    The model is built again from its config, without values: what the twin has not, or
    has with another plain value, is lost. Nothing is said of a model that can't be
    built so, of private names, and of layers that are not made by the constructor.

    Args:
        model: The model.
        custom: Its classes and functions that are not Keras's own, by name.

    Returns:
        Names, those of a layer behind the name of the layer.
    """
    twin = _twin(model, custom)
    if twin is None:
        return []
    lost = list(_differences(model, twin))
    layers = model._flatten_layers(include_self=False)
    twins = list(twin._flatten_layers(include_self=False))
    for layer, other in zip(layers, twins, strict=False):
        if type(layer) is not type(other):
            break
        lost += [f"{layer.name}.{name}" for name in _differences(layer, other)]
    return lost


def _twin(model: Any, custom: Mapping[str, Any]) -> Any:
    seeds = random.getstate()  # layers draw a seed each
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        with keras.StatelessScope(initialize_variables=False):
            return keras.saving.deserialize_keras_object(
                config, custom_objects=dict(custom), safe_mode=False
            )
    except Exception:  # a user's class may raise anything
        return None
    finally:
        random.setstate(seeds)


def _differences(part: Any, twin: Any) -> Iterator[str]:
    others = vars(twin)
    for name, value in vars(part).items():
        if name.startswith("_") or name in _PASSING:
            continue
        if name not in others:
            yield name
        elif isinstance(value, _PLAIN) and isinstance(others[name], _PLAIN):
            if value != others[name] and value == value:  # a NaN is no difference
                yield name
