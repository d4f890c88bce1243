"""The event that a record of a state change owes, made from the record alone.

Flows announce what these functions make, and so does reconciliation: an event that
comes late is the one that would have come in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from brixa_flows.deployment import ModelDeployer
from brixa_flows.events import (
    EVENTS,
    EventPayload,
    ModelDeployed,
    ModelPromoted,
    ModelRegistered,
)
from brixa_flows.registry import ModelRegistry, Recorded, StageRecord

__all__ = [
    "Owed",
    "announces",
    "deployed",
    "owed_by",
    "owed_by_record",
    "promoted",
    "registered",
]

_ANNOUNCES = "announces"


@dataclass(frozen=True)
class Owed:
    """An event and the id it always has.

    Attributes:
        event_id: The id that the record carries.
        payload: What happened.
        at: When, UTC.
    """

    event_id: UUID
    payload: EventPayload
    at: datetime


def announces(payload: EventPayload) -> dict[str, Any]:
    """What a record of an evaluation or of drift holds, so that it owes an event.

    One without it is a measurement that somebody made by hand: no step of the loop.
    """
    body = payload.model_dump(mode="json")
    return {_ANNOUNCES: {"event": payload.event, "payload": body}}


def owed_by(recorded: Recorded) -> Owed | None:
    """The event that an entry of the journal owes, ``None`` if it owes none.

    Raises:
        ValueError: If the entry does not hold what its event needs.
    """
    payload: EventPayload
    facts, version = recorded.facts, str(recorded.version)
    if recorded.kind == "seal":
        payload = ModelRegistered(name=recorded.name, version=version, **facts)
    elif recorded.kind == "change":
        payload = ModelPromoted(name=recorded.name, version=version, **facts)
    elif _ANNOUNCES in facts:
        return owed_by_record(facts)
    else:
        return None
    return Owed(UUID(recorded.event_id), payload, recorded.at)


def owed_by_record(record: Mapping[str, Any]) -> Owed:
    """The event of a record that :func:`announces` one.

    Raises:
        LookupError: If it announces nothing that we know.
        ValueError: If its payload is none of that event.
    """
    announced = record[_ANNOUNCES]
    payload = EVENTS[announced["event"]].model_validate(announced["payload"])
    at = datetime.fromisoformat(record["at"])
    return Owed(UUID(record["event_id"]), payload, at)


def registered(registry: ModelRegistry, name: str, version: str) -> Owed:
    """The event of a sealed version.

    Raises:
        BrixaError: If it is not sealed.
    """
    owed = owed_by(registry.feed.sealed(name, version))
    assert owed is not None  # every seal owes one
    return owed


def promoted(record: StageRecord) -> Owed:
    """The event of a move to staging or production."""
    payload = ModelPromoted(
        name=record.name,
        version=str(record.version),
        stage=str(record.target),
        replaced=str(record.replaced or ""),
        actor=record.actor,
        reason=record.reason,
    )
    return Owed(UUID(record.event_id), payload, record.at)


def deployed(deployer: ModelDeployer, deployment: str) -> Owed:
    """The event of a deployment's last change of version.

    Raises:
        BrixaError: If there is no such deployment.
    """
    config = deployer.config(deployment)
    rolled_out = config.rolled_out
    payload = ModelDeployed(
        name=config.model_name,
        version=config.version,
        deployment=deployment,
        endpoint=deployer.get_endpoint(deployment),
        replaced=rolled_out.replaced if rolled_out else "",
    )
    if rolled_out is None:  # made by an earlier release
        event_id = payload.event_id(deployment, config.version, config.created_at)
        return Owed(event_id, payload, config.created_at)
    return Owed(UUID(rolled_out.event_id), payload, rolled_out.at)
