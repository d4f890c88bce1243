"""Data of a YAML, TOML or JSON file in which each key of a mapping is there once.

YAML and JSON let a key be there twice and silently take its last value: in a policy the
gate that a reader sees would not be the gate that decides.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["read_data"]

_MERGE = "tag:yaml.org,2002:merge"


def read_data(file: Path) -> Any:
    """What a file holds.

    Raises:
        OSError: If it can't be opened.
        ValueError: If it is none of these, or has a key twice; names the key.
    """
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise ValueError(f"its name must end in {', '.join(sorted(_READERS))}")
    return read(file.read_text(encoding="utf-8"))


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice; keep one of them")
        found[key] = value
    return found


class _YamlReader(yaml.SafeLoader):
    """Plain data, each key once; a key that was merged in may be there again."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        own = [key.value for key, _ in node.value if key.tag != _MERGE]
        repeated = [key for place, key in enumerate(own) if key in own[:place]]
        if repeated:
            line = node.start_mark.line + 1
            raise ValueError(
                f"the key {repeated[0]!r} is there twice in the mapping that begins in "
                f"line {line}; keep one of them"
            )
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _YamlReader)
    except yaml.YAMLError as err:
        raise ValueError(str(err)) from err


def _read_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


_READERS: dict[str, Callable[[str], Any]] = {
    ".json": _read_json,
    ".toml": tomllib.loads,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}
