"""What a person may hand in as metadata, brought to its one form or refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from brixa_flows.errors import InvalidMetadataError
from brixa_flows.tracking.limits import (
    check_characters,
    check_length,
    check_metrics,
    is_kept,
)
from brixa_flows.tracking.tags import check_user_tags, dump_custom

__all__ = [
    "as_custom",
    "as_json_object",
    "as_metrics",
    "as_tags",
    "as_text",
    "as_text_mapping",
    "check_columns",
    "middle_left_out",
]

_DEEPEST = 64
_STEPS_SHOWN = 6
_LETTERS_SHOWN = 200
_LETTERS_OF_A_KEY = 40
_LONG_INTEGER = "is an integer of 2**1024 (309 digits) or more; write it as a text"
_MOST_TAGS = 1000
_LONGEST_INTEGER_BITS = 1024
"""As large as a float; readers of JSON stop at some thousand digits."""


def as_text(field: str, value: object, *, required: bool = False) -> str:
    """A text field.

    Raises:
        InvalidMetadataError: If it is no text, too long, or empty though required.
    """
    if not isinstance(value, str):
        raise InvalidMetadataError(field, f"is a {type(value).__name__}; give a text")
    if required and not value.strip():
        raise InvalidMetadataError(field, "is empty; say something")
    check_length(field, value)
    return value


def check_columns(field: str, data: object) -> None:
    """Refuse names of columns that no file keeps; of data that have none, nothing.

    Raises:
        InvalidMetadataError: If one holds half of a character or NUL; says which.
    """
    names = data if isinstance(data, Mapping) else getattr(data, "columns", ())
    if callable(names):
        return
    for place, name in enumerate(names):
        if isinstance(name, str):
            check_characters(f"{field}.columns[{place}]", name)


def as_tags(tags: Mapping[str, Any] | Iterable[str] | None) -> dict[str, str]:
    """Tags by key; those given as a list have an empty value.

    Raises:
        InvalidMetadataError: If one is no text or its key is reserved.
    """
    if tags is None:
        return {}
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        kind = type(tags).__name__
        raise InvalidMetadataError("tags", f"is a {kind}; give a list or a mapping")
    pairs = tags.items() if isinstance(tags, Mapping) else ((tag, "") for tag in tags)
    found: dict[str, str] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise InvalidMetadataError("tags", f"has {key!r:.80}, which is no text")
        if not isinstance(value, str | int | float | bool):
            raise InvalidMetadataError(
                "tags", f"has {key!r:.80} = {value!r:.80}: give a text"
            )
        _check_integer("tags", f"tags[{key!r}]", value)
        found[key] = str(value)
    check_user_tags(found)
    if len(found) > _MOST_TAGS:
        reason = f"has {len(found)}, at most {_MOST_TAGS} are kept; use custom for data"
        raise InvalidMetadataError("tags", reason)
    return found


def as_metrics(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Finite numbers by metric name.

    Raises:
        InvalidMetadataError: If one is no finite number or has a name that the
            tracking backend does not take; names it.
    """
    found: dict[str, float] = {}
    for name, value in _mapping("metrics", metrics).items():
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, Real):
            raise InvalidMetadataError(
                "metrics", f"has {name!r:.80} = {str(value)[:80]!r}: give a number"
            )
        try:
            found[name] = float(value)
        except OverflowError as err:
            raise InvalidMetadataError(
                "metrics", f"has {name!r:.80}, which is too large for a float"
            ) from err
    check_metrics(found)
    return found


def as_text_mapping(field: str, values: Mapping[str, Any] | None) -> dict[str, str]:
    """Texts by name (``{"numpy": ">=2"}``).

    Raises:
        InvalidMetadataError: If a value is no text.
    """
    found = _mapping(field, values)
    for name, value in found.items():
        if not isinstance(value, str):
            raise InvalidMetadataError(
                field, f"has {name!r:.80} = {value!r:.80}: give a text"
            )
    return found


def as_json_object(field: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """A JSON object; NumPy's scalars and arrays become plain numbers and lists.

    Raises:
        InvalidMetadataError: If something in it is not JSON; names the place.
    """
    return {
        name: _plain(value, (field, name))
        for name, value in _mapping(field, values).items()
    }


def as_custom(custom: Mapping[str, Any] | None) -> dict[str, Any]:
    """Custom metadata: a JSON object that the tracking backend can keep.

    Raises:
        InvalidMetadataError: If something in it is not JSON, or it is too long.
    """
    plain = as_json_object("custom", custom)
    dump_custom(plain)
    return plain


def _mapping(field: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidMetadataError(
            field, f"is a {type(values).__name__}; give a mapping"
        )
    for name in values:
        if not isinstance(name, str):
            raise InvalidMetadataError(
                field, f"has the key {name!r:.80}, which is no text"
            )
        check_characters(field, name)
    return dict(values)


def _check_integer(field: str, place: str, value: object) -> None:
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER_BITS:
        raise InvalidMetadataError(field, f"at {place}: {_LONG_INTEGER}")


def middle_left_out(text: str) -> str:
    """A text that fits into a sentence, of which both ends are worth reading."""
    half = _LETTERS_SHOWN // 2
    if len(text) <= _LETTERS_SHOWN:
        return text
    return f"{text[:half]} ... {text[-half:]}"


def _place_of(field: str, steps: Sequence[str | int]) -> str:
    """A place in JSON as people read it, such as ``custom['a'][0]['b']``.

    Of one that is deep the first and last steps, and how deep it is; of a long key the
    beginning: that is found again, and fits into a sentence.
    """
    shown = [_step(each) for each in steps]
    if len(shown) <= _STEPS_SHOWN:
        return field + "".join(shown)
    half = _STEPS_SHOWN // 2
    head, tail = "".join(shown[:half]), "".join(shown[-half:])
    return f"{field}{head} ... {tail} ({len(shown)} levels deep)"


def _step(step: str | int) -> str:
    if isinstance(step, str) and len(step) > _LETTERS_OF_A_KEY:
        return f"[{step[:_LETTERS_OF_A_KEY]!r}...]"
    return f"[{step!r}]"


def _plain(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path (the field, then keys and indices) as plain JSON."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping | list | tuple):
        return _plain_parts(value, path)
    if isinstance(value, float) and not math.isfinite(value):
        raise _not_json(path, f"{value} is not JSON")
    if isinstance(value, str):
        _check_text(path, value)
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER_BITS:
        raise _not_json(path, _LONG_INTEGER)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise _not_json(
        path,
        f"a {type(value).__qualname__} is not JSON; give texts, numbers, booleans, None, "
        "lists and mappings",
    )


def _plain_parts(
    value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], path: tuple[str | int, ...]
) -> dict[str, Any] | list[Any]:
    if len(path) > _DEEPEST:
        raise _not_json(path, f"is nested too deep; {_DEEPEST} levels are kept")
    if not isinstance(value, Mapping):
        return [_plain(part, (*path, index)) for index, part in enumerate(value)]
    for key in value:
        if not isinstance(key, str):
            raise _not_json(path, f"has the key {key!r:.80}, which is no text")
        _check_text(path, key)
    return {key: _plain(part, (*path, key)) for key, part in value.items()}


def _not_json(path: tuple[str | int, ...], reason: str) -> InvalidMetadataError:
    field, *steps = path
    return InvalidMetadataError(
        str(field), f"at {_place_of(str(field), steps)}: {reason}"
    )


def _check_text(path: tuple[str | int, ...], text: str) -> None:
    if not is_kept(text):
        field, *steps = path
        check_characters(_place_of(str(field), steps), text)
