"""What people give a registry by mistake, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brixa_flows.errors import (
    DatasetError,
    InvalidMetadataError,
    SettingsError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def test_a_path_is_no_storage_node(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give LocalStorageNode"):
        ModelRegistry(str(tmp_path))  # type: ignore[arg-type]


def test_a_stage_that_does_not_exist_is_no_empty_list(
    registry: ModelRegistry, save: Any
) -> None:
    save("m")
    with pytest.raises(InvalidMetadataError, match="staging"):
        registry.list_versions("m", stage="prod")  # type: ignore[arg-type]


def test_a_reference_without_rows_or_file_is_refused_and_the_save_can_be_repeated(
    registry: ModelRegistry, classifier: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    version = registry.register_model("m", "classification", "sklearn").version
    for wrong, words in (
        (frame.head(0), "the reference has no rows"),
        (str(tmp_path / "none.parquet"), "there is no reference file"),
        (str(tmp_path / "*.parquet"), "there is no reference file"),
    ):
        with pytest.raises(DatasetError, match=words):
            registry.save_model("m", version, classifier, frame.head(), reference=wrong)
    assert registry.save_model("m", version, classifier, reference=frame).has_reference


def test_a_damaged_version_does_not_stop_the_next_registration(
    registry: ModelRegistry, storage: LocalStorageNode, save: Any
) -> None:
    save("m")
    save("m")
    damaged = Path(storage.root) / "models" / "m" / "1.0.1" / "config.json"
    damaged.parent.chmod(0o755)
    damaged.unlink()
    assert str(registry.register_model("m", "classification").version) == "1.0.2"


@pytest.mark.parametrize("words", [{"actor": " "}, {"reason": "\t"}])
def test_a_blank_word_is_kept_for_nobody(
    registry: ModelRegistry, save: Any, words: dict[str, str]
) -> None:
    save("m", "1.0.0")
    with pytest.raises(InvalidMetadataError, match="is blank"):
        registry.transition("m", "1.0.0", "production", **words)
    with pytest.raises(InvalidMetadataError, match="is blank"):
        registry.delete_version("m", "1.0.0", **words)
    assert registry.stage_history("m") == []


def test_what_was_deleted_is_told_as_that(registry: ModelRegistry, save: Any) -> None:
    save("m", "1.0.0")
    registry.delete_version("m", "1.0.0", reason="bad")
    with pytest.raises(VersionNotFoundError) as again:
        registry.delete_version("m", "1.0.0", reason="bad")
    assert "answers to '1.0.0'; 1.0.0 was deleted on 2" in str(again.value)
    with pytest.raises(VersionNotFoundError, match="register_model takes a number"):
        registry.log_metrics("m", "9.9.9", {"auc": 0.5})
