"""A corrupt record is reported and set aside; it is never fatal for others."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    ModelNotSavedError,
    StageTransitionError,
    VersionExistsError,
    VersionInUseError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

_GARBAGE = [b"", b"\xff\x00", b"[1]", b"{}", b'{"protocol": 99}', b"null"]


@pytest.fixture
def journal(
    storage: LocalStorageNode, registry: ModelRegistry, save: SaveVersion
) -> Path:
    """Of model ``a``, which has two versions; ``b`` has one."""
    save("a", "1.0.0", metrics={"f1": 0.5})
    save("a", "1.1.0", metrics={"f1": 0.6})
    save("b", "1.0.0")
    registry.transition("a", "1.0.0", "production")
    registry.transition("b", "1.0.0", "production")
    registry.record_evaluation("a", "1.0.0", {"score": 1})
    registry.record_evaluation("a", "1.0.0", {"score": 2})
    return storage.root / "models" / "a" / "_journal"


@pytest.fixture
def again(
    storage: LocalStorageNode, tracking: MemoryTrackingStore, journal: Path
) -> ModelRegistry:
    """Another process, which has read nothing yet."""
    return ModelRegistry(storage, tracking=tracking)


def set_aside(registry: ModelRegistry) -> list[str]:
    return [each.detail for each in registry.recover() if each.action == "set aside"]


def test_a_claim_named_with_build_metadata_is_no_second_version(
    again: ModelRegistry, journal: Path
) -> None:
    claims = journal / "claims"
    (claims / "1.0.0+b.json").write_bytes((claims / "1.0.0.json").read_bytes())
    assert [str(each.version) for each in again.list_versions("a")] == [
        "1.0.0",
        "1.1.0",
    ]
    assert len(again.search("name = 'a'")) == 2
    [told] = again.check()
    assert "claims/1.0.0+b.json" in told and "Remove it" in told
    assert set_aside(again) == [told]
    (claims / "1.0.0+b.json").unlink()
    assert again.check() == []


@pytest.mark.parametrize("garbage", _GARBAGE)
@pytest.mark.parametrize("kind", ["claims", "seals"])
def test_a_damaged_claim_or_seal_hides_no_other_version(
    again: ModelRegistry, journal: Path, kind: str, garbage: bytes
) -> None:
    (journal / kind / "1.1.0.json").write_bytes(garbage)
    assert str(again.resolve("a", "^1.0.0 <1.1")) == "1.0.0"
    listed = {str(each.version): each.state for each in again.list_versions("a")}
    assert listed["1.0.0"] == "ready"
    assert listed.get("1.1.0") in (None, "quarantined")
    assert [each.name for each in again.search("metrics.f1 = 0.5")] == ["a"]
    with pytest.raises(DamagedArtifactError, match=f"{kind}/1.1.0.json"):
        again.load_model("a", "1.1.0")
    told = set_aside(again)
    assert len(told) == 1
    assert f"{kind}/1.1.0.json" in told[0]
    assert set_aside(again) == told
    assert str(again.register_model("a", "t").version) == "1.1.1"


def test_recover_repairs_the_models_behind_a_damaged_one(
    again: ModelRegistry, journal: Path, storage: LocalStorageNode
) -> None:
    (journal / "claims" / "1.0.0.json").write_bytes(b"{")
    lost = storage.root / "models" / "b" / "1.0.0_meta.json"
    lost.unlink()
    actions = [(each.name, each.action) for each in again.recover()]
    assert ("a", "set aside") in actions
    assert ("b", "metadata written") in actions
    assert lost.is_file()


@pytest.mark.parametrize("garbage", _GARBAGE)
def test_a_lost_stage_change_never_lets_the_wrong_version_be_production(
    again: ModelRegistry, journal: Path, garbage: bytes
) -> None:
    again.transition("a", "1.1.0", "production")
    fresh = ModelRegistry(again.storage, tracking=again.tracking)
    (journal / "changes" / "00000002.json").write_bytes(garbage)
    for spec in (None, "production"):
        with pytest.raises(VersionNotFoundError, match="00000002.json can't be read"):
            fresh.resolve("a", spec)
    assert str(fresh.resolve("a", "1.1.0")) == "1.1.0"
    assert len(fresh.list_versions("a")) == 2
    assert any("00000002.json" in each for each in set_aside(fresh))
    fresh.transition("a", "1.1.0", "production", reason="said again")
    assert str(fresh.resolve("a")) == "1.1.0"
    assert [each.number for each in fresh.stage_history("a")] == [1, 2, 3]


def test_a_lost_change_leaves_what_was_settled_after_it(
    again: ModelRegistry, journal: Path
) -> None:
    again.set_alias("a", "champion", "1.0.0")
    fresh = ModelRegistry(again.storage, tracking=again.tracking)
    (journal / "changes" / "00000001.json").write_bytes(b"")
    assert str(fresh.resolve("a", "champion")) == "1.0.0"
    with pytest.raises(VersionNotFoundError, match="00000001.json"):
        fresh.resolve("a", "production")


def test_a_restored_change_is_believed_at_once(
    again: ModelRegistry, journal: Path
) -> None:
    record = journal / "changes" / "00000001.json"
    kept = record.read_bytes()
    record.write_bytes(b"")
    with pytest.raises(VersionNotFoundError):
        again.resolve("a", "production")
    record.write_bytes(kept)
    assert str(again.resolve("a", "production")) == "1.0.0"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("harm", ["flipped", "removed", "of another number"])
def test_who_has_a_stage_is_unknown_to_all_while_its_record_is_lost(
    again: ModelRegistry,
    journal: Path,
    number: int,
    harm: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    again.set_alias("a", "own", "1.1.0")
    record = journal / "changes" / f"0000000{number}.json"
    kept = record.read_bytes()
    if harm == "flipped":
        record.write_bytes(kept.replace(b'"1.0.0"', b'"1.1.0"').replace(b"own", b"oxn"))
    elif harm == "removed":
        record.unlink()
    else:
        record.write_bytes(
            (journal / "changes" / f"0000000{3 - number}.json").read_bytes()
        )
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    words = {1: ("production",), 2: ("production", "own")}[number]
    for word in words:
        with pytest.raises(VersionNotFoundError, match=f"{record.name} can't be read"):
            seen.resolve("a", word)
        assert any(f"which version is {word} is not known" in x for x in seen.check())
    assert {each.stage for each in seen.list_versions("a")} == {None}
    with pytest.raises(VersionNotFoundError, match="nobody knows who is production"):
        seen.list_versions("a", stage="production")
    for stage in ("production", "none"):
        found = seen.search(f"name = 'a' and stage = '{stage}'")
        assert "1.0.0" not in [str(each.version) for each in found]
    assert seen.stage_at("a", datetime.now(UTC)).production is None
    assert record.name in str(seen.stage_at("a", datetime.now(UTC)))
    assert record.name in seen.lost_changes("a")[0]
    with pytest.raises(StageTransitionError, match="nobody knows who is in production"):
        seen.rollback("a")
    with pytest.raises(VersionInUseError, match="it may be in production"):
        seen.delete_version("a", "1.0.0")
    assert [x.getMessage() for x in caplog.records].count(caplog.messages[0]) == 1
    record.write_bytes(kept)
    assert str(seen.resolve("a")) == "1.0.0"


def test_what_the_doctor_says_of_a_lost_stage_can_be_done(
    again: ModelRegistry, journal: Path
) -> None:
    again.transition("a", "1.1.0", "production")
    (journal / "changes" / "00000002.json").write_bytes(b"")
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    [told] = [each for each in seen.check() if "is not known" in each]
    assert "MLflow shows it on 1.1.0, the records before on 1.0.0" in told
    assert told.endswith("brixa model transition a@1.1.0 production --reason WHY")
    seen.rebuild_tracking()
    assert seen.tracking.aliases("a") == {"production": "1.1.0"}, "nothing is guessed"
    seen.transition("a", "1.1.0", "production", reason="as MLflow shows it")
    assert str(seen.resolve("a")) == "1.1.0"
    assert not [each for each in seen.check() if "is not known" in each]
    seen.rollback("a")
    assert str(seen.resolve("a")) == "1.0.0"


def test_the_last_known_holder_may_be_confirmed(
    again: ModelRegistry, journal: Path
) -> None:
    again.transition("a", "1.1.0", "production")
    (journal / "changes" / "00000002.json").unlink()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    seen.transition("a", "1.0.0", "production", reason="it is the old one")
    assert str(seen.resolve("a")) == "1.0.0"
    assert seen.tracking.aliases("a") == {"production": "1.0.0"}
    assert seen.stage_history("a")[-1].number == 2


@pytest.mark.parametrize(
    ("place", "mended"),
    [
        ("1.0.0_meta.json", True),
        ("_journal/seals/1.0.0.json", True),
        ("_journal/projected.json", True),
        ("_journal/claims/1.0.0.json", False),
        ("_journal/changes/00000001.json", False),
        ("../_meta/_registry.json", True),
    ],
)
def test_a_folder_where_a_file_should_be_is_told_by_all_and_harms_no_other_version(
    again: ModelRegistry, journal: Path, place: str, mended: bool
) -> None:
    path = journal.parent / place
    path.unlink()
    path.mkdir()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    [told] = [each for each in seen.check() if path.name in each]
    assert re.search("a folder|no regular file", told)
    first, second = seen.recover(), seen.recover()
    assert [str(each) for each in second if each.repaired] == []
    assert any(path.name in each.detail for each in first)
    assert len([each for each in second if path.name in f"{each}"]) == 1
    seen.load_model("a", "1.1.0")
    path.rmdir()
    seen.recover()
    assert (seen.check() == []) is mended


def test_what_is_damaged_of_a_deleted_version_is_nobodys_concern(
    again: ModelRegistry, journal: Path
) -> None:
    again.delete_version("a", "1.1.0", reason="wrong labels")
    (journal / "claims" / "1.1.0.json").write_bytes(b"{")
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    assert seen.check() == [] == seen.recover()
    assert [each.state for each in seen.list_versions("a")] == ["ready", "deleted"]


def test_a_version_whose_seal_is_gone_is_told_as_that(
    again: ModelRegistry, journal: Path
) -> None:
    (journal / "seals" / "1.0.0.json").unlink()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    for spec in ("1.0.0", "production"):
        with pytest.raises(ModelNotSavedError, match="has files but no seal.*--fix"):
            seen.load_model("a", spec)
    assert [each.action for each in seen.recover()] == ["completed"]
    assert seen.check() == []


@pytest.mark.parametrize("gone", [True, False])
def test_a_loss_that_is_accepted_is_told_no_more_and_a_restored_record_counts_again(
    again: ModelRegistry, journal: Path, gone: bool
) -> None:
    again.transition("a", "1.1.0", "production", actor="ada")
    record = journal / "changes" / "00000002.json"
    kept = record.read_bytes()
    record.unlink() if gone else record.write_bytes(b"{")
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    assert any("brixa model accept-losses NAME --reason WHY" in x for x in seen.check())
    with pytest.raises(InvalidMetadataError, match="'reason' is blank"):
        seen.accept_losses("a", reason=" ")
    found = seen.accept_losses("a", reason="1.1.0 was never rolled out", actor="ada")
    assert str(found.production) == "1.0.0"
    assert seen.check() == [] and seen.recover() == []
    fresh = ModelRegistry(again.storage, tracking=again.tracking)
    assert str(fresh.resolve("a", "production")) == "1.0.0"
    assert fresh.tracking.aliases("a") == {"production": "1.0.0"}
    with pytest.raises(InvalidMetadataError, match="every stage change can be read"):
        fresh.accept_losses("a", reason="again")
    record.write_bytes(kept)
    assert str(seen.resolve("a", "production")) == "1.1.0"


def test_a_deleted_version_whose_tombstone_is_lost_stays_shut(
    again: ModelRegistry, journal: Path
) -> None:
    again.delete_version("a", "1.1.0", actor="ada", reason="wrong labels")
    assert "by ada (wrong labels)" in again.get_metadata("a", "1.1.0").problem
    (journal / "changes" / "00000002.json").unlink()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    with pytest.raises(
        VersionNotFoundError, match="1.1.0 as deleted.*is lost that may"
    ):
        seen.load_model("a", "1.1.0")
    seen.accept_losses("a", reason="only a deletion is missing")
    assert seen.rebuild_tracking() == []  # the tag is all that tells of it
    [told] = seen.check()
    assert "so it does not load: if it was not, set the tag to 'ready' in ML" in told
    assert told.endswith("brixa model delete a@1.1.0 --reason WHY")
    with pytest.raises(
        VersionNotFoundError, match="1.1.0 as deleted.*is lost that may"
    ):
        seen.load_model("a", "1.1.0")
    seen.delete_version("a", "1.1.0", reason="as MLflow says")
    assert seen.check() == []


@pytest.mark.parametrize("lost", [False, True], ids=["by hand", "record and marker"])
def test_a_version_that_only_mlflow_calls_deleted_is_told_as_that_with_both_ways(
    again: ModelRegistry, journal: Path, lost: bool
) -> None:
    if lost:
        again.delete_version("a", "1.1.0", reason="wrong labels")
        (journal / "changes" / "00000002.json").unlink()
        (journal / "projected.json").write_text(
            '{"number": 1, "again": 1}'
        )  # a backup's
    else:
        tracked = again.tracking.get_version("a", "1.1.0")
        assert tracked is not None
        again.tracking.update_version(tracked, facts={"brixa.state": "deleted"})
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    [told] = seen.check()
    assert "brixa.state in MLflow says that 1.1.0 was deleted, and no record" in told
    assert "so it loads: if it was not, brixa doctor --rebuild-tracking sets" in told
    assert told.endswith("delete it again: brixa model delete a@1.1.0 --reason WHY")
    seen.load_model("a", "1.1.0")
    assert [str(each.version) for each in seen.rebuild_tracking()] == ["1.1.0"]
    assert seen.check() == [] == seen.rebuild_tracking()


@pytest.mark.parametrize("marker", [None, b"{", b'{"number": 1, "again": 1}'])
def test_what_mlflow_alone_still_knows_is_left_where_the_last_changes_are_lost(
    again: ModelRegistry, journal: Path, marker: bytes | None
) -> None:
    again.transition("a", "1.1.0", "production")
    again.set_alias("a", "champion", "1.1.0")
    shown = {"production": "1.1.0", "champion": "1.1.0"}
    for file in ("changes/00000002.json", "changes/00000003.json", "projected.json"):
        (journal / file).unlink()
    if marker is not None:
        (journal / "projected.json").write_bytes(marker)
    seen = ModelRegistry(again.storage, tracking=again.tracking)

    def told() -> list[str]:
        return [each for each in seen.check() if "in MLflow" in each]

    before = told()
    assert (
        "the alias 'champion' is on 1.1.0 in MLflow, and on no version by" in before[0]
    )
    assert "the alias 'production' is on 1.1.0 in MLflow, and on 1.0.0 by" in before[1]
    assert "by hand, or later records of the journal are lost" in before[1]
    seen.recover()
    assert seen.tracking.aliases("a") == shown
    stages = {x.version: x.stage for x in seen.tracking.list_versions("a")}
    assert stages == {"1.0.0": "archived", "1.1.0": "production"}
    assert told() == before
    seen.transition("a", "1.1.0", "production", reason="as the doctor says")
    seen.set_alias("a", "champion", "1.1.0")
    assert seen.check() == [] == seen.recover()


def test_the_next_change_leaves_what_mlflow_alone_knows_of_others(
    again: ModelRegistry, journal: Path
) -> None:
    again.transition("a", "1.1.0", "production")
    (journal / "changes" / "00000002.json").unlink()
    (journal / "projected.json").unlink()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    seen.set_alias("a", "eu", "1.0.0")
    assert seen.tracking.aliases("a") == {"production": "1.1.0", "eu": "1.0.0"}
    assert [each for each in seen.check() if "'production' is on 1.1.0 in MLf" in each]


def test_a_marker_that_is_gone_alone_is_written_anew_with_what_mlflow_lags_behind(
    again: ModelRegistry, journal: Path
) -> None:
    again.transition("a", "1.1.0", "production")
    (journal / "projected.json").unlink()
    seen = ModelRegistry(again.storage, tracking=again.tracking)
    [told] = seen.check()
    assert "may not show the last changes, as there is no sound file" in told
    seen.tracking.set_alias("a", "production", "1")
    [told] = seen.check()
    assert "MLflow does not show the last changes; run" in told
    assert [each.action for each in seen.recover()] == ["stages shown"]
    assert seen.tracking.aliases("a") == {"production": "1.1.0"}
    assert seen.check() == [] == seen.recover()


@pytest.mark.parametrize("file", ["_journal/seals/1.1.0.json", "1.1.0_meta.json"])
def test_a_damaged_file_that_is_removed_is_written_anew_by_the_doctor(
    again: ModelRegistry, journal: Path, file: str
) -> None:
    again.update("a", "1.1.0", description="the new one")
    path = journal.parent / file
    path.write_bytes(b"{")
    assert "remove it and run brixa doctor --fix" in again.check()[0]
    path.unlink()
    again.recover()
    assert again.check() == []
    fresh = ModelRegistry(again.storage, tracking=again.tracking)
    assert str(fresh.resolve("a", "^1.1")) == "1.1.0"
    assert fresh.get_metadata("a", "1.1.0").description == "the new one"


def test_what_is_in_the_way_of_the_index_stops_no_repair(
    again: ModelRegistry, journal: Path
) -> None:
    index = journal.parents[1] / "_meta" / "_registry.json"
    index.unlink()
    (index / "x").mkdir(parents=True)
    [told] = again.recover()
    assert (told.action, told.name) == ("left as it is", "models/_meta/_registry.json")
    assert "no file; remove it" in told.detail


def test_evaluations_of_a_version_without_a_claim_are_told(
    again: ModelRegistry, journal: Path
) -> None:
    (journal / "claims" / "1.0.0.json").unlink()
    assert len(again.evaluations("a", "1.0.0")) == 2
    with pytest.raises(VersionNotFoundError):
        again.evaluations("a", "7.0.0")


def test_a_damaged_version_can_be_deleted(again: ModelRegistry, journal: Path) -> None:
    for kind in ("claims", "seals"):
        (journal / kind / "1.1.0.json").write_bytes(b"{")
    again.delete_version("a", "1.1.0", reason="nobody has a backup")
    assert again.get_metadata("a", "1.1.0").state == "deleted"
    assert [each for each in again.check() if "1.1.0" in each] == []


def test_a_number_whose_claim_is_gone_is_not_taken_again(
    again: ModelRegistry, journal: Path
) -> None:
    (journal / "claims" / "1.1.0.json").unlink()
    with pytest.raises(VersionExistsError):
        again.register_model("a", "t", version="1.1.0")
    assert str(again.register_model("a", "t").version) == "1.1.1"
    assert again.collect_garbage(remove=True) == []
    assert again.get_metadata("a", "1.1.0").state == "quarantined"


def test_a_damaged_evaluation_hides_no_other(
    again: ModelRegistry, journal: Path
) -> None:
    (journal / "evaluations" / "1.0.0" / "00000001.json").write_bytes(b"{")
    assert [each["score"] for each in again.evaluations("a", "1.0.0")] == [2]
    assert any("evaluations/1.0.0/00000001.json" in each for each in set_aside(again))
    added = again.record_evaluation("a", "1.0.0", {"score": 3})
    assert added["number"] == 3


@pytest.mark.parametrize("kind", ["claims", "seals", "quarantine", "changes"])
def test_a_file_that_somebody_else_put_there_is_passed_over(
    again: ModelRegistry, journal: Path, kind: str
) -> None:
    folder = journal / kind
    folder.mkdir(exist_ok=True)
    for name in ("notes.txt", ".DS_Store", "copy of 1.0.0.json"):
        (folder / name).write_bytes(b"hello")
    assert str(again.resolve("a")) == "1.0.0"
    assert len(again.list_versions("a")) == 2
    again.transition("a", "1.1.0", "staging")


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[]", b'{"number": "x"}'])
def test_a_damaged_marker_of_what_mlflow_shows_is_written_anew(
    again: ModelRegistry, journal: Path, garbage: bytes
) -> None:
    (journal / "projected.json").write_bytes(garbage)
    again.recover()
    assert json.loads((journal / "projected.json").read_bytes()) == {
        "number": 1,
        "again": 1,
    }


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("_journal/claims/1.0.0.json", "unknown field 'colour'"),
        ("1.0.0_meta.json", "unknown field 'colour'"),
    ],
)
def test_an_unknown_field_in_a_file_is_named(
    again: ModelRegistry, journal: Path, file: str, match: str
) -> None:
    path = journal.parent / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": 1}))
    assert match in again.get_metadata("a", "1.0.0").problem
    with pytest.raises(DamagedArtifactError, match=match):
        again.resolve("a", "1.0.0")


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("measurements/1.0.0/00000001.json", "unknown field 'colour'"),
        ("trust/1.0.0/00000001.json", "unknown field 'colour'"),
        ("projected.json", "unknown field 'colour'"),
        # What these say is free, so only the sum can tell that they were changed.
        ("evaluations/1.0.0/00000001.json", "was changed and has the sum"),
        ("drift/1.0.0/00000001.json", "was changed and has the sum"),
    ],
)
def test_an_unknown_field_in_a_numbered_record_or_marker_is_named(
    again: ModelRegistry,
    tracking: MemoryTrackingStore,
    journal: Path,
    file: str,
    match: str,
) -> None:
    for run in tracking.runs.values():
        run.digest = None  # so that there is something to vouch for
    again.log_metrics("a", "1.0.0", {"f1": 0.75}, {"name": "march"})
    again.record_drift("a", "1.0.0", {"status": "ok"})
    again.trust("a", "1.0.0", actor="ada", reason="mine")
    path = journal / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": 1}))
    assert [each for each in again.check() if file in each and match in each]
    assert [each for each in set_aside(again) if file in each and match in each]
    assert again.resolve("a", "1.0.0")
