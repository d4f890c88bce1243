"""Which attributes of a Keras model its config does not give back."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from brixa_flows.serializers.keras_blame import cannot_describe
from brixa_flows.serializers.keras_custom import again, is_of_keras

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
        "predict_function",
        "stop_training",
        "test_function",
        "train_function",
    }
)


def lost_attributes(model: Any, custom: Mapping[str, Any]) -> list[str]:
    """Attributes that a model or a layer of it has, and that no file keeps.

    The model is built again from its config, without values where its layers allow it:
    what the twin has not and no method of the class uses is lost, and in a class of
    one's own what the twin has with another plain value. Nothing is said of private
    names, and of layers that are not made by the constructor.

    Args:
        model: The model.
        custom: Its classes and functions that are not Keras's own, by name.

    Returns:
        Names, those of a layer behind the name of the layer.

    Raises:
        SerializationError: If its config does not give it back at all; names the
            attribute to blame.
    """
    twin = _twin(model, custom)
    lost = list(_differences(model, twin))
    layers = model._flatten_layers(include_self=False)
    twins = list(twin._flatten_layers(include_self=False))
    for layer, other in zip(layers, twins, strict=False):
        if type(layer) is not type(other):
            break
        lost += [f"{layer.name}.{name}" for name in _differences(layer, other)]
    return lost


def _twin(model: Any, custom: Mapping[str, Any]) -> Any:
    try:
        with keras.StatelessScope(initialize_variables=False):
            return again(model, custom)
    except Exception:  # a layer may make its variables in a way that has no values
        pass
    try:
        return again(model, custom)
    except Exception as err:  # a user's class may raise anything
        raise cannot_describe(model, err, custom) from err


def _differences(part: Any, twin: Any) -> Iterator[str]:
    kind = type(part)
    others, own = vars(twin), not is_of_keras(kind)
    for name, value in vars(part).items():
        if name.startswith("_") or name in _PASSING:
            continue
        if name not in others:
            if name not in _names_in_code(kind):
                yield name
        elif own and _plain(value) != _plain(others[name]):
            yield name


def _names_in_code(kind: type) -> frozenset[str]:
    """Attributes that the methods of a class use: who set others is somebody else."""
    names: set[str] = set()
    for each in kind.__mro__:
        for method in vars(each).values():
            code = getattr(inspect.unwrap(method), "__code__", None)
            names.update(code.co_names if code else ())
    return frozenset(names)


def _plain(value: Any) -> str | None:
    """Text of plain values in any nesting; of other objects their class."""
    try:
        return json.dumps(value, default=lambda each: type(each).__qualname__)
    except (TypeError, ValueError, RecursionError):  # of its keys, or it holds itself
        return None
