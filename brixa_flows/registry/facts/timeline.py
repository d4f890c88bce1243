"""How the stages and own aliases of a model stood at a moment, from its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from brixa_flows.errors import InvalidMetadataError
from brixa_flows.registry.facts.metadata import Stage
from brixa_flows.registry.facts.records import Change, LostChange
from brixa_flows.registry.facts.stages import fold
from brixa_flows.versioning import ModelVersion

__all__ = ["AliasRecord", "StageSnapshot", "alias_records", "snapshot"]


class AliasRecord(BaseModel):
    """One change of an own alias, kept for ever.

    Attributes:
        name: Name of the model.
        alias: The alias.
        version: Where it points now; ``None`` if it was removed.
        previous: Where it pointed before.
        actor: Who decided.
        reason: Why.
        at: When, UTC.
        event_id: Id of the change.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    alias: str
    version: ModelVersion | None
    previous: ModelVersion | None
    actor: str
    reason: str
    at: datetime
    event_id: str

    def __str__(self) -> str:
        moved = f"{self.previous or 'none'} -> {self.version or 'none'}"
        return (
            f"{self.at:%Y-%m-%d %H:%M:%S}  {self.alias}  {moved}, "
            f"by {self.actor}\n    {self.reason or 'no reason given'}"
        )


class StageSnapshot(BaseModel):
    """Who stood where at a moment.

    Attributes:
        name: Name of the model.
        at: The moment.
        production: Who was in production.
        staging: Who was in staging.
        stages: Stage by version, for those that had one.
        aliases: Version by own alias.
        unreadable: Records of changes that can't be read. What they may have moved last
            is left out above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    at: datetime
    production: ModelVersion | None = None
    staging: ModelVersion | None = None
    stages: Mapping[str, Stage] = Field(default_factory=dict)
    aliases: Mapping[str, ModelVersion] = Field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = [f"{version}  {stage}" for version, stage in self.stages.items()]
        held += [f"{version}  {alias}" for alias, version in self.aliases.items()]
        held += [f"unknown: {key} can't be read" for key in self.unreadable]
        lines = "\n".join(f"    {line}" for line in held) or "    nothing in any stage"
        return f"{self.name} at {self.at.isoformat()}\n{lines}"


def snapshot(name: str, changes: Iterable[Change], when: datetime) -> StageSnapshot:
    """What the changes up to a moment add up to.

    Clocks of several machines differ and the numbers of changes do not: all up to the
    last number that was written by then count.

    Raises:
        InvalidMetadataError: If ``when`` is no datetime or has no time zone.
    """
    _check_aware(when)
    all_changes = list(changes)
    last = max((each.number for each in all_changes if each.at <= when), default=0)
    # Of a lost change behind the last one nobody knows whether it was before.
    for each in all_changes:
        last += isinstance(each, LostChange) and each.number == last + 1
    state = fold(name, [each for each in all_changes if each.number <= last])
    held = {version: state.stage_of(version) for version in state.stages}
    return StageSnapshot(
        name=name,
        at=when,
        production=state.holder("production"),
        staging=state.holder("staging"),
        stages={str(version): stage for version, stage in held.items() if stage},
        aliases={a: v for a, v in state.aliases.items() if state.doubt(a) is None},
        unreadable=tuple(each.key for each in state.lost),
    )


def alias_records(name: str, changes: Iterable[Change]) -> list[AliasRecord]:
    """Every change of an own alias, oldest first; a deleted version loses its own."""
    found: list[AliasRecord] = []
    aliases: dict[str, ModelVersion | None] = {}
    for change in changes:
        moved: list[str] = []
        if change.kind == "alias" and change.alias is not None:
            moved = [change.alias]
        elif change.kind == "delete" and change.version is not None:
            moved = [key for key, each in aliases.items() if each == change.version]
        now = change.version if change.kind == "alias" else None
        for alias in moved:
            found.append(_record(name, alias, now, aliases.get(alias), change))
            aliases[alias] = now
    return found


def _record(
    name: str,
    alias: str,
    version: ModelVersion | None,
    previous: ModelVersion | None,
    change: Change,
) -> AliasRecord:
    return AliasRecord(
        name=name,
        alias=alias,
        version=version,
        previous=previous,
        actor=change.actor,
        reason=change.reason,
        at=change.at,
        event_id=change.event_id,
    )


def _check_aware(when: object) -> None:
    if not isinstance(when, datetime) or when.utcoffset() is None:
        raise InvalidMetadataError(
            "when",
            f"is {when!r}; give a datetime with a time zone, such as "
            "datetime(2026, 3, 1, tzinfo=UTC)",
        )
