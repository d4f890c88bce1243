"""Finds bytes that nothing refers to, and removes them when asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    InvalidMetadataError,
    InvalidVersionError,
    ModelNotFoundError,
    StorageError,
    VersionExistsError,
    some_of,
)
from brixa_flows.registry.facts.records import now
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.in_use import deployed
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.writing.changing import Changer
from brixa_flows.storage.base import StoredObject
from brixa_flows.storage.keys import OWN_FOLDER
from brixa_flows.versioning import ModelVersion

__all__ = ["Collector", "Garbage"]

_LOG = logging.getLogger(__name__)
_NO_TIME = timedelta(0)
_SIGNATURES = "_sig.json"
_STAGING = f"{OWN_FOLDER}/tmp"

Kind = Literal["files", "signatures", "windows", "staging", "number"]


class Garbage(BaseModel):
    """Something that nothing refers to.

    Attributes:
        kind: What it is.
        key: Where it is in the storage.
        size_bytes: What removing it frees.
        reason: Why nothing refers to it.
        name: Model.
        version: Its version.
        kept_by: Deployments that name the version in what they serve, or served: it
            stays as long as they do.
        removed: Whether it was removed by this call.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    key: str
    size_bytes: int
    reason: str
    name: str | None = None
    version: ModelVersion | None = None
    kept_by: tuple[str, ...] = ()
    removed: bool = False

    def __str__(self) -> str:
        done = "removed " if self.removed else "kept " if self.kept_by else ""
        told = f"{done}{self.key} ({self.size_bytes} bytes): {self.reason}"
        if not self.kept_by:
            return told
        return (
            f"{told}; kept as long as the deployment {some_of(self.kept_by)} names it"
        )


