"""A numbered record that is gone is told, until it is restored or accepted as lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brixa_flows.errors import InvalidMetadataError, VersionNotFoundError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture
def journal(
    storage: LocalStorageNode, registry: ModelRegistry, save: SaveVersion
) -> Path:
    """Of ``m`` 1.0.0, with three evaluations and two measurements."""
    save("m", "1.0.0")
    for score in (1, 2, 3):
        registry.record_evaluation("m", "1.0.0", {"score": score})
    registry.log_metrics("m", "1.0.0", {"f1": 0.5}, {"name": "march"})
    registry.log_metrics("m", "1.0.0", {"f1": 0.6}, {"name": "april"})
    assert registry.check() == []
    return storage.root / "models/m/_journal"


@pytest.mark.parametrize("kind", ["evaluations", "measurements"])
def test_a_record_that_is_missing_before_others_is_told_until_it_is_accepted(
    registry: ModelRegistry, journal: Path, kind: str
) -> None:
    record = journal / kind / "1.0.0" / "00000001.json"
    kept = record.read_bytes()
    record.unlink()
    [told] = registry.check()
    assert f"{kind}/1.0.0/00000001.json' is missing, while a later" in told
    assert "brixa model accept-losses NAME --reason WHY" in told
    assert [each.detail for each in registry.recover()] == [told]
    record.write_bytes(kept)
    assert registry.check() == []
    record.unlink()
    registry.accept_losses("m", reason="no backup has it")
    left = [each for each in registry.check() if "is missing" in each]
    assert left == [] == registry.recover()
    with pytest.raises(InvalidMetadataError, match="no record of a version is missing"):
        registry.accept_losses("m", reason="again")
    assert len(registry.evaluations("m", "1.0.0")) == 3 - (kind == "evaluations")


@pytest.mark.parametrize("lost", [["2"], ["1", "2"]], ids=["the last", "all"])
def test_a_measurement_that_no_other_follows_is_told_by_its_data(
    registry: ModelRegistry, journal: Path, lost: list[str]
) -> None:
    for number in lost:
        (journal / f"measurements/1.0.0/0000000{number}.json").unlink()
    [told] = registry.check()
    assert "april" in told and ("march" in told) == (len(lost) == 2)
    assert "restore them from a backup, or measure anew on that data" in told
    registry.log_metrics("m", "1.0.0", {"f1": 0.6}, {"name": "april"})
    registry.log_metrics("m", "1.0.0", {"f1": 0.5}, {"name": "march"})
    assert registry.check() == []


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_measurement_that_is_lost_for_good_is_accepted_with_its_data(
    registry: ModelRegistry, journal: Path, number: str
) -> None:
    (journal / f"measurements/1.0.0/0000000{number}.json").unlink()
    assert len(registry.check()) == 1
    registry.accept_losses("m", reason="no backup has it")
    assert registry.check() == []
    with pytest.raises(InvalidMetadataError, match="no record of a version is missing"):
        registry.accept_losses("m", reason="again")


def test_a_version_whose_deletion_may_be_lost_is_in_doubt_until_that_is_settled(
    storage: LocalStorageNode, registry: ModelRegistry, save: SaveVersion
) -> None:
    for version in ("1.0.0", "1.1.0"):
        save("m", version)
    registry.delete_version("m", "1.0.0", reason="wrong labels")
    registry.transition("m", "1.1.0", "staging")
    (storage.root / "models/m/_journal/changes/00000001.json").unlink()
    registry = ModelRegistry(storage, tracking=registry.tracking)  # knows only files
    first, second = registry.list_versions("m")
    assert (first.state, second.state) == ("ready", "ready")
    for each in (first, registry.get_metadata("m", "1.0.0")):
        assert "is lost that may say that 1.0.0 was deleted" in each.problem
    with pytest.raises(VersionNotFoundError, match="MLflow shows 1.0.0 as deleted"):
        registry.load_model("m", "1.0.0")
    registry.accept_losses("m", reason="no backup has it")
    registry.delete_version("m", "1.0.0", reason="wrong labels")
    assert [each.problem[:17] for each in registry.list_versions("m")] == [
        "1.0.0 was deleted",
        "",
    ]


@pytest.mark.parametrize("stray", ["-x", "Bad Name!", "a b"])
def test_a_folder_that_no_model_can_have_harms_no_model_and_is_told(
    storage: LocalStorageNode, registry: ModelRegistry, save: SaveVersion, stray: str
) -> None:
    save("m", "1.0.0")
    claims = storage.root / "models" / stray / "_journal/claims"
    claims.mkdir(parents=True)
    (claims / "1.0.0.json").write_text("{}")
    assert registry.list_models() == ["m"]
    assert [each.name for each in registry.search()] == ["m"]
    [told] = registry.check()
    assert repr(f"models/{stray}") in told and "a folder whose name no model" in told
    for call in (registry.recover, registry.collect_garbage, registry.lineage):
        call()
    registry.delete_version("m", "1.0.0", reason="old")
    assert (claims / "1.0.0.json").read_text() == "{}"


def test_names_that_no_file_of_the_registry_can_have_are_told_and_harm_none(
    registry: ModelRegistry, storage: LocalStorageNode, save: SaveVersion
) -> None:
    save("m", "1.0.0")
    folder = storage.root / "models"
    (folder / "lost+found").mkdir()
    assert registry.check() == []
    (folder / "m\nn").mkdir()
    (folder / os.fsdecode(b"m\xff")).write_bytes(b"")
    told = registry.check()
    assert [
        repr(name) in line for name, line in zip(("m\nn", "m\udcff"), told, strict=True)
    ] == [
        True,
        True,
    ]
    assert all("\n" not in line for line in told)
