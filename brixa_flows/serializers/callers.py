"""Warnings point at the user's line, however deep in this package they arise."""

from __future__ import annotations

import sys

__all__ = ["callers_level"]


def callers_level() -> int:
    """``stacklevel`` of the first frame outside of this package, for ``warnings.warn``."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("brixa_flows", "brixa")
