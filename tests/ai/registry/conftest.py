"""A registry as the guide makes it: a folder, MLflow embedded below it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode


@pytest.fixture
def folder(tmp_path: Path, mlflow_template_db: Path) -> Path:
    """A storage root whose embedded MLflow database is migrated already."""
    root = tmp_path / "model_storage"
    meta = root / "models" / "_meta"
    meta.mkdir(parents=True)
    shutil.copy(mlflow_template_db, meta / "mlflow.db")
    return root


@pytest.fixture
def storage(folder: Path) -> LocalStorageNode:
    """The folder as a storage node."""
    return LocalStorageNode(folder)


@pytest.fixture
def registry(storage: LocalStorageNode) -> ModelRegistry:
    """The registry on it, settings and tracking by default."""
    return ModelRegistry(storage)
