"""What JSON can tell, and what it can't: numbers that are none, half a character."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

__all__ = ["refuse_untold"]


def refuse_untold(field: str, value: object, *, finite: bool = True) -> None:
    """Refuse plain data that JSON can't tell.

    Args:
        field: What a message calls it.
        value: The data.
        finite: Whether every number has to be finite.

    Raises:
        ValueError: If something in it can't be told; names it.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            refuse_untold(field, str(key))
            refuse_untold(f"{field}[{str(key)!r}]", each, finite=finite)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            refuse_untold(f"{field}[{place}]", each, finite=finite)
    elif finite and isinstance(value, float) and not isfinite(value):
        raise ValueError(
            f"{field} is {value}, which no event can tell; leave it out, or send it as "
            "a text"
        )
    elif isinstance(value, str) and not _is_unicode(value):
        raise ValueError(
            f"{field} holds half a character (a lone surrogate): {value!a}"
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
