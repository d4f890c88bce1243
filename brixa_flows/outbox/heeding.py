"""Whether the orchestrator acted on an event that it has.

Prefect's server hands an event to its storage and to its triggers, both from memory. One
that dies in between has the event and never starts the run; under the same id it would
ignore it. So such an event is sent again under ids that are made of its own, one after
the other: what was sent, and when, the orchestrator itself remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

__all__ = ["Heeding", "Taken", "ids_of"]

_SENT_AGAIN_AT_MOST = 3


@dataclass(frozen=True)
class Taken:
    """An event that the orchestrator has.

    Attributes:
        at: When it was sent, UTC.
        waits_for: What starts a run at each such event and did not at this one.
    """

    at: datetime
    waits_for: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Heeding:
    """How far an event got under all its ids.

    Attributes:
        waits_for: What should have started a run at it and never did.
        last_sent: When it was sent last, UTC.
        next_id: The id for the next time; ``None`` if it was sent often enough.
    """

    waits_for: frozenset[str]
    last_sent: datetime
    next_id: UUID | None

    @classmethod
    def of(cls, event_id: UUID, taken: Mapping[UUID, Taken]) -> Heeding:
        """That of an event which was taken.

        Args:
            event_id: Its id.
            taken: What the orchestrator has; of this event under all its ids.
        """
        ids = ids_of(event_id)
        there = [taken[each] for each in ids if each in taken]
        return cls(
            frozenset.intersection(*(each.waits_for for each in there)),
            max(each.at for each in there),
            next((each for each in ids if each not in taken), None),
        )


def ids_of(event_id: UUID) -> list[UUID]:
    """An event's id, and those under which it is sent again."""
    again = (uuid5(event_id, f"{n}") for n in range(_SENT_AGAIN_AT_MOST))
    return [event_id, *again]
