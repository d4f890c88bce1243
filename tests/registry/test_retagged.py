"""What somebody changes or removes by hand in MLflow of what is ours is told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from brixa_flows.errors import DamagedArtifactError, TrackingError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import tags
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion
from tests.registry.mlflow_picture import picture_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
BORN = (
    tags.FRAMEWORK,
    tags.MODEL_TYPE,
    tags.TRAINING_RUN,
    tags.FLOW_RUN,
    tags.EXTERNAL_URI,
    tags.CODE_COMMIT,
)
OF_VERSION = (*BORN, tags.STAGE, tags.STATE, tags.DIGEST)
OF_RUN = (*BORN, tags.MODEL, tags.VERSION)


@pytest.fixture
def saved(storage: LocalStorageNode, tracking_uri: str) -> ModelRegistry:
    """Model ``m`` with 1.0.0 in production and 1.1.0."""
    registry = ModelRegistry(storage, tracking_uri=tracking_uri)
    for version in ("1.0.0", "1.1.0"):
        registry.register_model("m", "t", "pickle", version=version, owner="ada")
        registry.save_model("m", version, {"rule": version})
    registry.transition("m", "1.0.0", "production")
    return registry


@pytest.fixture
def client(tracking_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri, tracking_uri)


def run_id(client: MlflowClient) -> str:
    """Of version 1.0.0."""
    return str(client.get_model_version("m", "1").run_id)


@pytest.mark.parametrize("removed", [False, True], ids=["changed", "removed"])
def test_every_tag_of_ours_that_is_changed_by_hand_is_told_and_set_back(
    saved: ModelRegistry, client: MlflowClient, tracking_uri: str, removed: bool
) -> None:
    assert saved.check() == []
    before = picture_of(tracking_uri, "m")
    run = run_id(client)
    shown = client.get_model_version("m", "1").tags, client.get_run(run).data.tags
    changed = [
        [key for key in keys if key in there or not removed]
        for keys, there in zip((OF_VERSION, OF_RUN), shown, strict=True)
    ]
    for key in changed[0]:
        if removed:
            client.delete_model_version_tag("m", "1", key)
        else:
            client.set_model_version_tag("m", "1", key, "by hand")
    for key in changed[1]:
        client.delete_tag(run, key) if removed else client.set_tag(run, key, "by hand")
    [told] = saved.check()
    is_now = "missing" if removed else "'by hand'"
    for key in changed[0]:
        assert f"the tag {key} is {is_now} and was " in told
    for key in changed[1]:
        assert f"the tag {key} of its run is {is_now} and was " in told
    assert told.endswith("brixa doctor --rebuild-tracking sets it back")
    assert saved.recover() == []
    [action] = saved.rebuild_tracking()
    assert "set back: the tag brixa.framework is" in action.detail
    assert saved.check() == [] == saved.rebuild_tracking()
    assert picture_of(tracking_uri, "m") == before


def test_owner_and_custom_are_mlflows_to_say(
    saved: ModelRegistry, client: MlflowClient
) -> None:
    client.set_model_version_tag("m", "1", tags.OWNER, "grace")
    client.set_model_version_tag("m", "1", tags.CUSTOM, "no JSON")
    assert saved.check() == []
    assert [each.action for each in saved.recover()] == ["metadata followed"]
    known = saved.get_metadata("m", "1.0.0")
    assert (known.owner, known.custom) == ("grace", {"raw": "no JSON"})


def test_another_recorded_digest_is_told_with_what_helps(
    saved: ModelRegistry, client: MlflowClient
) -> None:
    client.set_tag(run_id(client), tags.DIGEST, "sha256:other")
    with pytest.raises(DamagedArtifactError, match="sha256:other was recorded"):
        saved.load_model("m", "1.0.0")
    [told] = saved.check()
    assert "so nothing of it loads: if somebody replaced the files" in told
    right = re.search(r"set it to (\S+) in MLflow$", told)
    assert right
    client.set_tag(run_id(client), tags.DIGEST, right[1])
    assert saved.check() == []
    saved.load_model("m", "1.0.0")


@pytest.mark.parametrize("version", ["by hand", "1.1.0", "9.9.9"])
def test_a_version_whose_own_tag_is_another_one_is_told_and_made_anew(
    saved: ModelRegistry, client: MlflowClient, version: str
) -> None:
    client.set_model_version_tag("m", "1", tags.VERSION, version)
    assert "does not have m 1.0.0, which storage has" in saved.check()[0]
    saved.rebuild_tracking()
    [told] = saved.check()
    why = "so has its version 2" if version == "1.1.0" else "no such number"
    assert f"version 1 of MLflow's own has the tag brixa.version {version!r}" in told
    assert why in told
    saved.load_model("m", "1.1.0")
    client.delete_model_version("m", "1")
    assert saved.check() == []


def test_an_alias_moved_by_hand_is_told_while_mlflow_lacks_another_version(
    registry: ModelRegistry, save: SaveVersion, tracking: MemoryTrackingStore
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        save("m", version)
    registry.transition("m", "1.0.0", "production")
    registry.set_alias("m", "eu", "1.2.0")
    there = {each.version: each for each in tracking.list_versions("m")}
    tracking.set_alias("m", "production", there["1.1.0"].backend_version)
    tracking.remove_version(there["1.2.0"])
    lost, moved = registry.check()
    assert "does not have m 1.2.0, which storage has" in lost
    assert "'production' is on 1.1.0 in MLflow, and on 1.0.0 by the journal" in moved
    rebuilt, shown = registry.rebuild_tracking()
    assert str(rebuilt.version) == "1.2.0"
    assert shown.detail == (
        "eu is on 1.2.0, was on no version; production is on 1.0.0, was on 1.1.0"
    ), "who moved it sees that it was undone"
    assert registry.check() == []


def restore(registry: ModelRegistry, client: MlflowClient, run: str) -> None:
    client.restore_run(run)


def rebuild(registry: ModelRegistry, client: MlflowClient, run: str) -> None:
    [made, shown] = registry.rebuild_tracking()
    assert (str(made.version), made.detail) == ("1.0.0", "nobody vouches for it")
    assert shown.detail == "", "the alias is where it was"
    [told] = registry.check()
    assert "recorded no digest of 1.0.0" in told
    registry.trust_all(actor="ada", reason="as the doctor says")


@pytest.mark.parametrize("mend", [restore, rebuild])
def test_a_run_that_was_deleted_in_mlflow_is_told_by_all_with_what_helps(
    saved: ModelRegistry,
    client: MlflowClient,
    mend: Callable[[ModelRegistry, MlflowClient, str], None],
) -> None:
    saved.log_metrics("m", "1.0.0", {"f1": 0.5})
    run = run_id(client)
    client.delete_run(run)
    [told] = saved.check()
    assert f"m 1.0.0: its run {run} was deleted in the MLflow backend" in told
    assert f"mlflow runs restore --run-id {run} brings it back" in told
    assert "brixa doctor --rebuild-tracking makes another one" in told
    with pytest.raises(TrackingError, match=f"runs restore --run-id {run}"):
        saved.log_metrics("m", "1.0.0", {"f1": 0.75})
    mend(saved, client, run)
    assert saved.check() == []
    assert saved.get_metadata("m", "1.0.0").metrics == {"f1": 0.5}
    saved.log_metrics("m", "1.0.0", {"f1": 0.75})
    saved.load_model("m", "production")
    assert client.get_model_version_by_alias("m", "production").tags[tags.STAGE]
