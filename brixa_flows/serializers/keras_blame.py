"""Which part of a Keras model can't be described in a ``.keras`` file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.keras_custom import again
from brixa_flows.serializers.pickling import blame

__all__ = ["cannot_describe"]


def cannot_describe(
    model: Any, err: Exception, custom: Mapping[str, Any] = MappingProxyType({})
) -> SerializationError:
    """The error for a model that no file gives back, naming the attribute to blame.

    Args:
        model: The model.
        err: What Keras said.
        custom: Classes and functions of the model that are not Keras's own, by name.
    """
    reason = " ".join(str(err).split())[:300]
    with keras.saving.custom_object_scope(dict(custom)):
        place, culprit = _culprit(model)
    kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}"
    part = f" because of its attribute {place} ({kind})" if place else ""
    return SerializationError(
        f"the {type(model).__name__} can't be saved as .keras{part}: {reason}; "
        "let get_config() of its class give plain values that its constructor takes",
        attribute=place,
    )


def _culprit(model: Any) -> tuple[str | None, Any]:
    for layer in (*model._flatten_layers(include_self=False), model):
        where = "model" if layer is model else f"model.{layer.name}"
        config = _config_of(layer)
        if config is None:
            return where, layer
        for name, value in config.items():
            # Of a model, the config holds its layers, which had their turn.
            if name != "layers" and not _is_described(value):
                return blame(value, _is_described, f"{where}.{name}")
    return None, model


def _config_of(layer: Any) -> dict[str, Any] | None:
    """What its class says of it, else what its constructor was given."""
    try:
        return dict(layer.get_config())
    except Exception:  # a user's class may raise anything
        given = getattr(getattr(layer, "_auto_config", None), "config", None)
        return given if isinstance(given, dict) and given else None


def _is_described(value: Any) -> bool:
    try:
        if not isinstance(value, keras.layers.Layer):  # which are too large to copy
            again(value, {})
    except Exception:  # a user's class may raise anything
        return False
    return True
