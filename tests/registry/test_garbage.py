"""Delete puts a tombstone; only bytes that nothing refers to are removed, when asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brixa_flows.deployment import ModelDeployer
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

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

LOAD = "import sys, mlflow; mlflow.pyfunc.load_model(sys.argv[1])"
Save = Callable[..., Any]
DeployAs = Callable[..., None]


def files_of(registry: ModelRegistry, version: str = "1.0.0") -> Path:
    storage = registry.storage
    assert isinstance(storage, LocalStorageNode)
    return storage.root / "models" / "m" / version


def told(found: Any) -> list[tuple[str, str, bool]]:
    return [(each.kind, str(each.version), each.removed) for each in found]


@pytest.fixture
def deploy_as(storage: LocalStorageNode) -> DeployAs:
    """Write what the deployer would; ``deploy_as("api", "1.0.0", history=[...])``."""

    def call(deployment: str, version: str, **more: Any) -> None:
        content = {"model_name": "m", "version": version, **more}
        key = f"models/deployments/{deployment}/config.json"
        storage.delete(key)
        storage.create(key, json.dumps(content).encode())

    return call


def test_a_deleted_version_keeps_its_bytes_until_they_are_collected(
    registry: ModelRegistry, save: Save
) -> None:
    save("m")
    save("m")
    size = registry.get_metadata("m", "1.0.0").size_bytes
    registry.delete_version("m", "1.0.0", reason="old")
    assert registry.recover() == []
    [found] = registry.collect_garbage()
    assert (found.key, found.removed) == ("models/m/1.0.0", False)
    assert found.size_bytes > (size or 0)  # the manifest itself counts too
    assert found.reason == "m 1.0.0 was deleted"
    assert files_of(registry).exists()
    assert told(registry.collect_garbage(remove=True)) == [("files", "1.0.0", True)]
    assert not files_of(registry).exists()
    assert registry.collect_garbage(remove=True) == []
    assert registry.get_metadata("m", "1.0.0").state == "deleted"
    registry.load_model("m", "1.0.1")
    assert registry.recover() == []


@pytest.mark.parametrize("collected", [False, True])
def test_a_deleted_number_is_never_used_again(
    registry: ModelRegistry, save: Save, collected: bool
) -> None:
    save("m")
    registry.register_model("m", "t", version="1.0.1")
    for version in ("1.0.1", "1.0.0"):
        registry.delete_version("m", version, actor="ann", reason="wrong data")
    if collected:
        registry.collect_garbage(remove=True)
    for version in ("1.0.0", "1.0.1", "1.0.1+again"):
        with pytest.raises(VersionExistsError) as caught:
            registry.register_model("m", "t", version=version)
        told = r"was deleted on 20\d\d-\d\d-\d\d .* UTC by ann \(wrong data\)"
        assert re.search(told, str(caught.value))
        assert "the next number is 1.0.2;" in str(caught.value)
    assert str(registry.register_model("m", "t").version) == "1.0.2"


def test_what_serves_is_not_deleted(
    registry: ModelRegistry, save: Save, deploy_as: DeployAs
) -> None:
    save("m")
    save("m")
    registry.transition("m", "1.0.1", "production")
    with pytest.raises(StageTransitionError, match="production"):
        registry.delete_version("m", "1.0.1", force=True)
    deploy_as("api", "1.0.0")
    for force in (False, True):
        with pytest.raises(VersionInUseError, match="api serves it; deploy another"):
            registry.delete_version("m", "1.0.0", force=force)
    deploy_as("api", "1.0.1", canary={"model_name": "m", "version": "1.0.0"})
    with pytest.raises(VersionInUseError, match="api serves it"):
        registry.delete_version("m", "1.0.0", force=True)


def test_what_a_deployment_may_return_to_goes_only_by_force_and_keeps_its_bytes(
    registry: ModelRegistry, save: Save, deploy_as: DeployAs
) -> None:
    save("m")
    save("m")
    earlier = [{"model_name": "m", "version": "1.0.0"}]
    deploy_as("api", "1.0.1", history=earlier)
    with pytest.raises(VersionInUseError, match="api may roll back to it.*force"):
        registry.delete_version("m", "1.0.0")
    registry.delete_version("m", "1.0.0", force=True)
    [kept] = registry.collect_garbage(remove=True)
    assert (kept.kept_by, kept.removed) == (("api",), False)
    assert str(kept).endswith("kept as long as the deployment api names it")
    assert files_of(registry).exists()
    deploy_as("api", "1.0.1")
    assert told(registry.collect_garbage(remove=True)) == [("files", "1.0.0", True)]


def test_a_deployment_of_the_deployer_is_seen_and_may_go(
    tmp_path: Path, tracking_uri: str, classifier: Any
) -> None:
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    registry.register_model("m", "t")
    registry.save_model("m", "1.0.0", classifier)
    deployer = ModelDeployer(registry)
    good, said = deployer.deploy("m", name="api")
    assert good, said
    try:
        with pytest.raises(VersionInUseError, match="api serves it"):
            registry.delete_version("m", "1.0.0")
    finally:
        deployer.delete("api")
    registry.delete_version("m", "1.0.0")
    shown = registry.tracking.get_version("m", "1.0.0")
    assert shown is not None
    assert shown.facts["brixa.state"] == "deleted"
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            LOAD,
            f"models:/m/{shown.backend_version}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri},
    )
    assert "1.0.0 was deleted" in done.stderr
    assert done.returncode == 1


def test_a_deployment_that_nobody_can_read_keeps_everything(
    registry: ModelRegistry, storage: LocalStorageNode, save: Save
) -> None:
    save("m")
    save("m")
    registry.delete_version("m", "1.0.0")
    storage.create("models/deployments/api/config.json", b"{")
    with pytest.raises(DamagedArtifactError, match="api/config.json.*nobody knows"):
        registry.delete_version("m", "1.0.1")
    with pytest.raises(DamagedArtifactError, match="api/config.json.*nobody knows"):
        registry.collect_garbage(remove=True)
    assert files_of(registry).exists()


def test_what_another_model_needs_goes_only_by_force(
    registry: ModelRegistry, save: Save
) -> None:
    save("m")
    save("m", "2.0.0")
    save("m", "2.1.0")
    save("fraud", dependencies=["m@^2"])
    registry.delete_version("m", "1.0.0")
    registry.delete_version("m", "2.0.0")
    with pytest.raises(VersionInUseError, match=r"fraud 1.0.0 \(m@\^2\); save another"):
        registry.delete_version("m", "2.1.0")
    registry.delete_version("m", "2.1.0", force=True)


def test_files_that_were_never_those_of_their_number_are_garbage(
    registry: ModelRegistry, save: Save
) -> None:
    save("m")
    shutil.copytree(files_of(registry), files_of(registry, "3.0.0"))
    (files_of(registry).parent / "3.0.0_sig.json").write_text("{}")
    (files_of(registry).parent / "notes").mkdir()
    (files_of(registry).parent / "notes" / "mine.txt").write_text("x")
    found = registry.collect_garbage(remove=True)
    assert told(found) == [("files", "3.0.0", True), ("signatures", "3.0.0", True)]
    assert (files_of(registry).parent / "notes" / "mine.txt").exists()
    registry.verify("m", "1.0.0")


def test_only_what_is_old_enough_is_found(registry: ModelRegistry, save: Save) -> None:
    save("m")
    save("m")
    registry.delete_version("m", "1.0.0")
    registry.register_model("m", "t")
    day = timedelta(days=1)
    assert registry.collect_garbage(older_than=day, registered_older_than=day) == []
    now = timedelta(0)
    found = registry.collect_garbage(older_than=now, registered_older_than=now)
    assert told(found) == [("files", "1.0.0", False), ("number", "1.0.2", False)]
    for wrong in ({"older_than": -day}, {"registered_older_than": -day}):
        with pytest.raises(InvalidMetadataError, match="a time that passed"):
            registry.collect_garbage(**wrong)


def test_a_number_that_was_never_saved_is_given_up_when_asked(
    registry: ModelRegistry, save: Save, classifier: Any
) -> None:
    save("m")
    registry.register_model("m", "t")
    assert registry.collect_garbage(remove=True) == []
    with pytest.raises(ModelNotSavedError):
        registry.load_model("m", "1.0.1")
    [given_up] = registry.collect_garbage(
        remove=True, registered_older_than=timedelta(0), actor="ann"
    )
    assert (given_up.kind, given_up.removed) == ("number", True)
    assert "never saved" in str(given_up)
    with pytest.raises(VersionNotFoundError, match="was deleted"):
        registry.save_model("m", "1.0.1", classifier)
    assert str(registry.register_model("m", "t").version) == "1.0.2"


def test_a_save_under_way_is_left_alone(registry: ModelRegistry, save: Save) -> None:
    save("m")
    registry.register_model("m", "t")
    version = registry.get_metadata("m", "1.0.1").version
    shutil.copytree(files_of(registry), files_of(registry, "3.0.0"))
    leases, never = registry._backends.leases, timedelta(0)
    other = type(version).parse("3.0.0")
    with leases.hold("m", version), leases.hold("m", other):
        assert registry.collect_garbage(remove=True, registered_older_than=never) == []
    found = registry.collect_garbage(remove=True, registered_older_than=never)
    assert told(found) == [("files", "3.0.0", True), ("number", "1.0.1", True)]


def test_what_is_no_garbage_any_more_is_not_removed(
    registry: ModelRegistry, save: Save, deploy_as: DeployAs
) -> None:
    """Between the listing and the removal somebody claims the number, or deploys."""
    from brixa_flows.registry.upkeep.garbage import Collector

    save("m")
    save("m")
    registry.delete_version("m", "1.0.0")
    shutil.copytree(files_of(registry), files_of(registry, "3.0.0"))
    collector = Collector(registry._backends, registry._reader)
    found = collector.find()
    assert len(found) == 2
    copied = files_of(registry, "3.0.0")
    copied.rename(copied.with_name("aside"))
    registry.register_model("m", "t", version="3.0.0")
    copied.with_name("aside").rename(copied)
    deploy_as("api", "1.0.1", history=[{"model_name": "m", "version": "1.0.0"}])
    assert [each.removed for each in collector.remove(found, None)] == [False, False]
    assert files_of(registry).exists()
    assert files_of(registry, "3.0.0").exists()


KILLED = """
import os, sys, signal
from brixa_flows.storage.local import LocalStorageNode
storage = LocalStorageNode(sys.argv[1])
with storage.staging() as folder:
    (folder / "half").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_dead_process_left_half_written_is_garbage(
    registry: ModelRegistry, storage: LocalStorageNode, save: Save
) -> None:
    save("m")
    subprocess.run([sys.executable, "-c", KILLED, str(storage.root)], timeout=60)
    [staged] = (storage.root / ".brixa" / "tmp").iterdir()
    changed = time.time() - 60
    for path in (staged / "half", staged):
        os.utime(path, (changed, changed))
    with storage.staging() as living:
        deadline = time.monotonic() + 30
        while not (found := registry.collect_garbage()):
            assert time.monotonic() < deadline
            time.sleep(0.2)  # it counts as abandoned some seconds after it was made
        assert [(each.kind, each.size_bytes) for each in found] == [("staging", 1000)]
        [gone] = registry.collect_garbage(remove=True)
        assert gone.removed
        assert living.exists()
    assert not staged.exists()


