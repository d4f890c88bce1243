"""What a tracking backend keeps, so that more is refused before anything is done.

MLflow checks when it is called, which for a version is at its save: too late for what
was registered an hour before.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping

from brixa_flows.errors import InvalidMetadataError

__all__ = [
    "LONGEST_KEY",
    "LONGEST_TEXT",
    "NAME_RULE",
    "check_characters",
    "check_length",
    "check_metrics",
    "is_kept",
    "is_name",
]

LONGEST_KEY = 250
LONGEST_TEXT = 5000
"""Characters of a description, as databases behind MLflow have it."""

_NEVER_KEPT = re.compile("[\x00\ud800-\udfff]")
_EXTRA_LETTERS = frozenset("_-. :/")
NAME_RULE = (
    f"a name is 1 to {LONGEST_KEY} letters, digits, '_', '-', '.', ' ', ':' and '/' "
    "and no path with '..' or a '/' at an end, such as recall_at_10 or f1/macro"
)


def is_name(text: str) -> bool:
    """Whether MLflow takes ``text`` as the name of a metric, parameter or tag."""
    plain = all(each.isalnum() or each in _EXTRA_LETTERS for each in text)
    is_path = posixpath.normpath(text) != text or text.startswith(("..", "/"))
    return plain and 1 <= len(text) <= LONGEST_KEY and not is_path and text != "."


def check_metrics(metrics: Mapping[str, float]) -> None:
    """Refuse metrics that the backend would.

    Raises:
        InvalidMetadataError: If a name breaks its rule or a value is no finite number.
    """
    for name, value in metrics.items():
        if not is_name(name):
            raise InvalidMetadataError("metrics", f"has {name[:80]!r}: {NAME_RULE}")
        if not math.isfinite(value):
            raise InvalidMetadataError(
                "metrics", f"has {name!r} = {value}: only finite numbers are kept"
            )


def check_length(field: str, text: str) -> None:
    """Refuse a text that is longer than every backend keeps.

    Raises:
        InvalidMetadataError: If it is; says how much is kept.
    """
    check_characters(field, text)
    if len(text) > LONGEST_TEXT:
        raise InvalidMetadataError(
            field,
            f"has {len(text)} characters: at most {LONGEST_TEXT} are kept; keep the "
            "rest in custom or in a report",
        )


def is_kept(text: str) -> bool:
    """Whether every database and file keeps a text."""
    return _NEVER_KEPT.search(text) is None


def check_characters(field: str, text: str) -> None:
    """Refuse what no database or file keeps: NUL, and half of a surrogate pair.

    Raises:
        InvalidMetadataError: If there is one; says where.
    """
    found = _NEVER_KEPT.search(text)
    if found:
        raise InvalidMetadataError(
            field,
            f"has the character {found[0]!r} at {found.start()}, which PostgreSQL or "
            "UTF-8 can't keep; remove it",
        )
