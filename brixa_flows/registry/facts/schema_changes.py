"""What a new schema means for those who call a model: the bump it asks for.

Callers of the old version go on sending what its input schema allowed and reading what
its output schema promised. So inputs may only become wider (contravariant) and outputs
only narrower (covariant): anything else breaks callers and is a MAJOR bump; what stays
on the safe side of that, or adds a field, is MINOR; no difference is PATCH.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["SchemaChange", "bump_for", "input_changes", "output_changes"]

Direction = Literal["input", "output"]
Effect = Literal["wider", "narrower", "other", "adds"]

_ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly "
    "$comment $id $schema $anchor $defs definitions".split()
)
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_TYPES = frozenset("array boolean integer null number object string".split())
_STRUCTURE = frozenset(
    "type enum const required properties additionalProperties items".split()
)
_DEEPEST = 32


@dataclass(frozen=True)
class SchemaChange:
    """One difference between two schemas.

    Attributes:
        path: JSON path in the schema.
        breaking: Whether callers of the old version may fail.
        sentence: What changed.
    """

    path: str
    breaking: bool
    sentence: str

    def __str__(self) -> str:
        effect = "breaks callers" if self.breaking else "adds"
        return f"{self.path} {self.sentence} ({effect})"


def input_changes(
    old: dict[str, Any] | None, new: dict[str, Any] | None
) -> tuple[SchemaChange, ...]:
    """What callers notice of a new input schema; ``None`` accepts anything."""
    return _changes(old, new, "input")


def output_changes(
    old: dict[str, Any] | None, new: dict[str, Any] | None
) -> tuple[SchemaChange, ...]:
    """What callers notice of a new output schema; ``None`` promises nothing."""
    return _changes(old, new, "output")


def bump_for(
    changes: tuple[SchemaChange, ...],
) -> Literal["major", "minor", "patch"]:
    """The least bump that tells callers the truth about the changes."""
    if any(change.breaking for change in changes):
        return "major"
    return "minor" if changes else "patch"


def _changes(
    old: dict[str, Any] | None, new: dict[str, Any] | None, direction: Direction
) -> tuple[SchemaChange, ...]:
    root = f"{direction}:$"
    if old is None and new is None:
        return ()
    if old is None:
        return (SchemaChange(root, False, "has a schema now"),)
    if new is None:
        return (SchemaChange(root, True, "has no schema any more"),)
    breaking: frozenset[Effect] = (
        frozenset(("narrower", "other"))
        if direction == "input"
        else frozenset(("wider", "other"))
    )
    differences = _differences(_inline(old, old, 0), _inline(new, new, 0), root)
    return tuple(
        SchemaChange(path, effect in breaking, sentence)
        for path, effect, sentence in differences
    )


_Difference = tuple[str, Effect, str]


def _inline(schema: Any, root: dict[str, Any], depth: int) -> Any:
    """The schema with local references put in place, down to a depth."""
    if isinstance(schema, list):
        return [_inline(part, root, depth + 1) for part in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#") and depth < _DEEPEST:
        target: Any = root
        for step in filter(None, reference.removeprefix("#").split("/")):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        rest = {key: part for key, part in schema.items() if key != "$ref"}
        return _inline({**target, **rest}, root, depth + 1)
    return {key: _inline(part, root, depth + 1) for key, part in schema.items()}


def _differences(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    if old == new:
        return
    if isinstance(old, bool) or isinstance(new, bool):
        yield from _truth(old, new, path)
        return
    yield from _types(old, new, path)
    yield from _enums(old, new, path)
    yield from _bounds(old, new, path)
    yield from _properties(old, new, path)
    yield from _required(old, new, path)
    yield from _openness(old, new, path, "additionalProperties")
    yield from _openness(old, new, path, "items")
    yield from _rest(old, new, path)


def _truth(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    """One of the two accepts everything or nothing."""
    if (old in (True, {})) and (new in (True, {})):
        return
    wider = new is True or old is False
    yield path, "wider" if wider else "narrower", "accepts other values"


def _types_of(schema: dict[str, Any]) -> frozenset[str]:
    types = schema.get("type")
    if types is None:
        return _TYPES
    found = frozenset([types] if isinstance(types, str) else types)
    return found | {"integer"} if "number" in found else found


def _types(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    before, after = _types_of(old), _types_of(new)
    if before - after:
        lost = ", ".join(sorted(before - after))
        yield path, "narrower", f"is no {lost} any more"
    if after - before:
        more = ", ".join(sorted(after - before))
        yield path, "wider", f"may be {more} now"


def _values_of(schema: dict[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return list(values) if values is not None else None


def _enums(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    before, after = _values_of(old), _values_of(new)
    if before is None and after is not None:
        yield path, "narrower", "has a closed list of values now"
    elif before is not None and after is None:
        yield path, "wider", "has no closed list of values any more"
    elif before is not None and after is not None:
        lost = [value for value in before if value not in after]
        more = [value for value in after if value not in before]
        if lost:
            yield path, "narrower", f"may not be {_few(lost)} any more"
        if more:
            yield path, "wider", f"may be {_few(more)} now"


def _few(values: list[Any]) -> str:
    shown = ", ".join(repr(value)[:40] for value in values[:5])
    return shown + (" ..." if len(values) > 5 else "")


def _bounds(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    for keyword in (*_LOWER, *_UPPER):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        if before is None or after is None:
            narrower = before is None
        else:
            narrower = (after > before) == (keyword in _LOWER)
        effect: Effect = "narrower" if narrower else "wider"
        yield path, effect, f"has {keyword} {after} instead of {before}"


def _properties(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        place = f"{path}.{name}"
        if name in after:
            yield from _differences(before[name], after[name], place)
        elif new.get("additionalProperties") is False:
            yield place, "other", "is gone and refused"
        else:
            yield place, "wider", "is gone"
    for name in after:
        if name not in before:
            yield f"{path}.{name}", "adds", "is new"


def _required(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(after - before):
        yield f"{path}.{name}", "narrower", "is required now"
    for name in sorted(before - after):
        yield f"{path}.{name}", "wider", "is not required any more"


def _openness(old: Any, new: Any, path: str, keyword: str) -> Iterator[_Difference]:
    before, after = old.get(keyword, True), new.get(keyword, True)
    if before != after:
        yield from _differences(before, after, f"{path}.{keyword}")


def _rest(old: Any, new: Any, path: str) -> Iterator[_Difference]:
    """Keywords whose effect on what is accepted can't be told."""
    known = _ANNOTATIONS | _STRUCTURE | {*_LOWER, *_UPPER}
    for keyword in sorted({*old, *new} - known):
        if keyword.startswith("x-") or old.get(keyword) == new.get(keyword):
            continue
        if keyword not in old:
            yield path, "narrower", f"has {keyword} now"
        elif keyword not in new:
            yield path, "wider", f"has no {keyword} any more"
        else:
            yield path, "other", f"has another {keyword}"
