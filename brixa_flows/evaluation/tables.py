"""Cells of markdown tables."""

from __future__ import annotations

__all__ = ["cell"]


def cell(value: object) -> str:
    """Any value as text that stays in its cell."""
    return str(value).replace("|", "\\|").replace("\n", " ")
