"""What somebody added to a Hugging Face model or tokenizer and its files do not keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from brixa_flows.serializers.lost import warn_of_lost

__all__ = ["warn_of_lost_notes", "warn_of_lost_parts"]

# transformers 5 saves what these were when the tokenizer was made.
_SIDES = ("padding_side", "truncation_side")
_COUNTED = "total_vocab_size"  # by tokenizers of transformers 4, after they are made
# What from_pretrained and quantizers note of how the model was loaded.
_NOTES = (
    "generation_config",
    "hf_device_map",
    "hf_quantizer",
    "is_quantized",
    "quantization_method",
)


def warn_of_lost_parts(model: Any, twin: Any) -> None:
    """Say which attributes of a model ``save_pretrained`` leaves out.

    Args:
        model: The model.
        twin: Another one, made of its config alone.
    """
    twins = dict(twin.named_modules())
    lost = [
        f"{place}.{name}" if place else name
        for place, module in model.named_modules()
        for name in vars(module)
        if not _is_given_back(name, module, twins[place])
    ]
    warn_of_lost(
        model,
        lost,
        "set them in its config (model.config.NAME = ...), which is saved with it, or "
        "make them arguments of a class of your own",
    )


def warn_of_lost_notes(extra: Any, read: Callable[[], Any]) -> None:
    """Say which attributes of a tokenizer or processor were not saved with it.

    Args:
        extra: It, saved already.
        read: Reads it back; called only if something looks added.
    """
    changed = [name for name in _SIDES if _differs_from_its_making(name, extra)]
    added = [name for name in vars(extra) if not _is_of_its_class(name, extra)]
    if not (added or changed):
        return
    twin = vars(read())
    warn_of_lost(
        extra,
        [name for name in added if name not in twin]
        + [name for name in changed if twin.get(name) != getattr(extra, name)],
        "keep them in its init_kwargs, which are saved with it, or in the tags of the "
        "version",
    )


def _differs_from_its_making(name: str, extra: Any) -> bool:
    made = getattr(extra, "init_kwargs", {}).get(name, getattr(type(extra), name, None))
    return bool(getattr(extra, name, None) != made)


def _is_given_back(name: str, module: Any, twin: Any) -> bool:
    known = name in vars(twin) or hasattr(type(module), name) or name in _NOTES
    return known or name.startswith(("_", "brixa_"))


def _is_of_its_class(name: str, extra: Any) -> bool:
    kind = type(extra)
    known = name == _COUNTED or hasattr(kind, name) or name in _set_by(kind)
    return known or name.startswith("_")


def _set_by(kind: type) -> Iterator[str]:
    """Names that the constructors of a class have in their code."""
    for each in kind.__mro__:
        code = getattr(vars(each).get("__init__"), "__code__", None)
        yield from getattr(code, "co_names", ())
