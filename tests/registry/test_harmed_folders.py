"""A folder of a model that is none any more harms that model alone, and is told."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import BrixaError, DamagedArtifactError
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.facts.numbered_records import KINDS
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
UNKNOWN = ["", "_journal", "_journal/claims", "_journal/seals"]
UNKNOWN += ["_journal/quarantine", "_journal/changes"]
"""Without one of them nobody knows what is right of the model."""
OTHERS = ["1.0.0", "_journal/saves", "_journal/adoptions"]
OTHERS += [f"_journal/{kind}" for kind in KINDS]
OTHERS += [f"_journal/{kind}/1.0.0" for kind in ("evaluations", "measurements")]
HARMS = ("link", "file", "shut")
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root reads what no mode allows.
_PASSING_BY_MODES = (1 << 1) | (1 << 2)
_VERSION_3 = 0x20080522

OF_ANOTHER: dict[str, Callable[[ModelRegistry], Any]] = {
    "list": lambda registry: registry.list_models().index("b"),
    "search": lambda registry: [each.name for each in registry.search()].index("b"),
    "resolve": lambda registry: registry.resolve("b"),
    "load": lambda registry: registry.load_model("b"),
    "register": lambda registry: registry.register_model("b", "t", "sklearn"),
    "lineage": lambda registry: registry.lineage("b", "1.0.0"),
    "all lineage": lambda registry: registry.lineage(),
    "untrusted": lambda registry: registry.untrusted(),
    "trust records": lambda registry: registry.trust_records(),
    "recover": lambda registry: registry.recover(),
    "gc": lambda registry: registry.collect_garbage(remove=True),
    "rebuild": lambda registry: registry.rebuild_tracking(),
    "feed": lambda registry: list(registry.feed.since(datetime.now(UTC))),
    "interrupted": lambda registry: registry.feed.is_interrupted(),
    "promote": lambda registry: registry.set_alias("b", "own", "1.0.0"),
    "delete": lambda registry: registry.delete_version(
        "b", registry.list_versions("b")[-1].version
    ),
}
OF_THE_MODEL: dict[str, Callable[[ModelRegistry], Any]] = {
    "resolve": lambda registry: registry.resolve("a"),
    "load": lambda registry: registry.load_model("a", "1.0.0"),
    "list": lambda registry: registry.list_versions("a"),
    "show": lambda registry: registry.get_metadata("a", "1.0.0"),
    "lineage": lambda registry: registry.lineage("a", "1.0.0"),
    "evaluations": lambda registry: registry.evaluations("a", "1.0.0"),
    "history": lambda registry: registry.stage_history("a"),
    "verify": lambda registry: registry.verify("a", "1.0.0"),
    "update": lambda registry: registry.update("a", "1.0.0", owner="x"),
    "measure": lambda registry: registry.log_metrics("a", "1.0.0", {"f1": 0.75}),
    "record": lambda registry: registry.record_evaluation("a", "1.0.0", {"x": 1}),
    "register it": lambda registry: registry.register_model("a", "t", version="1.0.0"),
    "register": lambda registry: registry.register_model("a", "t"),
    "promote": lambda registry: registry.set_alias("a", "own", "1.0.0"),
    "delete": lambda registry: registry.delete_version("a", "1.0.0"),
}


@pytest.fixture(scope="module")
def warm(
    tmp_path_factory: pytest.TempPathFactory, classifier: LogisticRegression
) -> ModelRegistry:
    """Two models, ``a`` and ``b``, each with a version in production."""
    storage = LocalStorageNode(tmp_path_factory.mktemp("harmed"))
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    for name in ("a", "b"):
        registry.register_model(name, "t", "sklearn")
        registry.save_model(name, "1.0.0", classifier)
        registry.transition(name, "1.0.0", "production")
        registry.log_metrics(name, "1.0.0", {"f1": 0.5}, {"name": "march"})
        registry.record_evaluation(name, "1.0.0", {"score": 1})
        registry.set_alias(name, "own", "1.0.0")
    assert registry.check() == []
    return registry


@contextmanager
def harmed(path: Path, harm: str, elsewhere: Path) -> Iterator[None]:
    """A folder, there or not, is something else for a while."""
    was_there = path.exists()
    if harm == "shut":
        path.mkdir(exist_ok=True)
        path.chmod(0)
        try:
            with bound_by_modes():
                yield
        finally:
            path.chmod(0o755)
        return
    path.rename(elsewhere) if was_there else elsewhere.mkdir()
    path.symlink_to(elsewhere) if harm == "link" else path.write_text("{}")
    try:
        yield
    finally:
        path.unlink()
        if was_there:
            elsewhere.rename(path)


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Also as root, this thread reads what the mode of a file allows it to."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    had, without = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, had) == 0
    without[:] = had[:]
    without[0] &= ~_PASSING_BY_MODES  # of the effective ones alone
    assert libc.capset(header, without) == 0
    try:
        yield
    finally:
        assert libc.capset(header, had) == 0


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("place", [*UNKNOWN, *OTHERS])
def test_a_folder_that_is_none_harms_its_model_alone_and_is_told(
    warm: ModelRegistry, tmp_path: Path, place: str, harm: str
) -> None:
    assert isinstance(warm.storage, LocalStorageNode)
    path = warm.storage.root / "models" / "a" / place
    seen = ModelRegistry(warm.storage, tracking=warm.tracking)
    with harmed(path, harm, tmp_path / "elsewhere"):
        told = seen.check()
        assert [each for each in told if f"models/a/{place}".rstrip("/") in each]
        assert len(told) == 1 or place == "1.0.0"
        for act in OF_ANOTHER.values():
            act(seen)
        for what, act in OF_THE_MODEL.items():
            for registry in (seen, warm):
                try:
                    act(registry)
                except BrixaError as err:
                    assert "models/a" in str(err) or what in ("delete", "register it")
                else:
                    assert place not in UNKNOWN, what
    assert seen.check() == [] == warm.check()
    assert str(warm.resolve("a")) == str(warm.resolve("a", "own")) == "1.0.0"


@pytest.mark.parametrize("harm", HARMS)
def test_a_folder_of_deployments_that_is_none_keeps_every_version(
    warm: ModelRegistry, tmp_path: Path, harm: str
) -> None:
    assert isinstance(warm.storage, LocalStorageNode)
    warm.storage.replace("models/deployments/api/config.json", b"{}", etag=None)
    root = warm.storage.root / "models/deployments"
    for path in (root, root / "api") if harm != "shut" else (root,):
        with harmed(path, harm, tmp_path / "elsewhere"):
            with pytest.raises(DamagedArtifactError, match="which versions are needed"):
                warm.collect_garbage(remove=True)
    warm.storage.delete("models/deployments/api/config.json")
    assert warm.check() == []


def test_a_registry_folder_and_a_stray_file_are_told(
    warm: ModelRegistry, tmp_path: Path
) -> None:
    assert isinstance(warm.storage, LocalStorageNode)
    stray = warm.storage.root / "models" / "notes.txt"
    stray.write_text("mine")
    [told] = warm.check()
    assert told.startswith("models/notes.txt is a file, where a folder belongs")
    stray.unlink()
    with harmed(warm.storage.root / "models/_meta", "link", tmp_path / "elsewhere"):
        [told] = warm.check()
        assert told.startswith("models/_meta is a symbolic link")
