"""One model in one format: the row of the tables that contract and golden files share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import ModelInputs, SaveOptions


@dataclass(frozen=True)
class ModelCase:
    """A tiny model that is always the same, and how it is to be saved.

    Attributes:
        serializer: Plug-in that must take it.
        format: Format it must come out in.
        make: Makes the model.
        inputs: One batch.
        options: Save options by name, where the format is not chosen without.
        variant: Tells two models of one format apart.
        shard_bytes: What a file of tensors holds at most, where several are wanted.
    """

    serializer: str
    format: str
    make: Callable[[], Any]
    inputs: ModelInputs | None
    options: Mapping[str, Callable[[], Any] | str] = field(default_factory=dict)
    variant: str = ""
    shard_bytes: int | None = None

    def __str__(self) -> str:
        return "-".join(filter(None, (self.serializer, self.format, self.variant)))

    @cached_property
    def model(self) -> Any:
        """Made once: saving must not change it."""
        return self.make()

    @cached_property
    def save_options(self) -> SaveOptions:
        """With what the table can only make late."""
        made = {
            name: option() if callable(option) else option
            for name, option in self.options.items()
        }
        return SaveOptions(**made)

    @contextmanager
    def in_shards(self) -> Iterator[None]:
        """Let its serializer make files of ``shard_bytes`` instead of 5 GB."""
        whole = SERIALIZERS.load(self.serializer)
        if self.shard_bytes:
            in_shards = partial(whole, self.shard_bytes)
            SERIALIZERS._loaded[self.serializer] = in_shards
        try:
            yield
        finally:
            SERIALIZERS._loaded[self.serializer] = whole


def class_of_main(source: str, name: str, **names: Any) -> Any:
    """A class as a notebook defines it: its module is ``__main__``, and has it.

    Args:
        source: Python text of the class.
        name: Of the class.
        names: What the text refers to.
    """
    namespace = {"__name__": "__main__", **names}
    exec(source, namespace)
    setattr(sys.modules["__main__"], name, namespace[name])
    return namespace[name]
