"""A key directory, and a directory of files to sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from brixa_flows.signing import KeyRing


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    """An empty key directory."""
    return KeyRing(tmp_path / "keys")


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """Some files, one of them in a folder and one with a name that sorts oddly."""
    folder = tmp_path / "1.0.0"
    (folder / "model").mkdir(parents=True)
    for path in ("config.json", "model/weights.bin", "model.txt", "MLmodel"):
        (folder / path).write_text(f"content of {path}")
    return folder
