"""Where all versions of a model stand: from listings, and what is damaged of each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.registry.facts.metadata import VersionState
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.versioning import ModelVersion

__all__ = ["Standing"]

_LOOKED_AT = 200


@dataclass(frozen=True)
class Standing:
    """Where all versions of a model stand.

    Attributes:
        name: Name of the model.
        claimed: Every number ever taken, ascending.
        sealed: Those whose bytes are final.
        quarantined: Those whose bytes are not believed.
        lifecycle: Stages, aliases and tombstones.
        look: What is damaged of a version, if anything; whether its files count.
        published: Whether files of a version are there, sealed or not.
        why_quarantined: The sentence about a version that is quarantined by record.
    """

    name: str
    claimed: tuple[ModelVersion, ...]
    sealed: frozenset[ModelVersion]
    quarantined: frozenset[ModelVersion]
    lifecycle: Lifecycle
    look: Callable[[ModelVersion, bool], DamagedArtifactError | None] = field(
        default=lambda version, ready: None, compare=False
    )
    published: Callable[[ModelVersion], bool] = field(
        default=lambda version: False, compare=False
    )
    why_quarantined: Callable[[ModelVersion], str] = field(
        default="{} is quarantined".format, compare=False
    )

    def has(self, version: ModelVersion) -> bool:
        """Whether the number was ever taken."""
        place = bisect_left(self.claimed, version)
        return self.claimed[place : place + 1] == (version,)

    def listed_state(self, version: ModelVersion) -> VersionState:
        """State of a claimed version as far as listings tell, if nothing is damaged."""
        if version in self.lifecycle.deleted:
            return "deleted"
        if version in self.quarantined:
            return "quarantined"
        return "ready" if version in self.sealed else "registered"

    def damage(self, version: ModelVersion) -> DamagedArtifactError | None:
        """What is damaged of a version that is not deleted, if anything."""
        listed = self.listed_state(version)
        return None if listed == "deleted" else self.look(version, listed == "ready")

    def state(self, version: ModelVersion) -> VersionState:
        """State of a claimed version; whoever tells one tells this one."""
        listed = self.listed_state(version)
        if listed in ("deleted", "quarantined") or self.damage(version) is None:
            return listed
        return "quarantined"

    @cached_property
    def listed_ready(self) -> tuple[ModelVersion, ...]:
        """Versions that may be loaded if nothing of them is damaged, ascending."""
        return tuple(v for v in self.claimed if self.listed_state(v) == "ready")

    @property
    def ready(self) -> tuple[ModelVersion, ...]:
        """Versions that may be loaded, ascending.

        For sentences and the like: of very many only the first are looked at.
        """
        first, others = self.listed_ready[:_LOOKED_AT], self.listed_ready[_LOOKED_AT:]
        return (*(v for v in first if self.damage(v) is None), *others)

    @property
    def ready_count(self) -> int:
        """How many may be loaded, where each that is sealed is claimed and sound."""
        shut = self.quarantined | self.lifecycle.deleted.keys()
        return len(self.sealed) - len(self.sealed & shut)

    def is_ready(self, version: ModelVersion) -> bool:
        """Whether a claimed version may be loaded."""
        return self.state(version) == "ready"

    def is_current(self, version: ModelVersion) -> bool:
        """Whether a claimed version is ready and not archived."""
        return self.is_listed_current(version) and self.damage(version) is None

    def is_listed_current(self, version: ModelVersion) -> bool:
        """The same, if nothing of it is damaged."""
        archived = self.lifecycle.stages.get(version) == "archived"
        return not archived and self.listed_state(version) == "ready"

    def ready_downwards(self) -> Iterator[ModelVersion]:
        """Versions that may be loaded, the highest first."""
        return filter(self.is_ready, reversed(self.claimed))

    def latest(self) -> ModelVersion | None:
        """The highest stable version that is not archived, else pre-release."""
        highest = None
        for version in filter(self.is_current, reversed(self.claimed)):
            if not version.is_prerelease:
                return version
            highest = highest or version
        return highest
