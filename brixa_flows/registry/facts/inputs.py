"""What a person may hand in as metadata, brought to its one form or refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from brixa_flows.errors import InvalidMetadataError
from brixa_flows.tracking.limits import (
    check_characters,
    check_length,
    check_metrics,
)
from brixa_flows.tracking.tags import check_user_tags, dump_custom

__all__ = [
    "as_custom",
    "as_json_object",
    "as_metrics",
    "as_tags",
    "as_text",
    "as_text_mapping",
]

_DEEPEST = 64
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
            raise InvalidMetadataError("tags", f"has {key!r}, which is no text")
        if not isinstance(value, str | int | float | bool):
            raise InvalidMetadataError("tags", f"has {key!r} = {value!r}: give a text")
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
                "metrics", f"has {name!r} = {str(value)[:80]!r}: give a number"
            )
        try:
            found[name] = float(value)
        except OverflowError as err:
            raise InvalidMetadataError(
                "metrics", f"has {name!r}, which is too large for a float"
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
            raise InvalidMetadataError(field, f"has {name!r} = {value!r}: give a text")
    return found


def as_json_object(field: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """A JSON object; NumPy's scalars and arrays become plain numbers and lists.

    Raises:
        InvalidMetadataError: If something in it is not JSON; names the place.
    """
    return {
        name: _plain(value, field, f"{field}[{name!r}]", 0)
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
            raise InvalidMetadataError(field, f"has the key {name!r}, which is no text")
        check_characters(field, name)
    return dict(values)


def _check_integer(field: str, place: str, value: object) -> None:
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER_BITS:
        raise InvalidMetadataError(
            field, f"at {place}: is an integer of over 300 digits; write it as a text"
        )


def _plain(value: Any, field: str, place: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise InvalidMetadataError(field, f"at {place}: is nested too deep")
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidMetadataError(
                    field, f"at {place}: has the key {key!r}, which is no text"
                )
            check_characters(place, key)
        return {
            key: _plain(part, field, f"{place}[{key!r}]", depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _plain(part, field, f"{place}[{index}]", depth + 1)
            for index, part in enumerate(value)
        ]
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidMetadataError(field, f"at {place}: {value} is not JSON")
    if isinstance(value, str):
        check_characters(place, value)
    _check_integer(field, place, value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InvalidMetadataError(
        field,
        f"at {place}: a {type(value).__qualname__} is not JSON; give texts, numbers, "
        "booleans, None, lists and mappings",
    )
