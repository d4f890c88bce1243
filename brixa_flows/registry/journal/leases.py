"""One save at a time for a version, and what is left of a process that died in one.

A lease is renewed by a thread for as long as it is held, so that one left behind by a
machine that went away ends after minutes. It is a promise and no lock: a process that
was stopped may wake after another took over. Therefore it asks ``confirm()`` before it
makes anything visible, and what is decided there is a conditional create.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

import psutil

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidVersionError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
    UnsafeKeyError,
    VersionExistsError,
)
from brixa_flows.registry.facts.damage import LINK, damaged_record
from brixa_flows.registry.facts.records import Lease, new_id, now, parse_record
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import Listings
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["HeldLease", "Leases", "this_host"]

VALID_FOR = timedelta(minutes=3)
RENEWED_EVERY_SECONDS = 30.0
CLOCKS_APART_AT_MOST = timedelta(minutes=2)
_SAME_START_WITHIN_SECONDS = 2.0
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
_LOG = logging.getLogger(__name__)


@cache
def this_host() -> str:
    """Names what shares our process ids: machine, its boot, and pid namespace."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "/".join(parts)


class HeldLease:
    """A lease in our hands.

    Args:
        storage: Where it is kept.
        key: Under which key.
        lease: What was written.
        etag: Of what was written.
    """

    def __init__(self, storage: StorageNode, key: str, lease: Lease, etag: str) -> None:
        self.lease = lease
        self._storage = storage
        self._key = key
        self._etag = etag
        self._lost = False
        self._lock = threading.Lock()
        self._done = threading.Event()

    def still_ours(self) -> bool:
        """Renew it; ``False`` once another process took over.

        Raises:
            StorageError: If that can't be found out.
        """
        with self._lock:
            if self._lost:
                return False
            renewed = self.lease.model_copy(update={"expires_at": now() + VALID_FOR})
            data = renewed.to_bytes()
            try:
                self._etag = self._storage.replace(
                    self._key, data, etag=self._etag, durable=False
                )
            except StaleWriteError:
                self._lost = True
            return not self._lost

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Renew it from a thread meanwhile."""
        threading.Thread(target=self._beat, name="brixa-lease", daemon=True).start()
        try:
            yield
        finally:
            self._done.set()

    def _beat(self) -> None:
        while not self._done.wait(RENEWED_EVERY_SECONDS):
            try:
                if not self.still_ours():
                    return
            except StorageError as err:  # the storage may be back the next time
                _LOG.warning("the lease %s could not be renewed: %s", self._key, err)


class Leases:
    """Leases of saves under way.

    A lease ends with the save, with the life of its process (where that can be seen
    from here), or minutes after it was renewed last.

    Args:
        storage: Where they are kept.
        layout: Under which keys.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout
        self._listings = Listings(storage)

    @contextmanager
    def hold(self, name: str, version: ModelVersion) -> Iterator[HeldLease]:
        """Keep others from saving the version meanwhile.

        Raises:
            VersionExistsError: If somebody is saving it.
        """
        held = self._take(name, version)
        try:
            with held.kept_alive():
                yield held
        finally:
            self._release(name, version, held.lease)

    def alive(self, name: str, version: ModelVersion) -> Lease | None:
        """The lease of a save that is still under way, if there is one."""
        lease, _ = self._read(name, version)
        return lease if lease is not None and _is_alive(lease) else None

    def dead(self, name: str) -> list[tuple[ModelVersion, Lease | None]]:
        """Leases of a model that nobody holds any more; ``None`` for a damaged one."""
        found = []
        for file in self._listings.names(self._layout.entries_prefix(name, "saves")):
            with suppress(InvalidVersionError):
                version = ModelVersion.parse(file.removesuffix(".json"))
                lease, etag = self._read(name, version)
                if etag is not None and (lease is None or not _is_alive(lease)):
                    found.append((version, lease))
        return found

    def drop_dead(self, name: str, version: ModelVersion) -> bool:
        """Remove a lease that nobody holds any more; says whether there was one."""
        lease, etag = self._read(name, version)
        if etag is None or (lease is not None and _is_alive(lease)):
            return False
        self._storage.delete(self._key(name, version))
        return True

    def _take(self, name: str, version: ModelVersion) -> HeldLease:
        key = self._key(name, version)
        held, etag = self._read(name, version)
        if held is None or not _is_alive(held):
            lease = _lease_of_ours()
            try:
                # Not durable, as no power cut leaves its process alive.
                taken = self._storage.replace(
                    key, lease.to_bytes(), etag=etag, durable=False
                )
                return HeldLease(self._storage, key, lease, taken)
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
        except UnsafeKeyError as err:
            raise damaged_record(self._key(name, version), LINK) from err
        try:
            return parse_record(self._key(name, version), data, Lease), etag
        except DamagedArtifactError:  # a power cut took a part of it, and its process
            return None, etag

    def _key(self, name: str, version: ModelVersion) -> str:
        return self._layout.entry_key(name, "saves", version)


def _lease_of_ours() -> Lease:
    return Lease(
        id=new_id(),
        host=this_host(),
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        expires_at=now() + VALID_FOR,
    )


def _is_alive(lease: Lease) -> bool:
    """Whether somebody may still be at work under a lease.

    A process that we see running holds its lease, whatever keeps it from renewing it;
    one that is stopped, or that nobody here sees, until it expires.
    """
    if lease.host != this_host():
        return now() < lease.expires_at + CLOCKS_APART_AT_MOST
    try:
        process = psutil.Process(lease.pid)
        started, status = process.create_time(), process.status()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's, which some systems don't let us see
        return now() < lease.expires_at
    apart_seconds = abs(float(started) - lease.process_started)
    if apart_seconds > _SAME_START_WITHIN_SECONDS or status == psutil.STATUS_ZOMBIE:
        return False
    return status not in _STOPPED or now() < lease.expires_at
