"""The modules that the architecture tests look at."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

_ROOT = Path(__file__).parents[2]
_TREES = ("brixa_flows", "brixa", "flows", "blocks")


class Module(NamedTuple):
    """A source file of ours, parsed."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its dotted import name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _read() -> list[Module]:
    paths = sorted(path for tree in _TREES for path in (_ROOT / tree).rglob("*.py"))
    texts = [(path, path.read_text()) for path in paths]
    return [
        Module(path.relative_to(_ROOT).as_posix(), text, ast.parse(text))
        for path, text in texts
    ]


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of the package, the flows and the blocks."""
    found = _read()
    assert len(found) > 50
    return found
