"""What a save and a load cost, and what their shortcuts may never cost."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import event

from brixa_flows.errors import UntrustedArtifactError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function of MLflow's client is called."""
    calls: Counter[str] = Counter()

    def counted(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        return call

    for name in dir(MlflowClient):
        if not name.startswith("_"):
            original = getattr(MlflowClient, name)
            monkeypatch.setattr(MlflowClient, name, counted(name, original))
    return calls


def sql_of(registry: ModelRegistry) -> list[str]:
    """What the embedded database is asked from now on."""
    statements: list[str] = []
    store: Any = registry.tracking
    event.listen(
        store._client._tracking_client.store.engine,
        "before_cursor_execute",
        lambda _, cursor, statement, *rest: statements.append(statement),
    )
    return statements


def test_register_save_and_load_ask_mlflow_nothing_twice(
    storage: LocalStorageNode, classifier: Any, asked: Counter[str]
) -> None:
    registry = ModelRegistry(storage)
    for known in ({"search_model_versions": 1}, {}):  # which numbers it alone knows
        asked.clear()  # the first makes database, experiment and registered model
        version = registry.register_model("m", "t", "sklearn").version
        assert asked == known
        asked.clear()
        saved = registry.save_model("m", version, classifier)
    assert asked == dict.fromkeys(
        ["get_experiment_by_name", "search_runs", "create_run", "get_run"]
        + ["search_model_versions", "log_artifact", "create_model_version"],
        1,
    )
    registry.load_model("m")  # the first one asks which experiment is the model's
    asked.clear()
    statements = sql_of(registry)
    registry.load_model("m")
    assert asked == {}
    assert len(statements) == 1
    assert registry.get_metadata("m") == saved


def test_a_run_that_somebody_deleted_vouches_for_nothing(
    storage: LocalStorageNode, classifier: Any
) -> None:
    registry = ModelRegistry(storage)
    registry.register_model("m", "t", "sklearn")
    run_id = registry.save_model("m", "1.0.0", classifier).run_id
    client = MlflowClient(f"sqlite:///{storage.root}/models/_meta/mlflow.db")
    client.delete_run(run_id)
    with pytest.raises(UntrustedArtifactError):
        registry.load_model("m")
    client.restore_run(run_id)
    registry.load_model("m")


def test_only_what_can_be_made_anew_is_not_forced_to_the_device(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    classifier: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each object the file and its directory are synced, before the seal."""
    synced: list[str] = []
    original = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        original(descriptor)

    registry.register_model("other", "t", "sklearn")  # the folders are there
    registry.register_model("m", "t", "sklearn")
    monkeypatch.setattr(os, "fsync", fsync)
    registry.save_model("m", "1.0.0", classifier)
    root = storage.root / "models" / "m"
    seals = synced.index(str(root / "_journal" / "seals"))
    files = {Path(path).name for path in synced[:seals] if "/.brixa/tmp/" in path}
    assert files >= {path.name for path in (root / "1.0.0").iterdir()}
    assert synced.index(str(root)) < seals  # the rename of the version
    folders = {path for path in synced if "/.brixa/" not in path}
    assert str(root / "_journal" / "saves") not in folders
    assert str(storage.root / "models" / "_meta") not in folders


@pytest.mark.parametrize("left", [b"", b'{"models": {"other"'])
def test_a_lease_and_an_index_that_a_power_cut_damaged_stop_nobody(
    left: bytes, registry: ModelRegistry, storage: LocalStorageNode, classifier: Any
) -> None:
    for name in ("other", "m"):
        registry.register_model(name, "t", "sklearn")
    index = storage.root / "models" / "_meta" / "_registry.json"
    for name in ("m", "other"):
        lease = storage.root / "models" / name / "_journal" / "saves" / "1.0.0.json"
        lease.parent.mkdir()
        lease.write_bytes(left)
    index.write_bytes(left)
    registry.save_model("m", "1.0.0", classifier)
    listed = json.loads(index.read_bytes())["models"]
    assert {name: each["ready"] for name, each in listed.items()} == {
        "m": 1,
        "other": 0,
    }
    registry.recover()
    assert not list((storage.root / "models").glob("*/_journal/saves/*"))
    assert registry.recover() == []
