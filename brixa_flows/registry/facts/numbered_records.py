"""What a version's numbered records hold, by kind; the others are anybody's JSON."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from brixa_flows.registry.facts.metadata import DatasetRef

__all__ = ["KINDS", "Measurement", "NumberedRecord", "StoredWord"]


class NumberedRecord(BaseModel):
    """What the journal puts into each of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=1)
    at: AwareDatetime
    event_id: str = Field(min_length=1)


class AnyJson(NumberedRecord):
    """An evaluation, a drift or performance report; who recorded it decides what it says."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Estimator(AnyJson):
    """What estimates a version's performance; drift knows what is in it."""

    estimator: dict[str, Any]


class Measurement(NumberedRecord):
    """Metrics of a moment, and of which data, if that was said."""

    metrics: dict[str, FiniteFloat]
    dataset: DatasetRef | None = None


class StoredWord(NumberedRecord):
    """A person's word for a version, as it is kept."""

    digest: str
    actor: str
    reason: str
    quarantined: str = ""
    envelope: Any = None


KINDS: dict[str, type[NumberedRecord]] = {
    "evaluations": AnyJson,
    "drift": AnyJson,
    "performance": AnyJson,
    "estimators": Estimator,
    "measurements": Measurement,
    "trust": StoredWord,
}
"""Model by kind of record."""
