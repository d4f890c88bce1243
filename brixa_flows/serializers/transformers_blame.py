"""Which attribute of a Hugging Face model, or of what is kept with it, no JSON holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.pickling import blame

__all__ = ["cannot_write"]

_JSON_FOR_THEM = (torch.dtype, torch.device, set, frozenset)


def cannot_write(
    model: Any, attached: Mapping[str, Any], err: Exception
) -> SerializationError:
    """The error for a model that can't be saved, naming the attribute to blame.

    Args:
        model: The model.
        attached: Tokenizer, processor and generation config, by name.
        err: What the library said.
    """
    parts = {"model.config": model.config, **attached}
    for name, part in parts.items():
        if part is not None and not hasattr(part, "save_pretrained"):
            return SerializationError(
                f"{name}= is a {type(part).__qualname__}, which has no save_pretrained(); "
                "give the object of transformers itself",
                option=name,
            )
    reason = str(err).split("\n", 1)[0][:200]
    for name, part in parts.items():
        for key, value in _written(part):
            if not _is_written(value):
                place, culprit = blame(value, _is_written, f"{name}{key}")
                kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}"
                return SerializationError(
                    f"the {type(model).__name__} can't be saved because of its attribute "
                    f"{place} ({kind}): {reason}; keep plain values there",
                    attribute=place,
                )
    return SerializationError(f"the {type(model).__name__} can't be saved: {reason}")


def _written(part: Any) -> list[tuple[str, Any]]:
    """What ``save_pretrained`` writes of an object: a tokenizer its arguments."""
    arguments = getattr(part, "init_kwargs", None)
    if isinstance(arguments, dict):
        return [(f".init_kwargs[{key!r}]", value) for key, value in arguments.items()]
    public = vars(part).items() if part is not None else ()
    return [(f".{key}", value) for key, value in public if not key.startswith("_")]


def _is_written(value: Any) -> bool:
    if hasattr(value, "to_dict"):
        return all(_is_written(each) for _, each in _written(value))
    try:
        json.dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _plain(value: Any) -> str:
    if isinstance(value, _JSON_FOR_THEM):
        return str(value)
    # AddedToken of tokenizers writes itself by its state.
    if type(value).__module__.partition(".")[0] == "tokenizers":
        return str(value)
    raise TypeError(type(value).__qualname__)