class Collector:
    """Collects garbage.

    Args:
        backends: The places.
        reader: What is known.
        older_than: Only what is garbage for at least that long.
        registered_older_than: Numbers taken that long ago and never saved count too.
    """

    def __init__(
        self,
        backends: Backends,
        reader: Reader,
        *,
        older_than: timedelta | None = None,
        registered_older_than: timedelta | None = None,
    ) -> None:
        for field, given in (
            ("older_than", older_than),
            ("registered_older_than", registered_older_than),
        ):
            if given is None:
                continue
            if not isinstance(given, timedelta) or given < _NO_TIME:
                raise InvalidMetadataError(
                    field,
                    f"is {given!r:.200}; give a time that passed: timedelta(days=30)",
                )
        self._backends = backends
        self._reader = reader
        self._before = now() - (older_than or _NO_TIME)
        self._registered_before = (
            None if registered_older_than is None else now() - registered_older_than
        )

    def find(self) -> list[Garbage]:
        """Everything that nothing refers to; changes nothing.

        Raises:
            DamagedArtifactError: If the files of a deployment can't be read, so that
                nobody knows which versions it needs.
        """
        self._used = deployed(self._backends)
        found = list(self._staging())
        for name in self._reader.models():
            try:
                found += self._model(name)
            except (DamagedArtifactError, StorageError, ModelNotFoundError) as err:
                _LOG.warning("left alone: %s", err)
        return found

    def remove(self, found: list[Garbage], actor: str | None) -> list[Garbage]:
        """Remove what is still garbage; each thing whole, in any order.

        Returns:
            What was found, with what is ``removed``.
        """
        return [each if each.kept_by else self._remove(each, actor) for each in found]

    def _model(self, name: str) -> Iterator[Garbage]:
        # First what is there, then the claims: a number is claimed before its files.
        there = self._there(name)
        standing = self._reader.standing(name, thorough=True)
        claimed = {each.core for each in standing.claimed}
        tombstones = standing.lifecycle.deleted.items()
        deleted = {each.core: change.at for each, change in tombstones}
        for kind, key, version in there:
            at, reason = deleted.get(version.core), f"{name} {version} was deleted"
            if version.core not in claimed:
                at, reason = None, f"it is no file of {name} {version}"
            elif at is None:
                continue
            yield from self._bytes(kind, key, (name, version), reason, at)
        yield from self._numbers(standing)

    def _there(self, name: str) -> list[tuple[Kind, str, ModelVersion]]:
        """What lies in the storage under versions of a model."""
        storage = self._backends.storage
        prefix = self._backends.layout.model_prefix(name)
        named: list[tuple[Kind, str, str]] = [
            ("files", f"{prefix}/{directory}", directory)
            for directory in storage.list_directories(prefix)
        ]
        for stored in storage.list(prefix, recursive=False):
            file = stored.key.rpartition("/")[2]
            if file.endswith(_SIGNATURES):
                named.append(("signatures", stored.key, file.removesuffix(_SIGNATURES)))
        windows = self._backends.layout.windows_prefix(name)
        named += [
            ("windows", f"{windows}/{directory}", directory)
            for directory in storage.list_directories(windows)
        ]
        found = []
        for kind, key, text in named:
            with suppress(InvalidVersionError):  # _journal, and what people put there
                found.append((kind, key, ModelVersion.parse(text)))
        return found

    def _bytes(
        self,
        kind: Kind,
        key: str,
        subject: tuple[str, ModelVersion],
        reason: str,
        at: datetime | None,
    ) -> Iterator[Garbage]:
        name, version = subject
        uses = self._used.get((name, version.core), ())
        if self._backends.leases.alive(name, version) is not None:
            return
        objects = self._objects(key)
        newest = at or max((each.modified_at for each in objects), default=None)
        if newest is not None and newest <= self._before:
            size = sum(each.size_bytes for each in objects)
            yield Garbage(
                kind=kind,
                key=key,
                size_bytes=size,
                reason=reason,
                name=name,
                version=version,
                kept_by=tuple(sorted({each.deployment for each in uses})),
            )

    def _objects(self, key: str) -> list[StoredObject]:
        single = self._backends.storage.stat(key)
        if single is not None:
            return [single]
        return list(self._backends.storage.list(key))

    def _numbers(self, standing: Standing) -> Iterator[Garbage]:
        """Numbers that were claimed long ago and never saved."""
        name, before = standing.name, self._registered_before
        for version in standing.claimed if before is not None else ():
            if standing.state(version) != "registered":
                continue
            claim = self._reader.claim(name, version)
            leased = self._backends.leases.alive(name, version) is not None
            if leased or before is None or claim.core.created_at > before:
                continue
            yield Garbage(
                kind="number",
                key=self._backends.layout.entry_key(name, "claims", version),
                size_bytes=0,
                reason=f"{name} {version} was registered on "
                f"{claim.core.created_at:%Y-%m-%d} and never saved",
                name=name,
                version=version,
            )

    def _staging(self) -> Iterator[Garbage]:
        """Half-written files of dead processes, where the storage node can tell."""
        abandoned = getattr(self._backends.storage, "abandoned", None)
        count, size = (0, 0) if abandoned is None else abandoned()
        if count:
            reason = f"{count} saves or downloads whose process died"
            yield Garbage(kind="staging", key=_STAGING, size_bytes=size, reason=reason)

    def _remove(self, each: Garbage, actor: str | None) -> Garbage:
        if each.kind == "staging":
            discard = getattr(self._backends.storage, "discard_abandoned", None)
            if discard is not None:
                discard()
            return each.model_copy(update={"removed": True})
        if each.name is None or each.version is None:
            raise AssertionError(f"garbage of no version: {each}")
        if each.kind == "number":
            done = self._bury(each.name, each.version, actor)
        else:
            done = self._remove_bytes(each, each.name, each.version)
        return each.model_copy(update={"removed": done})

    def _remove_bytes(self, each: Garbage, name: str, version: ModelVersion) -> bool:
        """Remove it under the version's lease, if it is garbage still."""
        try:
            with self._backends.leases.hold(name, version):
                standing = self._reader.standing(name, thorough=True)
                needed = (name, version.core) in deployed(self._backends)
                lives = version in standing.claimed and (
                    version not in standing.lifecycle.deleted
                )
                if needed or lives:
                    return False
                self._backends.storage.delete(each.key)
        except (VersionExistsError, ModelNotFoundError) as err:
            _LOG.info("left alone: %s", err)
            return False
        return True

    def _bury(self, name: str, version: ModelVersion, actor: str | None) -> bool:
        """Put a tombstone on a number that nobody saved; it is never used again."""
        try:
            Changer(self._backends, self._reader).bury_unsaved(name, version, actor)
        except BrixaError as err:
            _LOG.info("left alone: %s", err)
            return False
        return True
