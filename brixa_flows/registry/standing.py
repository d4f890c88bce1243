"""Where all versions of a model stand, from listings alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from brixa_flows.registry.metadata import VersionState
from brixa_flows.registry.stages import Lifecycle
from brixa_flows.versioning import ModelVersion

__all__ = ["Standing"]


@dataclass(frozen=True)
class Standing:
    """Where all versions of a model stand.

    Attributes:
        name: Name of the model.
        claimed: Every number ever taken, ascending.
        sealed: Those whose bytes are final.
        quarantined: Those whose bytes are not believed.
        lifecycle: Stages, aliases and tombstones.
    """

    name: str
    claimed: tuple[ModelVersion, ...]
    sealed: frozenset[ModelVersion]
    quarantined: frozenset[ModelVersion]
    lifecycle: Lifecycle

    def has(self, version: ModelVersion) -> bool:
        """Whether the number was ever taken."""
        place = bisect_left(self.claimed, version)
        return self.claimed[place : place + 1] == (version,)

    def state(self, version: ModelVersion) -> VersionState:
        """State of a claimed version."""
        if version in self.lifecycle.deleted:
            return "deleted"
        if version in self.quarantined:
            return "quarantined"
        return "ready" if version in self.sealed else "registered"

    @cached_property
    def ready(self) -> tuple[ModelVersion, ...]:
        """Versions that may be loaded, ascending."""
        return tuple(each for each in self.claimed if self.state(each) == "ready")

    @property
    def ready_count(self) -> int:
        """How many may be loaded, where each that is sealed is claimed."""
        shut = self.quarantined | self.lifecycle.deleted
        return len(self.sealed) - len(self.sealed & shut)

    def is_current(self, version: ModelVersion) -> bool:
        """Whether a claimed version is ready and not archived."""
        archived = self.lifecycle.stages.get(version) == "archived"
        return not archived and self.state(version) == "ready"

    def ready_downwards(self) -> Iterator[ModelVersion]:
        """Versions that may be loaded, the highest first."""
        return (each for each in reversed(self.claimed) if self.state(each) == "ready")

    def latest(self) -> ModelVersion | None:
        """The highest stable version that is not archived, else pre-release."""
        highest = None
        for version in filter(self.is_current, reversed(self.claimed)):
            if not version.is_prerelease:
                return version
            highest = highest or version
        return highest
