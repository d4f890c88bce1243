"""What the tracking backend says of versions, asked when somebody wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from brixa_flows.registry.facts.damage import warn_once
from brixa_flows.registry.facts.records import Mutable
from brixa_flows.registry.facts.standing import Standing
from brixa_flows.registry.journal.stored import StoredVersion
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.tracking import TrackedVersion
from brixa_flows.versioning import ModelVersion

__all__ = ["TrackedFacts", "facts_of", "mutable_of"]

_ONE_BY_ONE = 5


class TrackedFacts:
    """Facts of some versions of a model; for any thread.

    The first few are asked for one by one, so that who lists thousands to look at one
    does not wait for all. After that, or where there are few, all come in one answer.

    Args:
        backends: The places.
        standing: Of the model.
        versions: Of which somebody may ask.
    """

    def __init__(
        self, backends: Backends, standing: Standing, versions: Sequence[ModelVersion]
    ) -> None:
        self._backends = backends
        self._standing = standing
        self._name = standing.name
        self._versions = versions
        self._together = 1 < len(versions) <= _ONE_BY_ONE
        self._asked = 0
        self._all: dict[str, TrackedVersion] | None = None
        self._lock = Lock()

    def of(self, stored: StoredVersion) -> dict[str, Any]:
        """What may change of a saved version; new objects each time.

        What the backend does not know is as ``{version}_meta.json`` has it.
        """
        version = stored.plain["version"]
        with self._lock:
            if self._all is None and (self._together or self._asked >= _ONE_BY_ONE):
                self._all = self._list()
            self._asked += 1
            known = self._all
        if known is not None:
            tracked = known.get(version.core)
        else:
            tracked = self._backends.tracking.get_version(
                self._name, str(version), backend_version=stored.backend_version
            )
            if tracked is None:
                self._warn([version])
        return stored.mutable() if tracked is None else facts_of(tracked)

    def _list(self) -> dict[str, TrackedVersion]:
        listed = self._backends.tracking.list_versions(self._name)
        # Of copies that somebody made there the oldest counts, so it comes last.
        listed.sort(key=lambda each: -int(each.backend_version))
        found = {each.version.partition("+")[0]: each for each in listed}
        self._warn([each for each in self._versions if each.core not in found])
        return found

    def _warn(self, missing: Sequence[ModelVersion]) -> None:
        lost = [
            each for each in missing if self._standing.listed_state(each) == "ready"
        ]
        if lost:
            warn_once(self._backends.storage.uri, self._backends.lost(self._name, lost))


def facts_of(tracked: TrackedVersion) -> dict[str, Any]:
    """What the tracking backend decides of a version."""
    facts = mutable_of(tracked).model_dump(exclude={"judged_on"})
    return {**facts, "run_id": tracked.run_id}


def mutable_of(tracked: TrackedVersion) -> Mutable:
    """What may change, as the tracking backend has it."""
    return Mutable(
        description=tracked.description,
        tags=tracked.tags,
        custom=tracked.custom,
        owner=tracked.owner,
        metrics=tracked.metrics,
    )
