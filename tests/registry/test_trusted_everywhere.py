"""The policy holds wherever a version is loaded: through MLflow, and by replicas."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DamagedArtifactError, UntrustedArtifactError
from brixa_flows.pyfunc import _load_pyfunc
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing
from brixa_flows.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """This machine is strict and trusts ``ada``."""
    monkeypatch.setenv("BRXA_KEYS_PATH", str(tmp_path / "keys"))
    monkeypatch.setenv("BRXA_TRUST_POLICY", "strict")
    ring = KeyRing(tmp_path / "keys")
    ring.new("ada")
    return ring


@pytest.fixture
def in_mlflow(tracking_uri: str) -> Iterator[str]:
    """The process's own MLflow is that of the test."""
    mlflow.set_tracking_uri(tracking_uri)
    yield tracking_uri
    mlflow.set_tracking_uri(None)


def test_mlflow_loads_by_signature_where_the_policy_is_strict(
    keys: KeyRing, in_mlflow: str, classifier: Any, frame: Any, tmp_path: Path
) -> None:
    storage = LocalStorageNode(tmp_path / "storage")
    registry = ModelRegistry(storage, tracking_uri=in_mlflow)
    for _ in range(2):
        version = registry.register_model("m", "t", "sklearn").version
        registry.save_model("m", version, classifier, frame)
    registry.transition("m", "1.0.0", "production", reason="x")
    with pytest.raises(UntrustedArtifactError, match="strict asks"):
        mlflow.pyfunc.load_model("models:/m@production")
    registry.sign("m", "1.0.0", key="ada")
    loaded = mlflow.pyfunc.load_model("models:/m@production")
    assert list(loaded.predict(frame)) == list(classifier.predict(frame))
    models = storage.root / "models" / "m"
    shutil.copytree(models / "1.0.0", tmp_path / "copy")
    with pytest.raises(UntrustedArtifactError, match="beside the copy that MLflow"):
        _load_pyfunc(str(tmp_path / "copy"))
    shutil.rmtree(models / "1.0.1")
    shutil.copytree(models / "1.0.0", models / "1.0.1")
    with pytest.raises(DamagedArtifactError, match="m 1.0.1.*belongs to m 1.0.0"):
        _load_pyfunc(str(models / "1.0.1"))


def test_a_replica_that_may_not_load_says_why(
    keys: KeyRing, registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    strict = ModelRegistry(
        storage, tracking=registry.tracking, settings=BrixaSettings.load()
    )
    save("m")
    deployer = ModelDeployer(strict, storage)
    success, message = deployer.deploy("m", "1.0.0", "served", replicas=1)
    assert not success and "strict asks for a valid signature" in message
    assert deployer.list() == []
    strict.sign("m", "1.0.0", key="ada")
    success, message = deployer.deploy("m", "1.0.0", "served", replicas=1)
    assert success, message
    try:
        keys.revoke("ada", reason="stolen", actor="grace")
        pid = deployer.status("served").replicas[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert "ada, whose key is revoked" in _last_error(deployer)
    finally:
        deployer.delete("served")


def _last_error(deployer: ModelDeployer) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        told = deployer.status("served").last_error
        if told and "revoked" in told:
            break
        time.sleep(0.1)
    return told or ""
