"""A number stays taken, and its files stay, as long as anything of it is left."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    ModelNotFoundError,
    VersionExistsError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
RECORDS = ("_journal/claims/{}.json", "_journal/seals/{}.json", "{}_meta.json")


@pytest.fixture
def model(storage: LocalStorageNode, save: SaveVersion) -> Path:
    """Of ``m``, with 1.0.0 and 2.0.0."""
    save("m", "1.0.0")
    save("m", "2.0.0")
    return storage.root / "models" / "m"


@pytest.fixture
def again(
    storage: LocalStorageNode, tracking: MemoryTrackingStore, model: Path
) -> ModelRegistry:
    """Another process, which has read nothing yet."""
    return ModelRegistry(storage, tracking=tracking)


def lose(model: Path, version: str, *records: str) -> None:
    for record in records or RECORDS:
        (model / record.format(version)).unlink()


@pytest.mark.parametrize("manifest", ["sound", "damaged", "lost"])
@pytest.mark.parametrize("lost", ["1.0.0", "2.0.0"])
def test_files_that_lost_every_record_are_told_and_no_garbage(
    again: ModelRegistry, model: Path, lost: str, manifest: str
) -> None:
    lose(model, lost)
    if manifest != "sound":
        (model / lost / "config.json").unlink()
    if manifest == "damaged":
        (model / lost / "config.json").write_text("{")
    [told] = again.check()
    assert f"claims/{lost}.json" in told and "Restore the file from a backup" in told
    assert again.collect_garbage(remove=True) == []
    with pytest.raises(DamagedArtifactError, match="is missing"):
        again.load_model("m", lost)
    with pytest.raises(VersionExistsError):
        again.register_model("m", "t", version=lost)
    assert str(again.register_model("m", "t").version) == "2.0.1"
    assert [each.detail for each in again.recover()] == [told]
    again.delete_version("m", lost, reason="as the doctor says")
    assert again.check() == []
    [gone] = again.collect_garbage(remove=True)
    assert (gone.key, gone.removed) == (f"models/m/{lost}", True)


def test_the_only_version_that_lost_every_record_is_a_model_still(
    again: ModelRegistry, model: Path
) -> None:
    for version in ("1.0.0", "2.0.0"):
        lose(model, version)
    assert again.list_models() == ["m"]
    assert len(again.check()) == 2
    assert str(again.register_model("m", "t").version) == "2.0.1"


def test_a_copy_under_a_free_number_keeps_it_from_being_given(
    again: ModelRegistry, model: Path
) -> None:
    shutil.copytree(model / "1.0.0", model / "2.0.1")
    assert str(again.register_model("m", "t").version) == "2.0.2"
    [copied] = again.collect_garbage(remove=True)
    assert (copied.key, copied.removed) == ("models/m/2.0.1", True)


@pytest.mark.parametrize("left", ["{}_meta.json", "files", "record", "stage", "alias"])
def test_the_next_number_is_above_every_one_that_left_anything(
    registry: ModelRegistry, again: ModelRegistry, model: Path, left: str
) -> None:
    if left == "record":
        registry.log_metrics("m", "2.0.0", {"f1": 0.5})
    elif left == "stage":
        registry.transition("m", "2.0.0", "staging")
    elif left == "alias":
        registry.set_alias("m", "own", "2.0.0")
    lose(model, "2.0.0", *(each for each in RECORDS if each != left))
    if left != "files":
        shutil.rmtree(model / "2.0.0")
    assert str(again.register_model("m", "t").version) == "2.0.1"
    with pytest.raises(VersionExistsError):
        again.register_model("m", "t", version="2.0.0")


def test_a_version_without_its_seal_says_what_is_wrong(
    again: ModelRegistry, model: Path
) -> None:
    lose(model, "1.0.0", "_journal/seals/{}.json")
    problem = again.get_metadata("m", "1.0.0").problem
    assert "has files but no seal" in problem and "brixa doctor --fix" in problem
    assert problem == again.list_versions("m")[0].problem
    again.recover()
    assert again.get_metadata("m", "1.0.0").problem == ""


def test_what_storage_last_knew_is_told_as_doubtful_where_it_lost_it(
    registry: ModelRegistry, again: ModelRegistry, model: Path
) -> None:
    registry.update("m", "1.0.0", description="new")
    assert again.get_metadata("m", "1.0.0").as_stored().problem == ""
    lose(model, "1.0.0", "{}_meta.json")
    known = again.get_metadata("m", "1.0.0")
    assert (known.state, known.problem, known.description) == ("ready", "", "new")
    doubtful = again.get_metadata("m", "1.0.0").as_stored()
    assert doubtful.description == ""
    assert "1.0.0_meta.json' is missing" in doubtful.problem
    assert "in doubt" in doubtful.problem and "brixa doctor --fix" in doubtful.problem
    again.recover()
    assert again.get_metadata("m", "1.0.0").as_stored().description == "new"


def test_a_number_that_only_mlflow_still_knows_stays_taken(
    again: ModelRegistry, model: Path, tracking: MemoryTrackingStore
) -> None:
    run_id = str(again.get_metadata("m", "1.0.0").run_id)
    by_hand = tracking.create_version("m", "9.0.0", source="s3://x", run_id=run_id)
    lose(model, "2.0.0")
    shutil.rmtree(model / "2.0.0")
    told = again.check()
    assert len(told) == 2 and "no such number" in next(x for x in told if "9.0.0" in x)
    tracking.remove_version(by_hand)
    [told_now] = again.check()
    assert "MLflow shows 2.0.0, and storage has nothing of it" in told_now
    assert str(again.register_model("m", "t").version) == "2.0.1"
    with pytest.raises(VersionExistsError, match="2.0.0 was registered once.*2.0.2"):
        again.register_model("m", "t", version="2.0.0")
    with pytest.raises(VersionNotFoundError):
        again.delete_version("m", "3.0.0", reason="never was")
    assert "brixa model delete m@2.0.0 --reason WHY" in told_now
    again.delete_version("m", "2.0.0", reason="as the doctor says")
    assert again.check() == [] and again.recover() == []
    assert again.get_metadata("m", "2.0.0").state == "deleted"
    fresh = ModelRegistry(again.storage, tracking=tracking)
    with pytest.raises(VersionExistsError, match="2.0.0 was deleted"):
        fresh.register_model("m", "t", version="2.0.0")


def test_a_folder_that_was_removed_whole_frees_no_number_that_was_saved(
    again: ModelRegistry, model: Path
) -> None:
    shutil.rmtree(model)
    assert str(again.register_model("m", "t").version) == "2.0.1"
    told = again.check()
    assert [re.findall("delete m@([0-9.]+)", x) for x in told] == [["1.0.0"], ["2.0.0"]]
    for number in ("1.0.0", "2.0.0"):
        again.delete_version("m", number, reason="as the doctor says")
    assert again.check() == []


def test_a_model_that_is_gone_as_a_whole_is_told_and_its_numbers_can_be_given_up(
    again: ModelRegistry, model: Path, tracking: MemoryTrackingStore
) -> None:
    number = tracking.get_version("m", "2.0.0").backend_version
    tracking.set_alias("m", "production", number)
    shutil.rmtree(model)
    [told] = again.check()
    assert "names it with 2 versions: restore the folder 'models/m'" in told
    assert "MLflow knows 2.0.0, 1.0.0" in told and "delete m@2.0.0" in told
    assert [(x.name, x.action, x.detail) for x in again.recover()] == [
        ("m", "left as it is", told)
    ]
    with pytest.raises(ModelNotFoundError):
        again.delete_version("m", "3.0.0", reason="never was")
    again.delete_version("m", "2.0.0", reason="as the doctor says")
    assert tracking.aliases("m") == {}
    [told] = again.check()
    assert "MLflow shows 1.0.0, and storage has nothing of it" in told
    again.delete_version("m", "1.0.0", reason="as the doctor says")
    assert again.check() == [] == again.recover()
    assert str(again.register_model("m", "t").version) == "2.0.1"


def test_a_model_that_mlflow_does_not_know_either_goes_off_the_index(
    registry: ModelRegistry, storage: LocalStorageNode
) -> None:
    registry.register_model("new", "t")
    shutil.rmtree(storage.root / "models" / "new")
    [told] = registry.check()
    assert "brixa doctor --fix takes it off the index" in told
    assert [each.action for each in registry.recover()] == ["index rebuilt"]
    assert registry.check() == []


def test_a_number_that_is_lost_under_a_registry_in_use_stays_taken(
    registry: ModelRegistry, model: Path
) -> None:
    lose(model, "2.0.0")
    shutil.rmtree(model / "2.0.0")
    assert str(registry.register_model("m", "t").version) == "2.0.1"
    with pytest.raises(VersionExistsError, match="2.0.0 was registered once"):
        registry.register_model("m", "t", version="2.0.0")


def test_a_number_that_was_given_again_says_that_other_files_were_saved_under_it(
    again: ModelRegistry, model: Path
) -> None:
    claim = (model / "_journal" / "claims" / "2.0.0.json").read_bytes()
    lose(model, "2.0.0")
    shutil.rmtree(model / "2.0.0")
    (model / "_journal" / "claims" / "2.0.0.json").write_bytes(claim)
    again.recover()  # writes its _meta.json
    [told] = again.check()
    assert told.startswith(
        "m 2.0.0: MLflow shows it as saved, and storage has its number"
    )
    assert "brixa model delete m@2.0.0 --reason WHY" in told
    again.delete_version("m", "2.0.0", reason="as the doctor says")
    assert again.check() == []
