"""A registry with models that load quickly, and deployments that are cleaned up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brixa_flows.deployment import ModelDeployer
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

sys.path.append(str(Path(__file__).parent / "importable"))

from deployment_world import none_left  # noqa: E402


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> LocalStorageNode:
    """A folder."""
    return LocalStorageNode(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def registry(storage: LocalStorageNode) -> ModelRegistry:
    """An empty registry with a tracking backend in memory."""
    return ModelRegistry(storage, tracking=MemoryTrackingStore())


@pytest.fixture(scope="module")
def deployer(
    registry: ModelRegistry, storage: LocalStorageNode
) -> Iterator[ModelDeployer]:
    """A deployer whose deployments are gone afterwards."""
    deployer = ModelDeployer(registry, storage, ready_timeout_seconds=60)
    yield deployer
    for name in deployer.list():
        deployer.delete(name)
    assert none_left(storage.root, seconds=2)
