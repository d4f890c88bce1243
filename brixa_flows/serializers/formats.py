"""What a caller may ask on save, checked the same way by every serializer."""

from __future__ import annotations

from collections.abc import Sequence

from brixa_flows.errors import SerializationError, some_of
from brixa_flows.serializers.base import SaveOptions

__all__ = ["choose_format"]

_HUGGING_FACE_ONLY = ("tokenizer", "processor", "generation_config")


def choose_format(
    options: SaveOptions,
    framework: str,
    formats: Sequence[str],
    *,
    hugging_face: bool = False,
) -> str:
    """The format asked for, else the first of ``formats``.

    Args:
        options: What the caller asked.
        framework: For messages.
        formats: Names of the formats, default first.
        hugging_face: Whether tokenizer, processor and generation config have a use.

    Raises:
        SerializationError: If the format is unknown or an option has no use here.
    """
    for name in _HUGGING_FACE_ONLY:
        if not hugging_face and getattr(options, name) is not None:
            raise SerializationError(
                f"{name}= has no use for this {framework} model; it is kept with "
                "Hugging Face models (transformers.PreTrainedModel) only",
                option=name,
            )
    if options.format is None:
        return formats[0]
    if options.format not in formats:
        raise SerializationError(
            f"format={options.format!r} is no format for {framework} models; known: "
            f"{some_of(formats)}",
            option="format",
        )
    return options.format
