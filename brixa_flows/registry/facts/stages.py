"""Which stage a version may go to, and what a journal of changes adds up to. Pure.

::

    none ──────> staging ──────> production
      └────────────┬───────────────^  │
                   v       rollback┆  v
                   └────────────> archived ──> staging
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from brixa_flows.errors import (
    InvalidMetadataError,
    StageHolderError,
    StageTransitionError,
    some_of,
)
from brixa_flows.registry.facts.metadata import Stage, StageRecord
from brixa_flows.registry.facts.records import Change, LostChange, Move, new_id
from brixa_flows.versioning import ModelVersion

__all__ = [
    "NOBODY",
    "SINGLE_HOLDER",
    "STAGES",
    "TRANSITIONS",
    "Lifecycle",
    "advance",
    "fold",
]

NOBODY = "none"
"""Written where a version could stand: nothing is in the stage."""

STAGES: tuple[Stage, ...] = ("staging", "production", "archived")
SINGLE_HOLDER: tuple[Stage, ...] = ("staging", "production")

TRANSITIONS: Mapping[Stage | None, tuple[Stage, ...]] = MappingProxyType(
    {
        None: ("staging", "production"),
        "staging": ("production", "archived"),
        "production": ("archived",),
        "archived": ("staging",),
    }
)


@dataclass(frozen=True)
class Lifecycle:
    """Where the versions of a model stand after some number of changes.

    Attributes:
        name: Name of the model.
        number: Number of the last change, 0 before the first.
        stages: Stage by version, for those that have one.
        productions: Those that were in production and never rolled back from, oldest
            first; a rollback goes one step down.
        aliases: Version by own alias.
        deleted: The tombstone by version.
        history: Every stage change, oldest first.
        settled: Number of the last change of each stage and alias.
        lost: Changes whose records can't be read.
        accepted: Those of them without which somebody said that the state counts.
    """

    name: str
    number: int = 0
    stages: Mapping[ModelVersion, Stage] = field(default_factory=dict)
    productions: tuple[ModelVersion, ...] = ()
    aliases: Mapping[str, ModelVersion] = field(default_factory=dict)
    deleted: Mapping[ModelVersion, Change] = field(default_factory=dict)
    history: tuple[StageRecord, ...] = ()
    settled: Mapping[str, int] = field(default_factory=dict)
    lost: tuple[LostChange, ...] = ()
    accepted: tuple[LostChange, ...] = ()

    @property
    def is_patchy(self) -> bool:
        """Whether something is not known, or would be other if a record were restored."""
        return bool(self.lost or self.accepted)

    def doubt(self, word: str) -> LostChange | None:
        """The lost change that may have moved a stage or alias last, if any."""
        since = self.settled.get(word, 0)
        return next((each for each in self.lost if each.number > since), None)

    def holder(self, stage: Stage) -> ModelVersion | None:
        """Who is in ``staging`` or ``production``, if anybody is and one can know."""
        return None if self.doubt(stage) else self.last_holders.get(stage)

    def stage_of(self, version: ModelVersion) -> Stage | None:
        """The stage that a version is in, if it is in one and one can know."""
        stage = self.stages.get(version)
        return None if self.is_doubted(version) else stage

    def is_doubted(self, version: ModelVersion) -> bool:
        """Whether a version was last in a stage whose holder nobody knows now."""
        stage = self.stages.get(version)
        return stage in SINGLE_HOLDER and self.doubt(stage) is not None

    def is_known(self, version: ModelVersion) -> bool:
        """Whether the stage of a version is known, or that it is in none."""
        if version in self.stages or not self.lost:
            return not self.is_doubted(version)
        free = [stage for stage in SINGLE_HOLDER if self.doubt(stage) is not None]
        return not free or self.doubt(version.core) is None

    def why_deleted(self, version: ModelVersion) -> str:
        """When a deleted version was deleted, by whom and why."""
        change = self.deleted[version]
        because = f" ({change.reason})" if change.reason else ""
        on = f"{change.at:%Y-%m-%d %H:%M} UTC"
        return f"{version} was deleted on {on} by {change.actor}{because}"

    @cached_property
    def last_holders(self) -> Mapping[Stage, ModelVersion]:
        """Who was in staging and production by the records that can be read."""
        held = self.stages.items()
        return {stage: version for version, stage in held if stage in SINGLE_HOLDER}

    def aliases_of(self, version: ModelVersion) -> tuple[str, ...]:
        """Own aliases that point at a version, sorted; as far as one can know."""
        found = self._aliases_by_version.get(version, ())
        return tuple(each for each in found if self.doubt(each) is None)

    @cached_property
    def _aliases_by_version(self) -> Mapping[ModelVersion, tuple[str, ...]]:
        found: dict[ModelVersion, tuple[str, ...]] = {}
        for alias, version in sorted(self.aliases.items()):
            found[version] = (*found.get(version, ()), alias)
        return found

    def plan_transition(
        self, version: ModelVersion, target: str, reason: str
    ) -> tuple[Move, ...]:
        """The moves that bring ``version`` to ``target``.

        Raises:
            StageTransitionError: If the table does not allow it.
        """
        source = self.stages.get(version)
        allowed = TRANSITIONS[source]
        if self.doubt(target) and target in SINGLE_HOLDER:
            # Where a lost record hides who is there, whoever decides says it again.
            allowed = SINGLE_HOLDER
        for stage in allowed:
            if stage == target:
                return self._moves(version, stage, reason)
        if target == source:
            remedy = "it is there already"
        elif source == "archived" and target == "production":
            remedy = (
                "move it to staging first, or use rollback(name) to bring back what "
                "was in production before"
            )
        else:
            remedy = f"from there it may go to {some_of(allowed)}"
        raise StageTransitionError(
            self.name, version, source or "none", str(target)[:80], remedy
        )

    def refuse_unless_held(
        self, version: ModelVersion, stage: str, expected: ModelVersion | str
    ) -> None:
        """Go on only if ``expected`` (``none`` is nobody) is in the stage.

        Raises:
            StageHolderError: If somebody else is, or nobody knows who.
            InvalidMetadataError: If many versions may be in the stage.
        """
        held = next((each for each in SINGLE_HOLDER if each == stage), None)
        if held is None:
            raise InvalidMetadataError(
                "replacing", f"has no use with {stage}, which has no single holder"
            )
        lost = self.doubt(held)
        holder = f"whoever {lost.key} names" if lost else self.holder(held) or NOBODY
        if holder != expected:
            raise StageHolderError(self.name, version, held, str(expected), str(holder))

    def plan_rollback(
        self, is_usable: Callable[[ModelVersion], bool], reason: str
    ) -> tuple[Move, ...]:
        """The moves that bring back what was in production before.

        Args:
            is_usable: Whether a version may be loaded; others are passed over, and the
                record says so.
            reason: Why.

        Raises:
            StageTransitionError: If there was nothing before, or nobody knows who is
                in production.
        """
        lost, current = self.doubt("production"), self.holder("production")
        earlier = dict.fromkeys(v for v in reversed(self.productions) if v != current)
        passed_over: list[ModelVersion] = []
        for version in () if lost else earlier:
            if is_usable(version):
                return self._moves(version, "production", _told(reason, passed_over))
            passed_over.append(version)
        remedy = "no earlier version was in production"
        if passed_over:
            remedy = (
                "no earlier version that can be loaded was in production, as "
                f"{some_of(passed_over)} can't; name one with transition"
            )
        if lost is not None:
            remedy = (
                f"{lost.key} can't be read, so nobody knows who is in production; "
                "restore it, or name one with transition"
            )
        raise StageTransitionError(
            self.name,
            current or "production",
            "production" if current else "none",
            "the version before",
            remedy,
        )

    def _moves(
        self, version: ModelVersion, target: Stage, reason: str
    ) -> tuple[Move, ...]:
        moves = []
        holder = self.last_holders.get(target)
        if holder is not None and holder != version:
            superseded = f"superseded by {version}"
            moves.append(_move(holder, target, "archived", superseded))
        moves.append(_move(version, self.stages.get(version), target, reason))
        return tuple(moves)


def _told(reason: str, passed_over: list[ModelVersion]) -> str:
    """The reason of a rollback, with the versions that it could not go back to."""
    if not passed_over:
        return reason
    told = f"passed over {some_of(passed_over)}, which can't be loaded any more"
    return f"{reason} ({told})" if reason else told


def _move(
    version: ModelVersion, source: Stage | None, target: Stage | None, reason: str
) -> Move:
    return Move(
        version=version, source=source, target=target, reason=reason, event_id=new_id()
    )


def fold(name: str, changes: Iterable[Change]) -> Lifecycle:
    """What the changes of a model add up to.

    Args:
        name: Name of the model.
        changes: All of them in the order of their numbers.
    """
    return advance(Lifecycle(name), changes)


def advance(before: Lifecycle, changes: Iterable[Change]) -> Lifecycle:
    """What a state and the changes behind it add up to.

    Args:
        before: The state after some number of changes.
        changes: The next ones, in the order of their numbers.
    """
    stages = dict(before.stages)
    productions = list(before.productions)
    aliases = dict(before.aliases)
    deleted = dict(before.deleted)
    history = list(before.history)
    settled = dict(before.settled)
    lost = list(before.lost)
    accepted = list(before.accepted)
    number = before.number
    for change in changes:
        number = change.number
        if isinstance(change, LostChange):
            lost.append(change)
        accepted += [each for each in lost if each.number in change.accepts]
        lost = [each for each in lost if each.number not in change.accepts]
        settled.update(dict.fromkeys(_words_of(change), number))
        replaced = _replaced(change)
        for move in change.moves:
            if move.source == "production" and productions[-1:] != [move.version]:
                productions.append(move.version)  # how it came there is lost
            _apply(stages, productions, change, move)
            final = move is change.moves[-1]
            history.append(
                StageRecord(
                    number=len(history) + 1,
                    name=before.name,
                    actor=change.actor,
                    at=change.at,
                    replaced=replaced if final else None,
                    **move.model_dump(),
                )
            )
        if change.kind == "alias" and change.alias is not None:
            _point(aliases, change.alias, change.version)
        if change.kind == "delete" and change.version is not None:
            deleted[change.version] = change
            for alias in [key for key, v in aliases.items() if v == change.version]:
                del aliases[alias]
    return Lifecycle(
        before.name,
        number,
        stages,
        tuple(productions),
        aliases,
        deleted,
        tuple(history),
        settled,
        tuple(lost),
        tuple(accepted),
    )


def _words_of(change: Change) -> Iterable[str]:
    """Versions (which have dots), stages and the alias that a change speaks of."""
    for move in change.moves:
        yield move.version.core
        yield from filter(None, (move.source, move.target))
    if change.alias is not None:
        yield change.alias


def _replaced(change: Change) -> ModelVersion | None:
    return change.moves[0].version if len(change.moves) > 1 else None


def _point(
    aliases: dict[str, ModelVersion], alias: str, version: ModelVersion | None
) -> None:
    if version is None:
        aliases.pop(alias, None)
    else:
        aliases[alias] = version


def _apply(
    stages: dict[ModelVersion, Stage],
    productions: list[ModelVersion],
    change: Change,
    move: Move,
) -> None:
    if move.target is None:
        stages.pop(move.version, None)
    else:
        stages[move.version] = move.target
    if move.target != "production":
        return
    if change.kind == "rollback":
        while productions and productions[-1] != move.version:
            productions.pop()
    if not productions or productions[-1] != move.version:
        productions.append(move.version)
