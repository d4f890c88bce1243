"""What the journal writes down, as values; each is one small JSON object."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brixa_flows.errors import BrixaError, DamagedArtifactError
from brixa_flows.registry.facts.damage import damaged_record
from brixa_flows.registry.facts.metadata import DatasetRef, Lineage, Stage
from brixa_flows.versioning import ModelVersion

__all__ = [
    "JOURNAL_PROTOCOL",
    "AdoptedModel",
    "Change",
    "Claim",
    "Core",
    "Lease",
    "LostChange",
    "MetadataFile",
    "Move",
    "Mutable",
    "Quarantine",
    "Record",
    "SchemaBump",
    "Seal",
    "Shown",
    "first_problem",
    "new_id",
    "now",
    "parse_record",
    "refuse_old_sum",
    "summed",
    "unsummed",
]

JOURNAL_PROTOCOL = 1
_SUM = "record_sha256"
_SUMMED = re.compile(rb',\n  "record_sha256": "([0-9a-f]{64})"\n}\n?\Z')
_OLD_SUM = "it was changed and has the sum (sha256) of what it was before"
_LATER = "was written by a later Brixa Flows"
_UPGRADE = "this one can't read it. Upgrade it with: pip install --upgrade brixa-flows"


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id that nobody else draws."""
    return str(uuid4())


_Entry = TypeVar("_Entry", bound=BaseModel)


def parse_record(key: str, data: bytes, kind: type[_Entry]) -> _Entry:
    """An entry of the journal as it was read.

    Args:
        key: Where it was read, for the message.
        data: Its bytes.
        kind: What it should be.

    Raises:
        DamagedArtifactError: If it is no such record, or one of a later protocol.
    """
    try:
        return kind.model_validate_json(unsummed(key, data))
    except (ValidationError, BrixaError) as err:
        if isinstance(err, DamagedArtifactError):
            raise
        if _is_later(err):
            raise damaged_record(key, _LATER, _UPGRADE) from err
        raise damaged_record(key, f"can't be read: {first_problem(err)}") from err


def summed(text: str) -> bytes:
    """A JSON object, indented by 2, with its own SHA-256 as the last member.

    A flipped bit would else move a stage to another version that there is too.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-2]},\n  "{_SUM}": "{digest}"\n}}\n'.encode()


def unsummed(key: str, data: bytes) -> bytes:
    """The object as it was before; one that has no sum is as it is.

    Raises:
        DamagedArtifactError: If the sum is not that of the rest.
    """
    found = _SUMMED.search(data)
    if found is None:
        return data
    rest = data[: found.start()] + b"\n}"
    if hashlib.sha256(rest).hexdigest() != found[1].decode():
        raise damaged_record(key, "is not what was written (sha256)")
    return rest


def refuse_old_sum(key: str, content: Mapping[str, Any]) -> None:
    """Go on only if a record that may have any field has no sum left among them.

    Raises:
        DamagedArtifactError: If it has: it was changed by hand.
    """
    if _SUM in content:
        raise damaged_record(key, f"can't be read: {_OLD_SUM}")


def _is_later(err: Exception) -> bool:
    """Whether a record asks for a protocol that we don't know."""
    return isinstance(err, ValidationError) and any(
        each["loc"] == ("protocol",) and each["type"] == "less_than_equal"
        for each in err.errors()
    )


def first_problem(err: Exception) -> str:
    """What is wrong with a file of ours, in a few words that name the field."""
    if not isinstance(err, ValidationError):
        return str(err).splitlines()[0]
    first = min(err.errors(), key=lambda each: each["loc"] == (_SUM,))
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return "it is not JSON"
    if first["loc"] == (_SUM,):
        return _OLD_SUM
    if first["type"] == "extra_forbidden":
        return f"it has the unknown field {place!r}"
    if first["type"] == "missing":
        return f"the field {place!r} is missing"
    said = str(first["msg"])
    if first["type"] in ("model_type", "dataclass_type"):  # names a class of ours
        said = "Input should be an object"
    said = said.replace("Input should", "should")
    return f"the field {place!r} {said}" if place else f"it {said}"


