"""The numbered stage changes of models, and what they add up to.

A change that was read is never read again, and the next ones are added to the state
before them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import NamedTuple

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.recent import Recent
from brixa_flows.registry.layout import Layout
from brixa_flows.registry.numbers import Listings
from brixa_flows.registry.records import Change, LostChange
from brixa_flows.registry.stages import Lifecycle, advance

__all__ = ["StageChanges"]

_KEPT_AT_MOST = 100_000
_LOG = logging.getLogger(__name__)


class _Folded(NamedTuple):
    names: tuple[str, ...]
    lifecycle: Lifecycle


class StageChanges:
    """Changes and states by model; for any thread.

    Args:
        listings: Of the storage.
        layout: Where changes are.
        read: Reads a change by its key; a ``DamagedArtifactError`` if it is none.
    """

    def __init__(
        self, listings: Listings, layout: Layout, read: Callable[[str], Change]
    ) -> None:
        self._listings = listings
        self._layout = layout
        self._read = read
        self._changes: Recent[str, Change] = Recent(_KEPT_AT_MOST)
        self._folded: Recent[str, _Folded] = Recent(_KEPT_AT_MOST)

    def of(self, name: str, after: int = 0) -> list[Change]:
        """Changes with a number above ``after``, oldest first.

        One that can't be read is a :class:`LostChange`.
        """
        return self._those(name, self._names(name), after)

    def lifecycle(self, name: str) -> Lifecycle:
        """What all changes of a model add up to."""
        names = self._names(name)
        kept = self._folded.get(name)
        if kept is not None and kept.names is names and not kept.lifecycle.lost:
            return kept.lifecycle
        state = Lifecycle(name)
        if kept is not None and _goes_on(kept, names):
            state = kept.lifecycle
        state = advance(state, self._those(name, names, state.number))
        self._folded.put(name, _Folded(names, state), 1 + len(names))
        return state

    def _names(self, name: str) -> tuple[str, ...]:
        return self._listings.names(self._layout.entries_prefix(name, "changes"))

    def _those(self, name: str, names: tuple[str, ...], after: int) -> list[Change]:
        prefix = self._layout.entries_prefix(name, "changes")
        later = list(takewhile(lambda each: _number(each) > after, _downwards(names)))
        return [self._change(f"{prefix}/{each}") for each in reversed(later)]

    def _change(self, key: str) -> Change:
        known = self._changes.get(key)
        if known is not None:
            return known
        try:
            change = self._read(key)
        except DamagedArtifactError as err:  # kept by nobody: it may be restored
            _LOG.warning("set aside: %s", err)
            return LostChange.at_key(key, _number(key), str(err))
        self._changes.put(key, change)
        return change


def _goes_on(kept: _Folded, names: tuple[str, ...]) -> bool:
    """Nothing but later changes came since, and all before could be read."""
    count = len(kept.names)
    return not kept.lifecycle.lost and names[:count] == kept.names


def _downwards(names: tuple[str, ...]) -> Iterator[str]:
    """Names of changes, the last one first; others are left out."""
    return filter(_number, reversed(names))


def _number(key: str) -> int:
    """Number of a change by its key, 0 if it is no change's."""
    stem, _, suffix = key.rpartition("/")[2].partition(".")
    return int(stem) if suffix == "json" and stem.isdecimal() else 0
