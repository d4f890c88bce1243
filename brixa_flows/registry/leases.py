"""One save at a time for a version, and what is left of a process that died in one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

import psutil

from brixa_flows.errors import (
    DamagedArtifactError,
    ObjectNotFoundError,
    StaleWriteError,
    VersionExistsError,
)
from brixa_flows.registry.layout import Layout
from brixa_flows.registry.records import Lease, new_id, now, parse_record
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Leases", "this_host"]

ELSEWHERE_EXPIRES_AFTER = timedelta(hours=6)
_SAME_START_WITHIN_SECONDS = 2.0


@cache
def this_host() -> str:
    """Names what shares our process ids: machine, its boot, and pid namespace."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "/".join(parts)


class Leases:
    """Leases of saves under way.

    A lease ends with the save, with the life of its process (where that can be seen
    from here), or after six hours.

    Args:
        storage: Where they are kept.
        layout: Under which keys.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout

    @contextmanager
    def hold(self, name: str, version: ModelVersion) -> Iterator[None]:
        """Keep others from saving the version meanwhile.

        Raises:
            VersionExistsError: If somebody is saving it.
        """
        lease = Lease(
            id=new_id(),
            host=this_host(),
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            expires_at=now() + ELSEWHERE_EXPIRES_AFTER,
        )
        self._take(name, version, lease)
        try:
            yield
        finally:
            self._release(name, version, lease)

    def alive(self, name: str, version: ModelVersion) -> Lease | None:
        """The lease of a save that is still under way, if there is one."""
        lease, _ = self._read(name, version)
        return lease if lease is not None and _is_alive(lease) else None

    def drop_dead(self, name: str, version: ModelVersion) -> bool:
        """Remove the lease of a dead process; says whether there was one."""
        lease, etag = self._read(name, version)
        if etag is None or (lease is not None and _is_alive(lease)):
            return False
        self._storage.delete(self._key(name, version))
        return True

    def _take(self, name: str, version: ModelVersion, lease: Lease) -> None:
        held, etag = self._read(name, version)
        if held is None or not _is_alive(held):
            try:
                self._storage.replace(
                    self._key(name, version),
                    lease.to_bytes(),
                    etag=etag,
                    durable=False,  # no power cut leaves its process alive
                )
                return
            except StaleWriteError:
                held, _ = self._read(name, version)
        by = "somebody else" if held is None else f"process {held.pid} ({held.host})"
        raise VersionExistsError(name, version, f"is being saved right now by {by}")

    def _release(self, name: str, version: ModelVersion, lease: Lease) -> None:
        held, _ = self._read(name, version)
        if held is not None and held.id == lease.id:
            self._storage.delete(self._key(name, version), durable=False)

    def _read(
        self, name: str, version: ModelVersion
    ) -> tuple[Lease | None, str | None]:
        """The lease, ``None`` if it is damaged, and its etag, ``None`` without one."""
        try:
            data, etag = self._storage.read(self._key(name, version))
        except ObjectNotFoundError:
            return None, None
        try:
            return parse_record(self._key(name, version), data, Lease), etag
        except DamagedArtifactError:  # a power cut took a part of it, and its process
            return None, etag

    def _key(self, name: str, version: ModelVersion) -> str:
        return self._layout.entry_key(name, "saves", version)


def _is_alive(lease: Lease) -> bool:
    if lease.host != this_host():
        return now() < lease.expires_at
    try:
        started = psutil.Process(lease.pid).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's, which some systems don't let us see
        return now() < lease.expires_at
    apart_seconds = abs(float(started) - lease.process_started)
    return apart_seconds < _SAME_START_WITHIN_SECONDS
