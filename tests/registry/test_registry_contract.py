"""One contract for a registry, on each kind of tracking backend.

A server on sqlite, too, is used by ``test_mlflow_shows`` and ``test_processes``, where
sixteen processes write at once; so few threads do here.
"""

from __future__ import annotations

import pytest

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.testing.registry import RegistryContract
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.slow(seconds=25)


class TestInMemory(RegistryContract):
    @pytest.fixture
    def registry(self, storage: LocalStorageNode) -> ModelRegistry:
        return ModelRegistry(storage, tracking=MemoryTrackingStore())


class TestOnEmbeddedSqlite(RegistryContract):
    @pytest.fixture
    def registry(self, storage: LocalStorageNode, tracking_uri: str) -> ModelRegistry:
        return ModelRegistry(storage, tracking_uri=tracking_uri)


class TestOnAServerWithPostgresql(RegistryContract):
    writers = 4

    @pytest.fixture
    def registry(
        self, storage: LocalStorageNode, postgres_server_uri: str
    ) -> ModelRegistry:
        return ModelRegistry(storage, tracking_uri=postgres_server_uri)


class TestOnPostgresqlOpenedDirectly(RegistryContract):
    writers = 4

    @pytest.fixture
    def registry(self, storage: LocalStorageNode, postgres_uri: str) -> ModelRegistry:
        return ModelRegistry(storage, tracking_uri=postgres_uri)
