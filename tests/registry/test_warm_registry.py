"""A registry that remembers what it read never tells what has ceased to be true."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from brixa_flows import disks
from brixa_flows.errors import (
    DamagedArtifactError,
    ModelNotFoundError,
    UntrustedArtifactError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.facts.stages import Lifecycle, advance, fold
from brixa_flows.storage import marks, names
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from brixa_flows.versioning import ModelVersion
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

WRITERS, EACH = 3, 12


@pytest.fixture(autouse=True)
def local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' folder may be on a tmpfs, whose times are not believed."""
    monkeypatch.setattr(marks, "times_are_true", lambda descriptor: True)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ticks of the kernel's clock are at most 10 ms apart."""
    monkeypatch.setattr(disks, "SETTLED_AFTER_NANOSECONDS", 40 * 10**6)
    return lambda: time.sleep(0.05)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many directories and objects are really read."""
    found: Counter[str] = Counter()
    listed, read = names._read, LocalStorageNode.read

    def listing(*args: Any) -> tuple[str, ...]:
        found["directories"] += 1
        return listed(*args)

    def reading(node: LocalStorageNode, key: str) -> tuple[bytes, str]:
        found[key.rpartition("/")[2]] += 1
        return read(node, key)

    monkeypatch.setattr(names, "_read", listing)
    monkeypatch.setattr(LocalStorageNode, "read", reading)
    return found


@pytest.fixture
def other(storage: LocalStorageNode, tracking: MemoryTrackingStore) -> ModelRegistry:
    """The same registry, as another process has it."""
    return ModelRegistry(LocalStorageNode(storage.root), tracking=tracking)


def warm(registry: ModelRegistry, settle: Callable[[], None]) -> None:
    for _ in range(2):
        settle()
        for name in registry.list_models():
            registry.list_versions(name)


def test_questions_that_were_asked_before_read_nothing_again(
    registry: ModelRegistry,
    save: SaveVersion,
    settle: Callable[[], None],
    reads: Counter[str],
) -> None:
    for _ in range(3):
        save("m")
    registry.transition("m", "1.0.1", "production")
    warm(registry, settle)
    reads.clear()
    registry.list_versions("m", "^1")
    registry.get_metadata("m", "production")
    assert reads == {}
    registry.resolve("m", "^1")
    assert reads == {"1.0.2.json": 1}  # its claim, for the models that it needs


def test_registering_and_promoting_read_what_is_new_alone(
    registry: ModelRegistry,
    save: SaveVersion,
    settle: Callable[[], None],
    reads: Counter[str],
) -> None:
    for _ in range(4):
        save("m")
    for version in ("1.0.0", "1.0.1"):
        registry.transition("m", version, "production")
    warm(registry, settle)
    reads.clear()
    registry.register_model("m", "t", "sklearn")
    registry.register_model("m", "t", "sklearn")
    assert reads["directories"] == 0
    assert reads.keys() <= {
        "_registry.json",
        "1.0.4.json",
        "1.0.5.json",
        "1.0.4_meta.json",
        "1.0.5_meta.json",
    }
    reads.clear()
    registry.transition("m", "1.0.2", "production")
    assert reads["directories"] == 0
    assert [key for key in reads if key.startswith("0000")] == ["00000003.json"]


def test_what_another_registry_does_shows_at_once(
    registry: ModelRegistry,
    other: ModelRegistry,
    save: SaveVersion,
    classifier: Any,
    settle: Callable[[], None],
) -> None:
    save("m", "1.0.0")
    warm(registry, settle)
    warm(other, settle)
    version = other.register_model("m", "t", "sklearn").version
    assert registry.get_metadata("m", version).state == "registered"
    other.update("m", version, description="later")
    assert registry.get_metadata("m", version).description == "later"
    other.save_model("m", version, classifier)
    assert registry.get_metadata("m", version).state == "ready"
    assert registry.resolve("m", "^1") == version
    warm(registry, settle)
    other.transition("m", version, "production")
    assert registry.get_metadata("m", "production").version == version
    other.set_alias("m", "champion", "1.0.0")
    assert registry.get_metadata("m", "1.0.0").aliases == ("champion",)
    other.transition("m", version, "archived")
    other.delete_version("m", version)
    assert registry.get_metadata("m", version).state == "deleted"
    assert [each.stage for each in registry.list_versions("m")] == [None, None]


def test_a_version_that_was_withdrawn_is_gone(
    registry: ModelRegistry, other: ModelRegistry, settle: Callable[[], None]
) -> None:
    other.register_model("m", "t")
    warm(registry, settle)
    other._registrar.withdraw("m", ModelVersion(1, 0, 0))
    with pytest.raises(ModelNotFoundError):
        registry.get_metadata("m")
    other.register_model("m", "t", version="2.0.0")
    with pytest.raises(VersionNotFoundError):
        registry.get_metadata("m", "1.0.0")
    assert str(registry.register_model("m", "t").version) == "2.0.1"


@pytest.mark.parametrize(
    "file",
    [
        "_journal/claims/1.0.0.json",
        "_journal/seals/1.0.0.json",
        "1.0.0_meta.json",
        "1.0.0/config.json",
        "1.0.0/lineage.json",
        "1.0.0/model.joblib",
    ],
)
def test_a_file_that_is_damaged_in_place_is_noticed(
    registry: ModelRegistry,
    save: SaveVersion,
    settle: Callable[[], None],
    file: str,
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    warm(registry, settle)
    path = Path(registry.storage.root) / "models" / "m" / file  # type: ignore[attr-defined]
    whole = path.read_bytes()
    path.write_bytes(b"{" + whole[1:-9])
    listed = {str(each.version): each.state for each in registry.list_versions("m")}
    assert listed == {"1.0.0": "quarantined", "1.1.0": "ready"}
    assert path.name in registry.get_metadata("m", "1.0.0").problem
    with pytest.raises(DamagedArtifactError, match=path.name):
        registry.resolve("m", "1.0.0")
    path.write_bytes(whole)
    assert registry.get_metadata("m", "1.0.0").state == "ready"


def _register(root: Path, answers: Connection) -> None:
    registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    for number in range(EACH):
        version = registry.register_model("m", "t", description=str(number)).version
        answers.send(str(version))
    answers.send(None)


def test_what_other_processes_have_registered_is_there_when_they_say_so(
    registry: ModelRegistry, storage: LocalStorageNode, settle: Callable[[], None]
) -> None:
    registry.register_model("m", "t")
    warm(registry, settle)
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(WRITERS)]
    processes = [
        context.Process(target=_register, args=(storage.root, answers))
        for _, answers in pipes
    ]
    for process in processes:
        process.start()
    waiting, said = [asked for asked, _ in pipes], {"1.0.0"}
    while waiting:
        for asked in [each for each in waiting if each.poll()]:
            version = asked.recv()
            if version is None:
                waiting.remove(asked)
                continue
            said.add(version)
            assert registry.get_metadata("m", version).state == "registered"
            # Its own come in between, so that its memory is always a mixture.
            said.add(str(registry.register_model("m", "t").version))
            assert said <= {str(each.version) for each in registry.list_versions("m")}
    for process in processes:  # each has said that it is done
        process.join(30)
    assert len(said) == 1 + 2 * WRITERS * EACH
    index = json.loads(storage.read("models/_meta/_registry.json")[0])
    assert index["models"]["m"]["versions"] == len(said)


def test_changes_in_pieces_add_up_to_the_same(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    for _ in range(4):
        save("m")
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        registry.transition("m", version, "production")
    registry.rollback("m")
    registry.set_alias("m", "champion", "1.0.2")
    registry.transition("m", "1.0.3", "staging")
    registry.delete_version("m", "1.0.2")
    changes = registry._backends.journal.changes("m")
    whole = fold("m", changes)
    for cut in range(len(changes) + 1):
        assert advance(fold("m", changes[:cut]), changes[cut:]) == whole
    assert advance(Lifecycle("m"), ()) == Lifecycle("m")
    assert registry._backends.journal.changes("m", 5) == changes[5:]


def test_a_seal_that_names_another_run_gains_nothing(
    registry: ModelRegistry, storage: LocalStorageNode, save: SaveVersion
) -> None:
    """Who can write in storage alone may point anywhere, also with other files."""
    save("m", "1.0.0")
    other = save("m", "1.1.0")
    path = storage.root / "models/m/_journal/seals/1.0.0.json"
    seal = json.loads(path.read_bytes())
    del seal["record_sha256"]
    for run_id in (other.run_id, "0" * 32, ""):
        path.write_text(json.dumps({**seal, "run_id": run_id}))
        assert registry.load_model("m", "1.0.0") is not None
    manifest = storage.root / "models/m/1.0.0/config.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    digest = "sha256:" + hashlib.sha256(manifest.read_bytes()).hexdigest()
    forged = {**seal, "run_id": other.run_id, "digest": digest}
    path.write_text(json.dumps(forged))
    with pytest.raises((UntrustedArtifactError, DamagedArtifactError)):
        registry.load_model("m", "1.0.0")
