"""Profiles of past windows, kept so that no window's rows are read twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.errors import DriftError, StaleWriteError

__all__ = ["KeptProfiles", "ProfileStore"]

_TIME = "%Y%m%dT%H%M%SZ"
_SUFFIX = ".parquet"
_Span = tuple[datetime, datetime]


class ProfileStore(Protocol):
    """What is asked of the place that keeps profiles; any storage node is one."""

    def stat(self, key: str) -> Any:
        """Facts of an object, its ``etag`` among them; ``None`` if there is none."""
        ...

    def read(self, key: str) -> tuple[bytes, str]:
        """Content and etag of an object."""
        ...

    def replace(
        self, key: str, data: bytes, *, etag: str | None, durable: bool = True
    ) -> str:
        """Write an object, if it is still the one with that etag."""
        ...

    def list(self, prefix: str, *, recursive: bool = True) -> Iterator[Any]:
        """Objects below a directory, each with its ``key``."""
        ...


class KeptProfiles:
    """A profile a window; any longer window is a sum of them.

    Args:
        store: Where they are, such as ``LocalStorageNode("windows")``.
        prefix: Directory in it.
    """

    def __init__(self, store: ProfileStore, prefix: str = "windows") -> None:
        self._store = store
        self._prefix = prefix

    def keep(self, start: datetime, end: datetime, profile: DriftProfile) -> None:
        """Write one profile, whole or not at all; the same window again replaces it.

        Args:
            start: Of the window, to the second; without a zone it is UTC.
            end: Of the window, not included.
            profile: Of its rows.

        Raises:
            DriftError: If the end is not after the start.
        """
        begin, stop = _utc(start), _utc(end)
        if stop <= begin:
            raise DriftError(f"the window ends at {end}, not after its start {start}")
        key = f"{self._prefix}/{begin:{_TIME}}_{stop:{_TIME}}{_SUFFIX}"
        found = self._store.stat(key)
        etag = None if found is None else found.etag
        try:
            self._store.replace(key, profile.to_bytes(), etag=etag, durable=False)
        except StaleWriteError:
            return  # another run keeps the same window

    def windows(self) -> list[_Span]:
        """Start and end of each, in order, UTC."""
        return sorted(self._keys())

    def at(self, start: datetime, end: datetime) -> DriftProfile | None:
        """The profile of that very window, if it is kept."""
        key = self._keys().get((_utc(start), _utc(end)))
        return None if key is None else self._load(key)

    def summed(self, start: datetime, end: datetime) -> DriftProfile | None:
        """The sum of shorter windows that lie end to end from start to end.

        Returns:
            ``None`` if they do not cover it: a stretch without a window may be one
            without rows, or one that nobody looked at.
        """
        begin, stop, keys = _utc(start), _utc(end), self._keys()
        # Chains of windows from the start; those of earlier begin are complete first.
        chains: dict[datetime, list[str]] = {begin: []}
        for first, last in sorted(keys):
            within = last <= stop and (first, last) != (begin, stop)
            if within and first in chains and last not in chains:
                chains[last] = [*chains[first], keys[first, last]]
        chain = chains.get(stop)
        if not chain:
            return None
        whole = self._load(chain[0])
        for key in chain[1:]:
            whole = whole + self._load(key)
        return whole

    def _load(self, key: str) -> DriftProfile:
        return DriftProfile.from_bytes(self._store.read(key)[0])

    def _keys(self) -> dict[_Span, str]:
        found = {}
        for stored in self._store.list(self._prefix, recursive=False):
            stem = stored.key.rpartition("/")[2].removesuffix(_SUFFIX)
            try:
                first, last = (
                    datetime.strptime(text, _TIME).replace(tzinfo=UTC)
                    for text in stem.split("_")
                )
            except ValueError:
                continue  # a file of somebody else
            found[first, last] = stored.key
        return found


def _utc(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)
