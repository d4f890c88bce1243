"""Which versions of a model have an entry of a kind, without reading it all each time.

Every call on a model asks for three such listings. What was listed is kept, and where
the storage node can tell what is new (:class:`.QuickLooks`), only that is looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from brixa_flows.errors import DamagedArtifactError, InvalidVersionError
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.damage import damaged_record, warn_once
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import Listings
from brixa_flows.versioning import ModelVersion

__all__ = ["NumberLists", "Numbers", "parsed_version"]

_FOREIGN = (
    "was not written by the registry, which leaves build metadata out of names of files, "
    "so it counts for nothing"
)
_PARSED_AT_MOST = 100_000
_KEPT_AT_MOST = 1_000_000


@dataclass(frozen=True)
class Numbers:
    """Versions of a model.

    Attributes:
        ascending: By precedence.
    """

    ascending: tuple[ModelVersion, ...] = ()

    @cached_property
    def members(self) -> frozenset[ModelVersion]:
        """The same as a set."""
        return frozenset(self.ascending)

    def joined_by(self, version: ModelVersion) -> Numbers:
        """These and one more, without hashing all of them again."""
        place = bisect_left(self.ascending, version)
        before, behind = self.ascending[:place], self.ascending[place:]
        joined = Numbers((*before, version, *behind))
        if "members" in self.__dict__:
            joined.__dict__["members"] = self.members | {version}
        return joined


class _Listed(NamedTuple):
    names: tuple[str, ...]
    numbers: Numbers


class _Joined(NamedTuple):
    one: Numbers
    two: Numbers
    both: Numbers


class NumberLists:
    """The versions that have an entry, by model and kind; for any thread.

    Args:
        listings: Of the storage.
        layout: Where entries are.
    """

    def __init__(self, listings: Listings, layout: Layout) -> None:
        self._listings = listings
        self._layout = layout
        self._kept: Recent[str, _Listed] = Recent(_KEPT_AT_MOST)
        self._joined: Recent[str, _Joined] = Recent(_KEPT_AT_MOST)

    def together(self, name: str, kind: str, other: str) -> Numbers:
        """The versions of a model that have an entry of either kind."""
        one, two = self.of(name, kind), self.of(name, other)
        kept = self._joined.get(name)
        if kept is None or kept.one is not one or kept.two is not two:
            alone: frozenset[ModelVersion] = frozenset()
            if kept is None or not _one_came(kept, one, two):
                alone = two.members - one.members
            both = one
            if alone:
                both = Numbers(tuple(sorted((*one.ascending, *alone))))
            kept = _Joined(one, two, both)
            self._joined.put(name, kept, 1 + len(one.ascending))
        return kept.both

    def of(self, name: str, kind: str) -> Numbers:
        """The versions of a model that have an entry of a kind."""
        prefix = self._layout.entries_prefix(name, kind)
        names = self._listings.names(prefix)
        kept = self._kept.get(prefix)
        if kept is None or kept.names is not names:
            kept = _listed(prefix, names, kept)
            self._kept.put(prefix, kept, 1 + len(names))
        return kept.numbers

    def foreign(self, name: str) -> list[DamagedArtifactError]:
        """What is wrong with entries that are named as the registry names none."""
        return [
            damaged_record(f"{prefix}/{each}", _FOREIGN, "Remove it")
            for kind in ("claims", "seals", "quarantine")
            for prefix in [self._layout.entries_prefix(name, kind)]
            for each in self._listings.names(prefix)
            if "+" in each
        ]


def _listed(prefix: str, names: tuple[str, ...], before: _Listed | None) -> _Listed:
    if before is not None and before.names == names:
        return _Listed(names, before.numbers)
    new = None if before is None else _one_more(before.names, names)
    if before is None or new is None:
        return _Listed(names, Numbers(tuple(sorted(_versions(prefix, names)))))
    numbers = before.numbers
    for version in _versions(prefix, [new]):
        numbers = numbers.joined_by(version)
    return _Listed(names, numbers)


def _one_came(kept: _Joined, one: Numbers, two: Numbers) -> bool:
    """Whether ``one`` held all of ``two`` and has got one more since, as it mostly has."""
    whole = kept.both is kept.one and kept.two is two
    return whole and len(one.ascending) == len(kept.one.ascending) + 1


def _one_more(before: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    """The name that came, if nothing else did; both are sorted."""
    if len(names) != len(before) + 1:
        return None
    low, high = 0, len(before)
    while low < high:
        middle = (low + high) // 2
        if before[middle] == names[middle]:
            low = middle + 1
        else:
            high = middle
    others = names[:low] + names[low + 1 :]
    return names[low] if others == before else None


def _versions(prefix: str, names: Iterable[str]) -> list[ModelVersion]:
    found = []
    for name in names:
        try:
            version = parsed_version(name.removesuffix(".json"))
        except InvalidVersionError:  # a file that somebody else put there
            version = None
        if version is not None and not version.build:  # no entry's name has that
            found.append(version)
        else:
            place = f"{prefix}/{name}"
            warn_once(place, f"set aside: {place} is no entry of the journal")
    return found


# The claims and the seals of a model name the same versions.
parsed_version = lru_cache(_PARSED_AT_MOST)(ModelVersion.parse)
