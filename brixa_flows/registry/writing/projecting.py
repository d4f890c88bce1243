"""Shows stages and aliases in the tracking backend, where people look at them.

The journal in storage is the authority. What is projected is always the whole present
state of whatever the new changes touched, never a single change, and it is repeated
until no change came in between: so the last one to project tells the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from brixa_flows.errors import DamagedArtifactError, TrackingError
from brixa_flows.registry.facts.records import Change
from brixa_flows.registry.facts.resolving import exact
from brixa_flows.registry.facts.stages import SINGLE_HOLDER, Lifecycle, fold
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.writing.index import update_index
from brixa_flows.registry.writing.mirroring import shown
from brixa_flows.tracking import TrackedVersion, tags
from brixa_flows.versioning import ModelVersion

__all__ = ["knows_more", "project"]


def project(
    backends: Backends,
    reader: Reader,
    name: str,
    *,
    anew: bool = False,
    written: int | None = None,
) -> bool:
    """Show the changes of a model that the tracking backend was not shown yet.

    Idempotent. What nobody changed here since is left alone: an alias that a person
    moved by hand in MLflow stays until the next change of that stage.

    Args:
        backends: The places.
        reader: What is known.
        name: Model.
        anew: Show all changes, whatever the backend was shown before.
        written: Number of a change that was decided right now. It is shown also where
            the marker is lost and the backend knows more than the journal, which else
            leaves everything there as it is: it may be right.

    Returns:
        Whether there was anything to show.

    Raises:
        TrackingError: If the backend lost a version that an alias belongs on; the rest
            is shown.
    """
    journal = backends.journal
    shown_before = 0 if anew else journal.projected(name)
    if shown_before is None:
        shown_before = 0
        if written != 1 and knows_more(backends, name):
            shown_before = (written or journal.lifecycle(name).number + 1) - 1
            journal.mark_projected(name, shown_before)
    changes = journal.changes(name, shown_before)
    if not changes:
        return False
    there = backends.tracking.aliases(name) if anew else None
    changed = not anew
    staged = _staged(backends, name) if anew else ()
    while changes:
        changed |= _Projection(backends, name, changes, staged).show(there)
        shown_before = changes[-1].number
        changes = journal.changes(name, shown_before)
    journal.mark_projected(name, shown_before)
    if changed:
        update_index(backends, reader, name)
    return changed


def knows_more(backends: Backends, name: str) -> bool:
    """Whether the tracking backend shows what no record that can be read ever said.

    What lags behind was said by a record once; else records are lost, or somebody
    changed it by hand.
    """
    aliases = backends.tracking.aliases(name)
    versions = backends.tracking.list_versions(name)
    changes = backends.journal.changes(name)  # never behind what is shown
    said: set[tuple[str, str | None]] = set()
    for change in changes:
        for move in change.moves:
            stages = {move.source, move.target}
            said |= {(move.version.core, stage) for stage in stages}
            said |= {(stage, move.version.core) for stage in stages if stage}
        if change.version is not None:
            said.add((change.alias or change.kind, change.version.core))
    shown_there: set[tuple[str, str | None]] = set()
    for alias, text in aliases.items():
        shown_there.add((alias, text.partition("+")[0]))
    for tracked in versions:
        core = tracked.version.partition("+")[0]
        if tracked.stage:
            shown_there.add((core, tracked.stage))
        if tracked.facts.get(tags.STATE) == "deleted":
            shown_there.add(("delete", core))
    return not shown_there <= said


class _Projection:
    """The present state of what some changes touched, on its way to the backend."""

    def __init__(
        self,
        backends: Backends,
        name: str,
        changes: Sequence[Change],
        staged: Iterable[ModelVersion],
    ) -> None:
        self._backends = backends
        self._state = backends.journal.lifecycle(name)
        versions, aliases = _touched(backends, name, changes)
        # What a lost record hides is left as it is shown: it may be right.
        self._versions = [v for v in versions if not self._state.is_doubted(v)]
        for version in staged:  # maybe by a change that is lost
            if version not in versions and self._state.is_known(version):
                self._versions.append(version)
        self._aliases = [a for a in aliases if self._state.doubt(a) is None]
        self._tracked: dict[ModelVersion, TrackedVersion | None] = {}

    def show(self, there: Mapping[str, str] | None) -> bool:
        """Show it; says whether the backend showed anything else before.

        Args:
            there: Where its aliases are, which costs time in proportion to the number
                of versions; ``None`` if nobody asked, then they are set in any case.
        """
        name = self._state.name
        changed = [self._show_version(version) for version in self._versions]
        lost_ones = []
        for alias in self._aliases:
            holder = self._holder(alias)
            tracked = None if holder is None else self._shown(holder)
            if holder is not None and tracked is None:
                lost_ones.append(holder)
                continue
            version = tracked.version if tracked else None
            if there is None or there.get(alias) != version:
                number = tracked.backend_version if tracked else None
                self._backends.tracking.set_alias(name, alias, number)
                changed.append(True)
        if lost_ones:
            raise TrackingError(self._backends.lost(name, lost_ones))
        return any(changed)

    def _holder(self, alias: str) -> ModelVersion | None:
        for stage in SINGLE_HOLDER:
            if alias == stage:
                return self._state.holder(stage)
        return self._state.aliases.get(alias)

    def _show_version(self, version: ModelVersion) -> bool:
        tracked = self._shown(version)
        if tracked is None:
            return False
        stage = self._state.stages.get(version, "")
        deleted = version in self._state.deleted
        told = tracked.facts.get(tags.STATE) == "deleted" or not deleted
        if (tracked.stage or "") == stage and told:
            return False
        self._backends.tracking.update_version(
            tracked,
            stage=stage,
            facts={tags.STATE: "deleted"} if deleted else None,
        )
        return True

    def _shown(self, version: ModelVersion) -> TrackedVersion | None:
        if version not in self._tracked:
            self._tracked[version] = self._look_up(version)
        return self._tracked[version]

    def _look_up(self, version: ModelVersion) -> TrackedVersion | None:
        journal, name = self._backends.journal, self._state.name
        try:
            seal = journal.read_seal(name, version)
            claim = journal.must_read_claim(name, version)
        except DamagedArtifactError:  # it may be deleted, or displaced, all the same
            return self._backends.tracking.get_version(name, str(version))
        if seal is None:  # not shown; unless all but the number was lost
            if version not in self._state.deleted:
                return None
            return self._backends.tracking.get_version(name, str(version))
        return shown(self._backends, claim, seal)


def _staged(backends: Backends, name: str) -> list[ModelVersion]:
    """Versions that the backend shows in a stage."""
    listed = backends.tracking.list_versions(name)
    found = [exact(each.version) for each in listed if each.stage]
    return [version for version in found if version is not None]


def _touched(
    backends: Backends, name: str, changes: Sequence[Change]
) -> tuple[list[ModelVersion], list[str]]:
    """Versions and aliases that the changes may have moved."""
    versions: list[ModelVersion] = []
    aliases: list[str] = []
    for change in changes:
        for move in change.moves:
            versions.append(move.version)
            aliases += [s for s in (move.source, move.target) if s in SINGLE_HOLDER]
        if change.kind == "delete" and change.version is not None:
            versions.append(change.version)
            before = _before(backends, name, change)
            aliases += before.aliases_of(change.version)
            if change.version not in backends.journal.claimed(name).members:
                aliases += _shown_on(backends, name, change.version)
        if change.alias is not None:
            aliases.append(change.alias)
    return list(dict.fromkeys(versions)), list(dict.fromkeys(aliases))


def _shown_on(backends: Backends, name: str, version: ModelVersion) -> list[str]:
    """Aliases that the backend shows on a version of which no record is left here."""
    there = backends.tracking.aliases(name).items()
    return [alias for alias, text in there if text.partition("+")[0] == version.core]


def _before(backends: Backends, name: str, change: Change) -> Lifecycle:
    changes = backends.journal.changes(name)
    return fold(name, [each for each in changes if each.number < change.number])
