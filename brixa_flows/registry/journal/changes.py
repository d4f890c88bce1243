"""The numbered stage changes of models, and what they add up to.

A change that was read is never read again, and the next ones are added to the state
before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import NamedTuple

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.damage import damaged_record, warn_once
from brixa_flows.registry.facts.records import Change, LostChange
from brixa_flows.registry.facts.stages import Lifecycle, advance
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import Listings

__all__ = ["StageChanges", "number_of"]

_KEPT_AT_MOST = 100_000
_GAP_AT_MOST = 100


class _Folded(NamedTuple):
    names: tuple[str, ...]
    lifecycle: Lifecycle


class StageChanges:
    """Changes and states by model; for any thread.

    Args:
        listings: Of the storage.
        layout: Where changes are.
        read: Reads a change by its key; a ``DamagedArtifactError`` if it is none.
        place: Address of the storage, for warnings.
        shown: Number of a change of a model that was there for sure once.
    """

    def __init__(
        self,
        listings: Listings,
        layout: Layout,
        read: Callable[[str], Change],
        place: str,
        shown: Callable[[str], int],
    ) -> None:
        self._place = place
        self._shown = shown
        self._listings = listings
        self._layout = layout
        self._read = read
        self._changes: Recent[str, Change] = Recent(_KEPT_AT_MOST)
        self._folded: Recent[str, _Folded] = Recent(_KEPT_AT_MOST)

    def of(self, name: str, after: int = 0) -> list[Change]:
        """Changes with a number above ``after``, oldest first.

        One that can't be read is a :class:`LostChange`.
        """
        shown = self._shown(name)  # before the listing, which is never behind it then
        return self._those(name, self._names(name), after, shown)

    def lifecycle(self, name: str) -> Lifecycle:
        """What all changes of a model add up to."""
        shown = self._shown(name)
        names = self._names(name)
        kept = self._folded.get(name)
        if kept is not None and kept.names is names and not kept.lifecycle.is_patchy:
            if shown <= kept.lifecycle.number:
                return kept.lifecycle
        state = Lifecycle(name)
        if kept is not None and _goes_on(kept, names):
            state = kept.lifecycle
        state = advance(state, self._those(name, names, state.number, shown))
        self._folded.put(name, _Folded(names, state), 1 + len(names))
        return state

    def _names(self, name: str) -> tuple[str, ...]:
        return self._listings.names(self._layout.entries_prefix(name, "changes"))

    def _those(
        self, name: str, names: tuple[str, ...], after: int, shown: int
    ) -> list[Change]:
        prefix = self._layout.entries_prefix(name, "changes")
        later = takewhile(lambda each: number_of(each) > after, _downwards(names))
        numbers = [number_of(each) for each in later][::-1]
        if shown > max(numbers, default=after):
            numbers.append(shown)
        found: list[Change] = []
        for number in numbers:
            before = found[-1].number if found else after
            # One that the listing left out may have come meanwhile: it is looked for.
            first = max(before + 1, number - _GAP_AT_MOST)
            for each in range(first, number + 1):
                found.append(self._change(f"{prefix}/{each:08d}.json"))
        return found

    def _change(self, key: str) -> Change:
        known = self._changes.get(key)
        if known is not None:
            return known
        try:
            change = self._read(key)
            if change.number != number_of(key):
                raise damaged_record(key, f"belongs to change {change.number}")
        except DamagedArtifactError as err:  # kept by nobody: it may be restored
            warn_once(self._place, f"set aside: {err}")
            return LostChange.at_key(key, number_of(key), str(err))
        self._changes.put(key, change)
        return change


def _goes_on(kept: _Folded, names: tuple[str, ...]) -> bool:
    """Nothing but later changes came since, and all before could be read."""
    count = len(kept.names)
    return not kept.lifecycle.is_patchy and names[:count] == kept.names


def _downwards(names: tuple[str, ...]) -> Iterator[str]:
    """Names of changes, the last one first; others are left out."""
    return filter(number_of, reversed(names))


def number_of(key: str) -> int:
    """Number of a record by its key, 0 if it is none of those that are numbered."""
    stem, _, suffix = key.rpartition("/")[2].partition(".")
    return int(stem) if suffix == "json" and stem.isdecimal() else 0