class Record(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: int = Field(JOURNAL_PROTOCOL, ge=1, le=JOURNAL_PROTOCOL)

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return summed(self.model_dump_json(indent=2))


class SchemaBump(BaseModel):
    """Schemas inferred at save that ask for a higher bump than the version made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    against: ModelVersion
    made: str
    needed: str
    changes: tuple[str, ...]


class Core(BaseModel):
    """What never changes once a version is saved; signed with its directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: ModelVersion
    model_type: str
    framework: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    license: str | None = None
    dependencies: dict[str, str] = Field(default_factory=dict)
    created_at: datetime
    schema_bump: SchemaBump | None = None
    external_uri: str | None = None


class Mutable(BaseModel):
    """What may change; the tracking backend is its authority once saved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    custom: dict[str, Any] = Field(default_factory=dict)
    owner: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    judged_on: tuple[DatasetRef, ...] = Field(
        (), description="Datasets of logged metrics."
    )


class MetadataFile(Record):
    """``{version}_meta.json``."""

    core: Core
    mutable: Mutable


class Claim(Record):
    """A number is taken, by whom, and for what."""

    id: str
    core: Core
    mutable: Mutable
    lineage: Lineage
    host: str
    pid: int


class AdoptedModel(Record):
    """A logged model became a version; asked for once more, it is the same one."""

    model_uri: str
    version: ModelVersion
    event_facts: dict[str, Any] = Field(
        default_factory=dict, description="What the event of its seal carries besides."
    )


class Lease(Record):
    """A save under way; while its process lives nobody else saves that version."""

    id: str
    host: str
    pid: int
    process_started: float
    expires_at: datetime


class Seal(Record):
    """The bytes are final and the tracking backend shows them.

    ``run_id`` and ``backend_version`` are those of the save; a backend that was rebuilt
    since has others, but shows the same ``run_at``.
    """

    claim_id: str
    digest: str
    run_id: str
    backend_version: str
    size_bytes: int
    has_reference: bool
    saved_at: datetime
    run_at: datetime | None = Field(None, description="When its run began and ended.")
    event_id: str

    @property
    def shown_at(self) -> datetime:
        """Of when the tracking backend shows the version's run."""
        return self.run_at or self.saved_at


class Quarantine(Record):
    """The bytes are not those that were saved here, or nobody recorded them."""

    reason: str
    digest: str | None
    recorded_digest: str | None
    at: datetime
    event_id: str


class Move(BaseModel):
    """One version's part in a change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: ModelVersion
    source: Stage | None
    target: Stage | None
    reason: str
    event_id: str


class Change(Record):
    """One numbered step in the life of a model; whole or not at all.

    A promotion and the archiving of whom it displaced are moves of one change, so no
    crash and no race ever leaves two holders of a stage.
    """

    number: int
    kind: Literal["transition", "rollback", "alias", "delete", "accept"]
    version: ModelVersion | None
    actor: str
    reason: str
    at: datetime
    event_id: str
    moves: tuple[Move, ...] = ()
    alias: str | None = None
    accepts: tuple[int, ...] = ()
    """Numbers of lost changes without which the state counts from now on."""
    accepts_records: tuple[str, ...] = ()
    """Keys of lost records of versions that are told of no more."""


class Shown(BaseModel):
    """``projected.json``: up to which change the tracking backend was shown all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=0)
    again: int | None = Field(None, description="The same: one may be a flipped bit.")


class LostChange(Change):
    """Stands for a change whose record can't be read: it moves nothing that we know.

    Never written. Its number is taken all the same.
    """

    key: str

    @classmethod
    def at_key(cls, key: str, number: int, reason: str) -> LostChange:
        """The change that was at a key of storage."""
        return cls(
            number=number,
            kind="transition",
            version=None,
            actor="",
            reason=reason,
            at=datetime.max.replace(tzinfo=UTC),
            event_id="",
            key=key,
        )
