"""A search gives the same answer on each backend."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import TrackingStore, open_store
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

_ASKED = {
    "metrics.f1 >= 0.9 and tags.team = 'Fraud'": ["1.10.0"],
    "tags.team ILIKE 'fr%'": ["1.9.0", "1.10.0"],
    "tags.team LIKE 'fr%'": [],
    "tags.team IS NULL": ["1.10.1"],
    "owner = 'ann' and description LIKE '%\u00e4%'": ["1.9.0", "1.10.0"],
    "version > '1.9.0'": ["1.10.0", "1.10.1"],
    "stage = 'production' and state = 'ready'": ["1.10.0"],
    "framework = 'pickle'": ["1.9.0", "1.10.0"],
    "params.depth = '3'": ["1.9.0", "1.10.0"],
}


class SearchContract:
    """Subclasses give a fixture ``store``."""

    def test_the_answers_are_those_of_all_others(
        self, store: TrackingStore, tmp_path: Path
    ) -> None:
        name = f"search-{uuid.uuid4().hex[:12]}"
        registry = ModelRegistry(LocalStorageNode(tmp_path / "s"), tracking=store)
        for version, f1 in (("1.9.0", 0.1), ("1.10.0", 0.9)):
            registry.register_model(
                name,
                "rules",
                "pickle",
                description="erklärt",
                tags={"team": "Fraud"},
                metrics={"f1": f1},
                owner="ann",
                hyperparameters={"depth": 3},
                version=version,
            )
            registry.save_model(name, version, {"rule": version})
        registry.transition(name, "1.10.0", "production")
        registry.register_model(name, "rules")
        for asked, expected in _ASKED.items():
            page = registry.search(f"name = '{name}' and {asked}")
            assert [str(each.version) for each in page] == expected, asked
        newest, token = [], None
        while True:
            page = registry.search(
                f"name = '{name}'",
                order_by=["metrics.f1 DESC"],
                max_results=1,
                page_token=token,
            )
            newest += [str(each.version) for each in page]
            token = page.token
            if token is None:
                break
        assert newest == ["1.10.0", "1.9.0", "1.10.1"]


class TestMemory(SearchContract):
    @pytest.fixture
    def store(self) -> TrackingStore:
        return MemoryTrackingStore()


class TestEmbeddedSqlite(SearchContract):
    @pytest.fixture
    def store(self, tracking_uri: str) -> TrackingStore:
        return open_store(tracking_uri)


@pytest.mark.xdist_group("mlflow-server")
class TestServerOverHttp(SearchContract):
    @pytest.fixture
    def store(self, mlflow_server_uri: str) -> TrackingStore:
        return open_store(mlflow_server_uri)


@pytest.mark.xdist_group("postgres")
class TestPostgresqlOpenedDirectly(SearchContract):
    @pytest.fixture
    def store(self, postgres_uri: str, tmp_path: Path) -> TrackingStore:
        return open_store(postgres_uri, storage_root=tmp_path)
