"""A number stays taken when its claim is lost, and what the doctor says of it helps."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.errors import DamagedArtifactError, VersionExistsError
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from brixa_flows.versioning import ModelVersion
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
WHAT: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "symbolic link": lambda path: path.symlink_to("elsewhere"),
    "special file": lambda path: os.mkfifo(path),
}
TRACES: dict[str, Callable[[ModelRegistry, str], object]] = {
    "meta": lambda registry, version: None,
    "measurements": lambda registry, version: registry.log_metrics(
        "m", version, {"f1": 0.5}, {"name": "march", "digest": "sha256:1"}
    ),
    "evaluations": lambda registry, version: record(registry, "evaluations", version),
    "drift": lambda registry, version: record(registry, "drift", version),
    "changes": lambda registry, version: registry.delete_version(
        "m", version, reason="wrong"
    ),
}
KEYS = [
    "1.0.0_meta.json",
    "1.0.0_sig.json",
    "_journal/claims/1.0.0.json",
    "_journal/seals/1.0.0.json",
    "_journal/saves/1.0.0.json",
    "_journal/quarantine/1.0.0.json",
    "_journal/changes/00000001.json",
    "_journal/adoptions/1.json",
    "_journal/evaluations/1.0.0/00000001.json",
    "_journal/drift/1.0.0/00000001.json",
    "_journal/measurements/1.0.0/00000001.json",
    "_journal/trust/1.0.0/00000001.json",
    "_journal/projected.json",
    "../_meta/_registry.json",
]


def record(registry: ModelRegistry, kind: str, version: str) -> None:
    journal = Journal(registry.storage, registry.layout)
    journal.add_record("m", kind, ModelVersion.parse(version), {"metrics": {"f1": 0.5}})


@pytest.fixture
def model(storage: LocalStorageNode) -> Path:
    return storage.root / "models" / "m"


@pytest.fixture
def again(storage: LocalStorageNode, tracking: MemoryTrackingStore) -> ModelRegistry:
    """Another process, which has read nothing yet."""
    return ModelRegistry(storage, tracking=tracking)


def lose(model: Path, version: str) -> Path:
    path = model / "_journal" / "claims" / f"{version}.json"
    return path.rename(model.parent.parent / "kept.json") and path


def do_as_told(registry: ModelRegistry, told: str) -> None:
    """What the sentence of the doctor says that can be done without a backup."""
    command = re.search(r"brixa model delete (\S+)@(\S+) --reason WHY", told)
    assert command, told
    registry.delete_version(command[1], command[2], reason="as the doctor says")


@pytest.mark.parametrize("first", [True, False], ids=["alone", "beside another"])
@pytest.mark.parametrize("trace", TRACES)
def test_a_number_that_was_only_registered_is_never_given_again(
    registry: ModelRegistry,
    save: SaveVersion,
    again: ModelRegistry,
    model: Path,
    trace: str,
    first: bool,
) -> None:
    if not first:
        save("m", "1.0.0")
    lost = str(registry.register_model("m", "t").version)
    TRACES[trace](registry, lost)
    if trace not in ("meta", "changes"):
        (model / f"{lost}_meta.json").unlink()
    lose(model, lost)
    assert again.list_models() == ["m"]
    with pytest.raises(VersionExistsError, match=f"{lost} was .*next number is") as no:
        again.register_model("m", "t", version=lost)
    if trace == "changes":
        assert again.check() == []
        assert again.get_metadata("m", lost).state == "deleted"
    else:
        assert f"claims/{lost}.json is missing, or no regular file, and" in str(
            no.value
        )
        assert again.get_metadata("m", lost).state == "quarantined"
        with pytest.raises(DamagedArtifactError, match="is missing"):
            again.load_model("m", lost)
    after = str(again.register_model("m", "t").version)
    assert f"is {after};" in str(no.value)
    assert after > lost
    assert again.evaluations("m", after) == [] and again.get_metadata("m").metrics == {}
    assert again.collect_garbage(remove=True) == []
    if trace != "changes":
        [told] = again.check()
        assert [each.detail for each in again.recover()] == [told]
        do_as_told(again, told)
    assert again.check() == [] and again.recover() == []
    assert again.get_metadata("m", lost).state == "deleted"


@pytest.mark.parametrize("what", WHAT)
def test_what_lies_where_a_claim_was_is_told_and_hinders_nobody(
    registry: ModelRegistry, again: ModelRegistry, model: Path, what: str
) -> None:
    registry.register_model("m", "t")
    path = lose(model, "1.0.0")
    WHAT[what](path)
    [told] = again.check()
    said = "is, or lies behind, a symb" if "link" in what else "is missing, or no regul"
    assert f"claims/1.0.0.json' {said}" in told
    assert [each.detail for each in again.recover()] == [told]
    with pytest.raises(VersionExistsError, match="1.0.0 was registered once"):
        again.register_model("m", "t", version="1.0.0")
    assert str(again.register_model("m", "t").version) == "1.0.1"
    path.rename(model / "away")
    shutil.move(model.parent.parent / "kept.json", path)
    assert again.check() == []
    assert again.get_metadata("m", "1.0.0").state == "registered"
    lose(model, "1.0.0")
    WHAT[what](path)
    do_as_told(again, again.check()[0])
    assert again.check() == [] and again.recover() == []


@pytest.mark.parametrize(
    ("key", "what"),
    [
        *((key, "folder") for key in KEYS),
        *((key, "symbolic link") for key in KEYS[2:7]),
    ],
)
def test_the_remedy_of_what_is_in_the_way_of_a_record_mends_it(
    registry: ModelRegistry,
    save: SaveVersion,
    again: ModelRegistry,
    model: Path,
    key: str,
    what: str,
) -> None:
    save("m", "1.0.0")
    registry.transition("m", "1.0.0", "staging")
    path = model / key
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    WHAT[what](path)
    told = again.check()
    [sentence] = [each for each in told if path.name in each]
    restored = "Restore the file from a backup" in sentence
    assert restored or "move it elsewhere" in sentence or sentence.endswith("Remove it")
    if "remove it" in sentence.lower() or "move it elsewhere" in sentence:
        path.rmdir() if what == "folder" else path.unlink()
    if "brixa doctor --fix" in sentence:
        again.recover()
    elif "brixa model delete" in sentence:
        do_as_told(again, sentence)
    elif "say it again" in sentence:
        path.rmdir() if what == "folder" else path.unlink()
        command = re.search(r"brixa model transition \S+ STAGE", sentence)
        assert command and shlex.split(command[0])
        again.transition("m", "1.0.0", "staging", reason="as it was")
        assert "brixa model accept-losses NAME" in sentence
        again.accept_losses("m", reason="it is told again")
    assert again.check() == []
    fresh = ModelRegistry(again.storage, tracking=again.tracking)
    assert fresh.check() == []