def test_deleting_and_collecting_at_once_harm_nobody(
    registry: ModelRegistry, save: Save
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(6):
        save("m")
    old = [f"1.0.{patch}" for patch in range(5)]
    with ThreadPoolExecutor(4) as pool:
        for version in old:
            pool.submit(registry.delete_version, "m", version)
            pool.submit(registry.collect_garbage, remove=True)
    registry.collect_garbage(remove=True)
    assert [files_of(registry, version).exists() for version in old] == [False] * 5
    registry.verify("m", "1.0.5")
    assert registry.collect_garbage() == []
    assert registry.recover() == []


def test_what_is_kept_of_windows_goes_with_the_deleted_version(
    registry: ModelRegistry, save: Save
) -> None:
    save("m")
    save("m")
    folder = registry.layout.windows_prefix("m")
    keys = [f"{folder}/{version}/m/march.parquet" for version in ("1.0.0", "1.0.1")]
    for key in keys:
        registry.storage.create(key, b"a profile")
    assert registry.collect_garbage() == []
    registry.delete_version("m", "1.0.0", reason="old")
    done = told(registry.collect_garbage(remove=True))
    assert done == [("files", "1.0.0", True), ("windows", "1.0.0", True)]
    there = [registry.storage.stat(key) is not None for key in keys]
    assert there == [False, True]
