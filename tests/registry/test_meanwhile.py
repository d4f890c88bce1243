"""What holds when somebody else is at work at the same moment, or left something odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    InvalidNameError,
    StorageError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.base import StoredObject
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from brixa_flows.versioning import ModelVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

FIRST = ModelVersion(1, 0, 0)


class InterruptedNode(LocalStorageNode):
    """Lets somebody act at the moment when an object of that name is looked at."""

    def __init__(
        self, path: Path, ending: str, act: Callable[[], object], after: int = 0
    ) -> None:
        super().__init__(path)
        self._ending = ending
        self._before = after
        self._act: Callable[[], object] | None = act

    def _interrupt(self, key: str) -> None:
        if self._act is None or not key.endswith(self._ending):
            return
        self._before -= 1
        if self._before < 0:
            act, self._act = self._act, None
            act()

    def stat(self, key: str) -> StoredObject | None:
        found = super().stat(key)
        self._interrupt(key)
        return found

    def read(self, key: str) -> tuple[bytes, str]:
        self._interrupt(key)
        return super().read(key)


@pytest.fixture
def unsealed(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    classifier: LogisticRegression,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Root of a storage whose ``m`` 1.0.0 was published and never sealed."""
    registry.register_model("m", "t")

    def fail(*args: object) -> None:
        raise StorageError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(registry._backends.journal, "seal", fail)
        with pytest.raises(StorageError):
            registry.save_model("m", "1.0.0", classifier)
    return storage.root


def test_recovery_leaves_a_save_alone_that_begins_while_it_looks(
    registry: ModelRegistry, unsealed: Path, tracking: MemoryTrackingStore
) -> None:
    with ExitStack() as saving:

        def begin() -> None:
            saving.enter_context(registry._backends.leases.hold("m", FIRST))

        node = InterruptedNode(unsealed, "1.0.0/config.json", begin)
        assert ModelRegistry(node, tracking=tracking).recover() == []
        assert registry.get_metadata("m", "1.0.0").state == "registered"
    (action,) = registry.recover()
    assert action.action == "completed"


def test_of_two_recoveries_one_completes_a_version(
    registry: ModelRegistry, unsealed: Path, tracking: MemoryTrackingStore
) -> None:
    found: list[str] = []

    def recover() -> None:
        found.extend(action.action for action in registry.recover())

    node = InterruptedNode(unsealed, "1.0.0/config.json", recover)
    assert ModelRegistry(node, tracking=tracking).recover() == []
    assert found == ["completed"]
    assert registry.get_metadata("m", "1.0.0").state == "ready"


def test_of_two_updates_at_once_storage_keeps_what_the_backend_has(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    tracking: MemoryTrackingStore,
    classifier: LogisticRegression,
) -> None:
    registry.register_model("m", "t")
    registry.save_model("m", "1.0.0", classifier)

    def update() -> None:
        registry.update("m", "1.0.0", description="later")

    # The first look is whether the version is as it should be.
    node = InterruptedNode(storage.root, "1.0.0_meta.json", update, after=1)
    slow = ModelRegistry(node, tracking=tracking)
    assert slow.update("m", "1.0.0", description="earlier").description == "later"
    kept = json.loads(storage.read("models/m/1.0.0_meta.json")[0])
    assert kept["mutable"]["description"] == "later"


@pytest.mark.parametrize(
    ("key", "call"),
    [
        (
            "models/m/_journal/seals/1.0.0.json",
            lambda registry: registry.resolve("m", "1.0.0"),
        ),
        (
            "models/m/_journal/quarantine/1.0.0.json",
            lambda registry: registry.trust(
                "m", "1.0.0", actor="ann", reason="checked"
            ),
        ),
    ],
)
def test_a_damaged_entry_of_the_journal_is_named(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    key: str,
    call: Callable[[ModelRegistry], object],
) -> None:
    registry.register_model("m", "t")
    storage.create(key, b"{")
    with pytest.raises(DamagedArtifactError, match=key):
        call(registry)


def test_a_record_may_not_say_its_own_number_or_event(
    registry: ModelRegistry, classifier: LogisticRegression
) -> None:
    registry.register_model("m", "t")
    registry.save_model("m", "1.0.0", classifier)
    with pytest.raises(InvalidMetadataError, match="has event_id, number, which"):
        registry.record_drift("m", "1.0.0", {"number": 7, "event_id": "x", "rows": 1})
    assert registry.drift_reports("m", "1.0.0") == []


def test_no_model_lies_where_the_deployments_do(
    storage: LocalStorageNode, tracking: MemoryTrackingStore
) -> None:
    settings = BrixaSettings(deployments_path="live")
    registry = ModelRegistry(storage, tracking=tracking, settings=settings)
    with pytest.raises(InvalidNameError, match="BRXA_DEPLOYMENTS_PATH"):
        registry.register_model("Live", "t")
    assert list(storage.list("models")) == []
