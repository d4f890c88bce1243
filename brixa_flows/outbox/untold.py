"""Events that can't be told: their record holds what no event can, or is damaged."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

from brixa_flows.registry import Recorded

__all__ = ["Untold", "untold_entry", "untold_file"]

_BY_HAND = {
    "seal": "evaluate_model",
    "change": "deploy_model",
    "evaluation": "promote_model",
    "drift": "retrain or roll_back",
    "performance": "retrain or roll_back",
}


@dataclass(frozen=True)
class Untold:
    """An event that will not come.

    Attributes:
        what: Whose.
        why: What is wrong with its record.
        remedy: What a person can do.
        event_id: The id it would have.
    """

    what: str
    why: str
    remedy: str
    event_id: UUID

    def __str__(self) -> str:
        return f"no event for {self.what}: {self.why}; {self.remedy}"


def untold_file(key: str, err: Exception) -> Untold:
    """Of an event that lies whole in the outbox, in a file that can't be read."""
    event_id = uuid5(NAMESPACE_URL, key)
    with suppress(ValueError):
        event_id = UUID(key.rpartition("/")[2].removesuffix(".json"))
    remedy = (
        "correct that file, or remove it and announce the same again without the value"
    )
    return Untold(key, _sentence(err), remedy, event_id)


def untold_entry(recorded: Recorded, err: Exception) -> Untold:
    """Of an entry of the journal whose facts no event can carry."""
    remedy = (
        f"the entry stays as it is, so start {_BY_HAND[recorded.kind]} for it by hand"
    )
    what = f"the {recorded.kind} of {recorded.name} {recorded.version}"
    return Untold(what, _sentence(err), remedy, UUID(recorded.event_id))


def _sentence(err: Exception) -> str:
    """What a model of pydantic refused, in one line."""
    errors = getattr(err, "errors", None)
    if not callable(errors):
        return " ".join(f"{type(err).__name__}: {err}".split())
    first = errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where} {first['msg'].removeprefix('Value error, ')}".strip()
