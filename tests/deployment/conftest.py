"""A registry with models that load quickly, and deployments that are cleaned up."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

sys.path.append(str(Path(__file__).parent / "importable"))

NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "number"}},
    "required": ["a"],
}

Save = Callable[..., str]


def save_version(registry: ModelRegistry, name: str, model: Any, **facts: Any) -> str:
    """Register and save a version; returns its number."""
    facts = {"model_type": "test", "input_schema": NUMBERS, **facts}
    version = registry.register_model(name=name, **facts).version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        registry.save_model(name, version, model)
    return str(version)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Supervisors of deployments below ``folder``, and their replicas."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or ()):
            found += [process, *process.children(recursive=True)]
    return found


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
    left = processes_of(storage.root)
    for process in left:
        process.kill()
    assert not left
