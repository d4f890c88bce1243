"""Whatever is damaged of a version, everybody who is asked tells the same of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.errors import BrixaError, DamagedArtifactError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

FILES = (
    "1.1.0/config.json",
    "1.1.0/lineage.json",
    "1.1.0/MLmodel",
    "1.1.0/README.md",
    "1.1.0/model.pkl",
    "1.1.0_meta.json",
    "_journal/claims/1.1.0.json",
    "_journal/seals/1.1.0.json",
)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def make_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "x").write_text("x")


def link(path: Path) -> None:
    real = next(up for up in path.parents if up.name == "models").parent / "real"
    path.rename(real)
    path.symlink_to(real)


def take_anothers(path: Path) -> None:
    shutil.copy(str(path).replace("1.1.0", "1.0.0").replace("/m/", "/n/"), path)


HARMS = (cut, flip, Path.unlink, make_folder, link, take_anothers)
HEALED = {  # what nobody needs to restore: it is made anew, or is as it was
    ("1.1.0_meta.json", "unlink"),
    ("1.1.0_meta.json", "make_folder"),
}
BYTES = {"1.1.0/MLmodel", "1.1.0/README.md", "1.1.0/model.pkl"}
"""Files whose content is looked at when they are opened, not when they are listed."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryTrackingStore]:
    """Two models of two versions; ``m`` 1.1.0 is in production."""
    root, tracking = tmp_path_factory.mktemp("whole"), MemoryTrackingStore()
    registry = ModelRegistry(LocalStorageNode(root), tracking=tracking)
    for name in ("m", "n"):
        for version in ("1.0.0", "1.1.0"):
            registry.register_model(name, "t", "pickle", version=version)
            registry.save_model(name, version, {name: version})
    registry.transition("m", "1.1.0", "production")
    return root, tracking


@pytest.fixture
def opened(
    whole: tuple[Path, MemoryTrackingStore], tmp_path: Path
) -> Callable[[], ModelRegistry]:
    """Opens a copy, each time as another process would."""
    shutil.copytree(whole[0], tmp_path / "storage", symlinks=True)
    node = LocalStorageNode(tmp_path / "storage")
    return lambda: ModelRegistry(node, tracking=whole[1])


def errors_of(registry: ModelRegistry, spec: str | None) -> list[str]:
    """What those say who are asked for a version."""
    told = []
    for ask in (registry.resolve, registry.load_model):
        with pytest.raises(BrixaError) as caught:
            ask("m", spec)
        told.append(str(caught.value))
    return told


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("file", FILES)
def test_one_story_is_told_of_a_damaged_version(
    opened: Callable[[], ModelRegistry], file: str, harm: Callable[[Path], None]
) -> None:
    registry = opened()
    path = Path(registry.storage.root) / "models" / "m" / file  # type: ignore[attr-defined]
    kept = path.read_bytes()
    harm(path)
    seen = opened()
    is_file = path.is_file() and not path.is_symlink()
    found = path.read_bytes() if is_file else b""
    if (file, harm.__name__) in HEALED or found == kept:
        assert states(seen) == {"1.0.0": "ready", "1.1.0": "ready"}
        assert seen.load_model("m", "^1") == {"m": "1.1.0"}
        return
    if file in BYTES and len(found) == len(kept):
        assert states(seen) == {"1.0.0": "ready", "1.1.0": "ready"}
        with pytest.raises(DamagedArtifactError, match=f"m/1.1.0: .*{path.name}"):
            seen.load_model("m", "^1")
        return
    if file.startswith("_journal/seals") and harm in (Path.unlink, make_folder):
        assert states(seen) == {"1.0.0": "ready", "1.1.0": "registered"}
    else:
        assert states(seen) == {"1.0.0": "ready", "1.1.0": "quarantined"}
        problem = seen.get_metadata("m", "1.1.0").problem
        assert f"'models/m/{file}'" in problem, "with the folder that it lies in"
        assert problem in seen.check()
        for spec in ("1.1.0", "production", None):
            assert all(path.name in told for told in errors_of(seen, spec))
    assert str(seen.resolve("m", "^1")) == "1.0.0"
    assert str(seen.resolve("m", "latest")) == "1.0.0"
    assert seen.load_model("m", "^1") == {"m": "1.0.0"}
    assert seen.load_model("n") == {"n": "1.1.0"}
    assert any(node.label == "m 1.1.0" for node in seen.lineage().nodes)
    assert str(seen.register_model("m", "t").version) == "1.1.1"
    assert seen.check(), "the doctor tells of it too"
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(kept)
    assert opened().load_model("m") == {"m": "1.1.0"}


def states(registry: ModelRegistry) -> dict[str, str]:
    """State by version of ``m``, told the same by all."""
    listed = {str(each.version): each.state for each in registry.list_versions("m")}
    one_by_one = {each: registry.get_metadata("m", each).state for each in listed}
    searched = {
        str(each.version): state
        for state in ("registered", "ready", "quarantined", "deleted")
        for each in registry.search(f"name = 'm' and state = '{state}'")
    }
    assert listed == one_by_one == searched
    return listed
