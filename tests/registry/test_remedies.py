"""What the doctor says of a damage helps: done to the letter, all is well again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    StageTransitionError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import TrackedVersion
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
ROUNDS_AT_MOST = 6


def journal(registry: ModelRegistry, file: str) -> Path:
    storage = registry.storage
    assert isinstance(storage, LocalStorageNode)
    return storage.root / "models" / "m" / "_journal" / file


def shown(registry: ModelRegistry, version: str) -> TrackedVersion:
    found = registry.tracking.get_version("m", version)
    assert found is not None
    return found


def claim(registry: ModelRegistry) -> None:
    journal(registry, "claims/1.0.0.json").unlink()


def claim_and_seal(registry: ModelRegistry) -> None:
    claim(registry)
    journal(registry, "seals/1.0.0.json").unlink()


def seal(registry: ModelRegistry) -> None:
    journal(registry, "seals/1.0.0.json").unlink()


def tombstone(registry: ModelRegistry) -> None:
    registry.delete_version("m", "1.1.0", reason="wrong labels")
    journal(registry, "changes/00000002.json").unlink()


def alias_on_a_deleted_version(registry: ModelRegistry) -> None:
    registry.delete_version("m", "1.1.0", reason="wrong labels")
    number = shown(registry, "1.1.0").backend_version
    for alias in ("staging", "eu"):
        registry.tracking.set_alias("m", alias, number)


def version_gone_in_mlflow(registry: ModelRegistry) -> None:
    registry.tracking.remove_version(shown(registry, "1.0.0"))


def tag(registry: ModelRegistry) -> None:
    registry.tracking.update_version(shown(registry, "1.0.0"), stage="archived")


def marker(registry: ModelRegistry) -> None:
    journal(registry, "projected.json").unlink()


DAMAGES = (
    claim,
    claim_and_seal,
    seal,
    tombstone,
    alias_on_a_deleted_version,
    version_gone_in_mlflow,
    tag,
    marker,
)


def do_as_told(registry: ModelRegistry, told: str) -> None:
    """The last way out that a sentence names, as no backup is there."""
    alias = re.search("the alias '(.*?)' .* delete the alias in MLflow", told)
    delete = re.search(r"brixa model delete (\S+)@(\S+) --reason WHY", told)
    if alias:
        assert "it can't be adopted, because 1.1.0 is deleted" in told
        registry.tracking.set_alias("m", alias[1], None)
    elif "brixa model accept-losses NAME" in told:
        registry.accept_losses("m", reason="it is gone for good")
    elif "brixa doctor --fix" in told:
        registry.recover()
    elif delete:
        try:
            registry.delete_version("m", delete[2], reason="as the doctor says")
        except StageTransitionError as err:
            assert "archive this one first" in str(err)
            registry.transition("m", delete[2], "archived", reason="as I am told")
    elif "brixa doctor --rebuild-tracking" in told:
        registry.rebuild_tracking()
    else:
        pytest.fail(f"no remedy: {told}")


@pytest.mark.parametrize("alone", [False, True], ids=["beside another", "alone"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_who_does_what_the_doctor_says_has_a_sound_registry(
    registry: ModelRegistry,
    save: SaveVersion,
    tracking: MemoryTrackingStore,
    damage: Callable[[ModelRegistry], None],
    alone: bool,
) -> None:
    needs_two = damage in (tombstone, alias_on_a_deleted_version)
    save("m", "1.0.0")
    if needs_two or not alone:
        save("m", "1.1.0")
    registry.transition("m", "1.0.0", "production")
    damage(registry)
    again = ModelRegistry(registry.storage, tracking=tracking)
    assert again.check() != []
    for _ in range(ROUNDS_AT_MOST):
        for told in again.check()[:1]:
            do_as_told(again, told)
    assert again.check() == []
    assert ModelRegistry(again.storage, tracking=tracking).check() == []


def test_readers_say_why_production_does_not_answer(
    registry: ModelRegistry, save: SaveVersion, tracking: MemoryTrackingStore
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    registry.transition("m", "1.0.0", "production")
    claim_and_seal(registry)
    again = ModelRegistry(registry.storage, tracking=tracking)
    why = "^production is m 1.0.0: .*claims/1.0.0.json' is missing.*brixa model delete"
    for ask in (again.resolve, again.load_model, again.get_metadata):
        for spec in (None, "production"):
            with pytest.raises(DamagedArtifactError, match=why):
                ask("m", spec)
    with pytest.raises(VersionNotFoundError, match="answers to '3.0.0'"):
        again.resolve("m", "3.0.0")


def test_the_lineage_of_a_deleted_version_says_that_it_was_deleted(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    registry.delete_version("m", "1.0.0", reason="wrong labels")
    for _ in range(2):
        with pytest.raises(VersionNotFoundError, match="was deleted .*wrong labels"):
            registry.lineage("m", "1.0.0")
        journal(registry, "claims/1.0.0.json").unlink(missing_ok=True)


def test_a_difference_to_a_damaged_version_asks_for_no_bump(
    registry: ModelRegistry, save: SaveVersion, tracking: MemoryTrackingStore
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    journal(registry, "../1.1.0/config.json").write_bytes(b"{")
    again = ModelRegistry(registry.storage, tracking=tracking)
    diff = again.diff("m", "1.0.0", "1.1.0")
    assert (diff.bump, diff.schema_changes) == ("unknown", ())
    assert "unknown which bump, because of what is damaged: m 1.1.0" in str(diff)
    assert "config.json" in diff.bump_reason


def test_a_search_by_a_stage_says_of_whom_it_is_not_known(
    registry: ModelRegistry, save: SaveVersion, tracking: MemoryTrackingStore
) -> None:
    for name in ("m", "other"):
        save(name, "1.0.0")
        registry.transition(name, "1.0.0", "production")
    assert registry.search("stage = 'production'").doubts == ()
    journal(registry, "changes/00000001.json").unlink()
    again = ModelRegistry(registry.storage, tracking=tracking)
    found = again.search("stage = 'production'")
    assert [each.name for each in found] == ["other"]
    [doubt] = found.doubts
    assert "00000001.json can't be read, so nobody knows who is production" in doubt
    assert again.search("stage = 'archived'").doubts == ()
    assert again.search("stage = 'production' and name = 'other'").doubts == ()
