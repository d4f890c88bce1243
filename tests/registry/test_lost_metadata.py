"""A ``{version}_meta.json`` that is gone is told, and made anew as it was."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

WRITERS = {
    "--fix": lambda registry: registry.recover(),
    "update": lambda registry: registry.update("m", "1.0.0", owner="bob"),
    "log_metrics": lambda registry: registry.log_metrics("m", "1.0.0", {"f2": 0.5}),
}


@pytest.fixture
def lost(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
) -> Path:
    """Of a version in production whose schemas the save found out, changed since."""
    registry.register_model("m", "t", "sklearn", description="old", tags={"a": "1"})
    registry.save_model("m", "1.0.0", classifier, input_example=frame)
    registry.transition("m", "1.0.0", "production")
    registry.update("m", "1.0.0", description="new", tags={"b": "2"})
    registry.log_metrics("m", "1.0.0", {"f1": 0.75}, {"name": "march"})
    path = storage.root / "models/m/1.0.0_meta.json"
    path.rename(storage.root / "kept.json")
    return path


@pytest.fixture
def again(
    storage: LocalStorageNode, tracking: MemoryTrackingStore, lost: Path
) -> ModelRegistry:
    """Another process, which has read nothing yet."""
    return ModelRegistry(storage, tracking=tracking)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_lost_file_of_a_saved_version_is_told_and_written_as_it_was(
    again: ModelRegistry, storage: LocalStorageNode, lost: Path, writer: str
) -> None:
    [told] = again.check()
    assert "'models/m/1.0.0_meta.json' is missing; brixa doctor --fix writes" in told
    WRITERS[writer](again)
    assert again.check() == [] == again.recover()
    known = again.get_metadata("m", "production").as_stored()
    assert (known.state, known.description) == ("ready", "new")
    assert known.tags == {"a": "1", "b": "2"}
    assert known.metrics["f1"] == 0.75
    assert again.search("dataset.name = 'march'")
    if writer == "--fix":
        assert lost.read_bytes() == (storage.root / "kept.json").read_bytes()


def test_a_lost_file_of_a_version_that_waits_for_its_files_is_told_as_that(
    registry: ModelRegistry, storage: LocalStorageNode
) -> None:
    registry.register_model("m", "t", "pickle", description="old")
    registry.update("m", "1.0.0", description="new")
    registry.log_metrics("m", "1.0.0", {"f1": 0.75})
    (storage.root / "models/m/1.0.0_meta.json").unlink()
    [told] = registry.check()
    assert "without what was changed since (except metrics): restore it" in told
    registry.update("m", "1.0.0", tags={"a": "1"})
    assert registry.check() == []
    known = registry.get_metadata("m", "1.0.0")
    assert (known.description, known.metrics) == ("old", {"f1": 0.75})
