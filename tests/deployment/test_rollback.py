"""A rollback of a deployment passes over what can't be served any more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from deployment_world import save_version
from tiny_models import Constant

from brixa_flows.deployment import ModelDeployer
from brixa_flows.deployment.config import (
    DeploymentConfig,
    DeploymentSpec,
    RolledOut,
    make_spec,
)
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import DeploymentError
from brixa_flows.registry import ModelRegistry


def spec_of(registry: ModelRegistry, version: str) -> DeploymentSpec:
    return make_spec(
        registry.settings,
        model_name="old",
        version=version,
        replicas=1,
        resources=None,
        env_vars=None,
        autoscaling=None,
    )


def test_deleted_versions_are_passed_over_and_told(
    registry: ModelRegistry, deployer: ModelDeployer, caplog: pytest.LogCaptureFixture
) -> None:
    versions = ("1.0.0", "1.1.0", "1.2.0")
    for version in versions:
        save_version(registry, "old", Constant(1.0), version=version)
    one, two, three = (spec_of(registry, version) for version in versions)
    now = datetime.now(UTC)
    config = DeploymentConfig(
        name="unserved",
        engine="local",
        host="127.0.0.1",
        created_at=now,
        updated_at=now,
        rolled_out=RolledOut(event_id="1", at=now),
        history=(one, two),
        **{field: getattr(three, field) for field in DeploymentSpec.model_fields},
    )
    store = DeploymentStore(registry.storage, registry.layout.deployments_prefix)
    store.put(config, None)
    try:
        registry.delete_version("old", "1.1.0", force=True)
        assert deployer._usable_history(config) == (one,)
        assert "passes over old 1.1.0: " in caplog.text
        registry.delete_version("old", "1.0.0", force=True)
        with pytest.raises(
            DeploymentError, match="1.0.0 was deleted.*deploy a version"
        ):
            deployer.rollback("unserved")
        kept = {str(each.version): each.kept_by for each in registry.collect_garbage()}
        assert kept == {"1.0.0": ("unserved",), "1.1.0": ("unserved",)}
    finally:
        store.remove("unserved")
