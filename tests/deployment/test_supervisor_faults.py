"""What fails unexpectedly in a supervisor is told, and the supervisor goes on."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from brixa_flows.deployment.engines import supervisor as module
from brixa_flows.deployment.engines.runtime import RuntimeFolder
from brixa_flows.deployment.engines.supervisor import Supervisor
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.storage.base import StoredObject
from brixa_flows.storage.local import LocalStorageNode


class _OnFire(LocalStorageNode):
    """Fails in a way that no storage node should, while it is on fire."""

    on_fire = True

    def stat(self, key: str) -> StoredObject | None:
        if self.on_fire:
            raise RuntimeError("the disk is on fire")
        return super().stat(key)


@pytest.fixture
def storage(tmp_path: Path) -> _OnFire:
    return _OnFire(tmp_path / "storage")


@pytest.fixture
def supervisor(
    tmp_path: Path, storage: _OnFire, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Of a deployment that nobody wants, so that it ends by itself when it looks."""
    monkeypatch.setattr(module, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_AUTOSCALE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_GONE_SECONDS", 0.05)
    runtime = RuntimeFolder(tmp_path / "runtime")
    runtime.make()
    store = DeploymentStore(storage, "models/deployments")
    with socket.socket() as listening:
        yield lambda: Supervisor("d", store, runtime, listening.fileno())


async def _last_error(supervisor: Supervisor) -> str:
    for _ in range(500):
        answer = await supervisor._answer({"token": supervisor._token, "op": "status"})
        if answer["result"]["last_error"]:
            return str(answer["result"]["last_error"])
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was told")


def test_a_look_around_that_fails_is_told_and_the_next_one_works(
    supervisor: Any, storage: _OnFire, caplog: pytest.LogCaptureFixture
) -> None:
    async def live() -> str:
        living = supervisor()
        running = asyncio.create_task(living.run())
        told = await _last_error(living)
        await asyncio.sleep(0.2)
        assert not running.done()
        storage.on_fire = False
        await asyncio.wait_for(running, 10)
        return told

    with caplog.at_level(logging.ERROR):
        told = asyncio.run(live())
    assert told == (
        "the supervisor failed in look_around: RuntimeError('the disk is on fire')"
    )
    assert [record.message for record in caplog.records] == [told]
    assert caplog.records[0].exc_info is not None


def test_an_autoscaling_that_fails_is_told_and_tried_again(
    supervisor: Any, storage: _OnFire, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def fail(self: Supervisor) -> None:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError("no core")

    fail.__name__ = "_autoscale"
    monkeypatch.setattr(Supervisor, "_autoscale", fail)
    monkeypatch.setattr(module, "_GONE_SECONDS", 0.5)
    storage.on_fire = False

    async def live() -> str:
        living = supervisor()
        running = asyncio.create_task(living.run())
        told = await _last_error(living)
        await asyncio.wait_for(running, 10)
        return told

    told = asyncio.run(live())
    assert told == "the supervisor failed in autoscale: ZeroDivisionError('no core')"
    assert tries > 2


def test_what_a_process_prints_is_bounded_while_it_writes_on(tmp_path: Path) -> None:
    runtime = RuntimeFolder(tmp_path)
    runtime.make()
    printed = runtime.log_path / "replica-0.out"
    with printed.open("ab", buffering=0) as out:
        out.write(b"x" * (5 * 1024 * 1024))
        runtime.bound_printed()
        assert printed.stat().st_size == 5 * 1024 * 1024
        out.write(b"x")
        runtime.bound_printed()
        out.write(b"after")
    assert printed.read_bytes() == b"after"
