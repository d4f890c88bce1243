"""What the values of one column may be, as the input schema of a version says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ValueRule", "json_types"]


@dataclass(frozen=True)
class ValueRule:
    """What a column, or an array's elements, may hold.

    Attributes:
        kind: ``number``, ``integer``, ``boolean`` or ``string``; empty where the schema
            says nothing, or several of them.
        nullable: Whether a value may be missing.
        dtype: Name of the type that the model was trained on, if that is known.
        is_text: Whether it holds texts that are no moments and the like.
    """

    kind: str = ""
    nullable: bool = True
    dtype: str = ""
    is_text: bool = False

    @classmethod
    def of(cls, definition: object, *, required: bool = True) -> ValueRule:
        """Read the JSON Schema of one value."""
        described = definition if isinstance(definition, Mapping) else {}
        types = json_types(described)
        kinds = types - {"null"}
        if kinds == {"number", "integer"}:
            kinds = {"number"}
        kind = kinds.pop() if len(kinds) == 1 else ""
        nullable = "null" in types or not types or not required
        is_text = "string" in types and "format" not in described
        return cls(kind, nullable, str(described.get("x-dtype", "")), is_text)


def json_types(definition: Mapping[str, object]) -> set[str]:
    """The types that a JSON Schema allows, those of its alternatives included."""
    declared = definition.get("type", ())
    types = {declared} if isinstance(declared, str) else set(map(str, _items(declared)))
    for keyword in ("anyOf", "oneOf"):
        for option in _items(definition.get(keyword, ())):
            if isinstance(option, Mapping):
                types |= json_types(option)
    return types


def _items(listed: object) -> list[object]:
    return list(listed) if isinstance(listed, list | tuple) else []
