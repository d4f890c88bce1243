"""Which texts are storage keys, the same on every node."""

from __future__ import annotations

import re
from collections.abc import Sequence

from brixa_flows.errors import UnsafeKeyError

__all__ = ["OWN_FOLDER", "check_key", "check_keys", "check_prefix", "is_key"]

OWN_FOLDER = ".brixa"
"""Folder of a local root for temporary files and locks; no key may begin with it."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_UNUSUAL = re.compile(r"[^A-Za-z0-9._/-]")
_LONGEST_KEY_BYTES = 1024
_LONGEST_NAME_BYTES = 255


def check_key(key: object) -> str:
    """Return ``key`` if it names an object or directory below the root.

    Raises:
        UnsafeKeyError: If it is no relative ``/``-separated path of plain names.
    """
    reason = _fault(key)
    if reason:
        raise UnsafeKeyError(str(key), reason)
    assert isinstance(key, str)
    return key


def check_keys(keys: Sequence[str]) -> None:
    """:func:`check_key` of many, in one look where all are as usual."""
    if not all(keys) or not _is_plain("/".join(keys), len(max(keys, key=len))):
        for key in keys:
            check_key(key)


def check_prefix(prefix: object) -> str:
    """Like :func:`check_key`, but ``""`` is allowed and means the root.

    Raises:
        UnsafeKeyError: If it is no relative ``/``-separated path of plain names.
    """
    return "" if prefix == "" else check_key(prefix)


def is_key(key: str) -> bool:
    """Whether :func:`check_key` accepts it."""
    return _fault(key) is None


def _fault(key: object) -> str | None:
    if not isinstance(key, str):
        return f"it is of type {type(key).__name__}, not a text"
    if not key:
        return "it is empty"
    if _is_plain(key, len(key)):
        return None
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "it can't be written as UTF-8"
    if size > _LONGEST_KEY_BYTES:
        return f"it has {size} bytes, at most {_LONGEST_KEY_BYTES} are allowed"
    if _FORBIDDEN.search(key):
        return "it has a backslash or control character"
    return _name_fault(key.split("/"))


def _is_plain(key: str, length: int) -> bool:
    """Whether it is as nearly all are; several that are joined by ``/`` may be asked."""
    return (
        length <= _LONGEST_NAME_BYTES
        and not _UNUSUAL.search(key)
        and "/." not in f"/{key}"
        and "//" not in f"/{key}/"
    )


def _name_fault(names: list[str]) -> str | None:
    if not all(names):
        return "write it with no '/' at either end and none doubled"
    if "." in names or ".." in names:
        return "'.' and '..' are no names"
    if any(len(name.encode()) > _LONGEST_NAME_BYTES for name in names):
        return f"a name in it is over {_LONGEST_NAME_BYTES} bytes"
    if names[0].casefold() == OWN_FOLDER:
        return f"{OWN_FOLDER!r} belongs to the storage node"
    return None
