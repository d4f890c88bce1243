"""One contract, four backends."""

import pytest

from brixa_flows.testing.tracking import TrackingStoreContract
from brixa_flows.tracking import open_store
from brixa_flows.tracking.memory_store import MemoryTrackingStore


class TestMemory(TrackingStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryTrackingStore()


class TestEmbeddedSqlite(TrackingStoreContract):
    @pytest.fixture
    def store(self, tracking_uri):
        return open_store(tracking_uri)


@pytest.mark.xdist_group("mlflow-server")
class TestServerOverHttp(TrackingStoreContract):
    @pytest.fixture
    def store(self, mlflow_server_uri):
        return open_store(mlflow_server_uri)


@pytest.mark.xdist_group("postgres")
class TestPostgresqlOpenedDirectly(TrackingStoreContract):
    @pytest.fixture
    def store(self, postgres_uri, tmp_path):
        return open_store(postgres_uri, storage_root=tmp_path)
