"""Who holds a lease: a process that runs, or one that renewed it a moment ago."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import psutil
import pytest

from brixa_flows.errors import VersionExistsError
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.facts.records import Lease, new_id, now, parse_record
from brixa_flows.registry.journal import leases
from brixa_flows.registry.journal.leases import this_host
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.versioning import ModelVersion

FIRST = ModelVersion(1, 0, 0)
KEY = "models/m/_journal/saves/1.0.0.json"
ELSEWHERE = "other-machine/boot/pid:[1]"


def written(storage: LocalStorageNode, minutes: float, **facts: object) -> Lease:
    """A lease that was left, to expire in some minutes."""
    lease = Lease.model_validate(
        {
            "id": new_id(),
            "host": this_host(),
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "expires_at": now() + timedelta(minutes=minutes),
            **facts,
        }
    )
    storage.create(KEY, lease.to_bytes())
    return lease


@pytest.mark.parametrize(
    ("minutes", "facts", "alive"),
    [
        (-60, {}, True),  # it runs, whatever keeps it from renewing
        (2, {"process_started": 1.0}, False),  # another process had that number
        (2, {"pid": 2**22 + 1}, False),
        (2, {"host": ELSEWHERE}, True),
        (-1, {"host": ELSEWHERE}, True),  # its clock may be behind
        (-3, {"host": ELSEWHERE}, False),
    ],
)
def test_a_lease_ends_with_its_process_or_minutes_after_its_machine(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    minutes: float,
    facts: dict[str, object],
    alive: bool,
) -> None:
    registry.register_model("m", "t", "pickle")
    written(storage, minutes, **facts)
    held = registry._backends.leases.alive("m", FIRST)
    assert (held is not None) == alive
    assert [version for version, _ in registry._backends.leases.dead("m")] == (
        [] if alive else [FIRST]
    )
    if alive:
        assert registry.check() == []
        assert registry.recover() == []
        with pytest.raises(VersionExistsError, match="is being saved right now"):
            registry.save_model("m", "1.0.0", {"rule": 1})
        return
    [told] = registry.check()
    assert "brixa doctor --fix" in told
    assert f"process {facts.get('pid', os.getpid())}" in told
    assert [each.action for each in registry.recover()] == ["discarded"]
    assert registry.check() == []


def test_a_lease_is_renewed_while_it_is_held_and_known_to_be_lost(
    registry: ModelRegistry, storage: LocalStorageNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY_SECONDS", 0.01)
    renewed = threading.Event()
    replace = storage.replace

    def noticed(key: str, data: bytes, **facts: object) -> str:
        renewed.set()
        return replace(key, data, **facts)  # type: ignore[arg-type]

    with registry._backends.leases.hold("m", FIRST) as held:
        monkeypatch.setattr(storage, "replace", noticed)
        assert renewed.wait(10)
        assert held.still_ours()
        monkeypatch.setattr(leases, "RENEWED_EVERY_SECONDS", 1000.0)
        storage.delete(KEY)
        other = written(storage, 1)
        assert not held.still_ours()
    assert parse_record(KEY, storage.read(KEY)[0], Lease) == other, "left alone"
