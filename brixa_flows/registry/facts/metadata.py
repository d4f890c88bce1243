"""What is known about a model version, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from brixa_flows.errors import BrixaError
from brixa_flows.signing import SignatureCheck
from brixa_flows.versioning import ModelVersion

__all__ = [
    "CodeRef",
    "DatasetRef",
    "FeatureRef",
    "Lineage",
    "ModelMetadata",
    "ParentRef",
    "Stage",
    "StageRecord",
    "Verification",
    "VersionState",
]

Stage = Literal["staging", "production", "archived"]
VersionState = Literal["registered", "ready", "quarantined", "deleted"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetRef(_Value):
    """Data that went into a version (or judged it)."""

    name: str
    uri: str = ""
    digest: str = ""
    rows: int | None = None
    columns: dict[str, str] = Field(
        default_factory=dict, description="Type name by column name."
    )
    role: str = Field("training", description="training, reference, evaluation ...")


class FeatureRef(_Value):
    """Features of a feature store that went into a version."""

    store: str
    view: str
    version: str = ""


class CodeRef(_Value):
    """The code that trained a version."""

    commit: str
    dirty: bool = False
    repository: str = ""


class ParentRef(_Value):
    """A model version that this one was made from."""

    name: str
    version: str
    relation: str = Field("derived_from", description="fine_tuned_from, distilled ...")
    uri: str = Field("", description="Where it is, if it is not in this registry.")


class Lineage(_Value):
    """What went into a version; sealed with it."""

    datasets: tuple[DatasetRef, ...] = ()
    features: tuple[FeatureRef, ...] = ()
    parents: tuple[ParentRef, ...] = ()
    code: CodeRef | None = None
    run_id: str | None = Field(None, description="MLflow run that trained it.")
    model_uri: str | None = Field(
        None, description="Logged model that it was adopted from."
    )
    flow_run_id: str | None = Field(None, description="Prefect flow run.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Installed version by package."
    )


class StageRecord(_Value):
    """One stage change, kept for ever."""

    number: int
    name: str
    version: ModelVersion
    source: Stage | None
    target: Stage | None
    actor: str
    reason: str
    at: datetime
    event_id: str = Field(description="Its event is delivered under this id, once.")
    replaced: ModelVersion | None = Field(
        None, description="Who held the stage before and is archived by this."
    )

    def __str__(self) -> str:
        moved = f"{self.source or 'none'} -> {self.target or 'deleted'}"
        return (
            f"{self.at:%Y-%m-%d %H:%M:%S}  {self.version}  {moved}, "
            f"by {self.actor}\n    {self.reason or 'no reason given'}"
        )


class Verification(_Value):
    """What the verified files of a version are worth here.

    Attributes:
        name: Name of the model.
        version: Its version.
        digest: Of the manifest, which stands for every file.
        recorded: Whether the tracking backend has this digest.
        signatures: What each signature of the files is worth.
        signers: Trusted keys that signed the files, or a person's word for them.
        problem: Why other signatures do not count.
        policy: The trust policy in force.
        loads: Whether it loads under that policy.
    """

    name: str
    version: ModelVersion
    digest: str
    recorded: bool
    signatures: tuple[SignatureCheck, ...]
    signers: tuple[str, ...]
    problem: str
    policy: str
    loads: bool


class Deferred(NamedTuple):
    """Facts of a version that are put together when they are first touched.

    Attributes:
        source: What the two are given.
        stored: Gives what storage decides and has been read; never fails.
        tracked: Gives what the tracking backend decides, which it may have to ask.
        kept: Gives the same as storage last knew it; never fails.
        doubt: Why that may be long out of date; ``""`` if it is not.
    """

    source: Any
    stored: Callable[[Any], Mapping[str, Any]]
    tracked: Callable[[Any], Mapping[str, Any]]
    kept: Callable[[Any], Mapping[str, Any]]
    doubt: str = ""


_STORED = (
    "hyperparameters",
    "input_schema",
    "output_schema",
    "dependencies",
    "lineage",
)
_TRACKED = ("description", "tags", "metrics", "custom", "owner", "run_id")
_DEFERRED = frozenset((*_STORED, *_TRACKED))


class ModelMetadata(_Value):
    """Everything that is known about one version.

    The registry asks MLflow for description, tags, metrics, custom, owner and run_id of a
    saved version when one of them is first touched (printed, compared, dumped, pickled), and
    keeps the answer; all else is as it was when the registry was asked.

    Attributes:
        name: Name of the model.
        version: Its semantic version.
        state: ``registered`` (no bytes yet), ``ready``, ``quarantined``, ``deleted``.
        problem: Why it is quarantined and what to do, or who deleted it, when and why;
            empty in any other state.
        stage: ``staging``, ``production``, ``archived`` or ``None``; also ``None``
            where a lost record hides it.
        aliases: Own aliases that point here.
        model_type: What it does, in the user's words.
        framework: Canonical framework name; ``None`` until the first save tells.
        description: Free text.
        tags: Tags by key; tags given as a list have an empty value.
        hyperparameters: How it was trained.
        input_schema: JSON Schema of one input record.
        output_schema: JSON Schema of one output record.
        metrics: Latest value by metric name.
        custom: Any JSON.
        owner: Who answers for it.
        license: Its license.
        dependencies: Packages or models it needs, with constraints.
        lineage: What went into it.
        run_id: The version's own run in the tracking backend.
        digest: ``sha256:...`` of its manifest once saved.
        size_bytes: Size of its files once saved.
        external_uri: Where the model's files are, if only a reference to them is kept
            (``register_run(..., copy=False)``).
        has_reference: A drift profile of its reference data was saved with it.
        created_at: When its number was claimed, UTC.
        saved_at: When its bytes were sealed, UTC.
    """

    name: str
    version: ModelVersion
    state: VersionState = "registered"
    problem: str = ""
    stage: Stage | None = None
    aliases: tuple[str, ...] = ()
    model_type: str
    framework: str | None = None
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    custom: dict[str, Any] = Field(default_factory=dict)
    owner: str | None = None
    license: str | None = None
    dependencies: dict[str, str] = Field(default_factory=dict)
    lineage: Lineage = Field(default_factory=Lineage)
    run_id: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    external_uri: str | None = None
    has_reference: bool = False
    created_at: datetime
    saved_at: datetime | None = None

    _deferred: Deferred | None = PrivateAttr(None)

    @classmethod
    def of(cls, plain: dict[str, Any], deferred: Deferred) -> Self:
        """From facts that were checked where they were read; the rest follows."""
        made = cls.__new__(cls)
        put = object.__setattr__
        put(made, "__dict__", plain)
        put(made, "__pydantic_fields_set__", _all_fields(cls))
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", {"_deferred": deferred})
        return made

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Called for what is not there: a fact that nobody touched before.
            if name not in _DEFERRED or self._deferred is None:
                return super().__getattr__(name)
            self._fetch(name)
            return self.__dict__[name]

    def _fetch(self, name: str) -> None:
        """Get a deferred fact and those that come with it."""
        if name in self.__dict__ or self._deferred is None:
            return
        deferred = self._deferred
        get = deferred.stored if name in _STORED else deferred.tracked
        found = get(deferred.source)
        for key in _STORED if name in _STORED else _TRACKED:
            self.__dict__.setdefault(key, found[key])

    def _complete(self) -> Self:
        """Get what nobody touched yet.

        Raises:
            TrackingUnavailableError: If the tracking backend is needed and away.
        """
        if self._deferred is not None:
            for name in (_STORED[0], _TRACKED[0]):
                self._fetch(name)
            ordered = {name: self.__dict__[name] for name in type(self).model_fields}
            object.__setattr__(self, "__dict__", ordered)
            self._deferred = None
        return self

    def as_stored(self) -> Self:
        """The same, with what is MLflow's to say as storage last knew it.

        For who has to answer while MLflow is away. Of ``run_id`` storage knows nothing.
        Where storage lost what it knew, ``problem`` says so.
        """
        if self._deferred is None:
            return self
        plain = {key: each for key, each in vars(self).items() if key not in _DEFERRED}
        plain["problem"] = self.problem or self._deferred.doubt
        return self.of(plain, self._deferred._replace(tracked=self._deferred.kept))

    def _prepare(self, include: Any, exclude: Any) -> None:
        """Get what a dump of these fields needs."""
        wanted = _DEFERRED if include is None else _DEFERRED & set(include)
        if isinstance(exclude, set):
            wanted -= exclude
        if wanted == _DEFERRED:
            self._complete()
        for name in wanted:
            self._fetch(name)

    def model_dump(self, *args: Any, **options: Any) -> dict[str, Any]:
        """As of any pydantic model; an error of MLflow is raised as it is."""
        self._prepare(options.get("include"), options.get("exclude"))
        return super().model_dump(*args, **options)

    def model_dump_json(self, *args: Any, **options: Any) -> str:
        """As of any pydantic model; an error of MLflow is raised as it is."""
        self._prepare(options.get("include"), options.get("exclude"))
        return super().model_dump_json(*args, **options)

    @model_serializer(mode="wrap")
    def _dump(
        self, dump: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        # Also called where a version is part of another model.
        self._prepare(info.include, info.exclude)
        found: dict[str, Any] = dump(self)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelMetadata):
            return NotImplemented
        return super(ModelMetadata, self._complete()).__eq__(other._complete())

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Any:
        return super(ModelMetadata, self._complete()).__iter__()

    def __repr_args__(self) -> Any:
        """Never fails: what can't be had now is left out."""
        with suppress(BrixaError):
            self._complete()
        return super().__repr_args__()

    def __copy__(self) -> Self:
        return super(ModelMetadata, self._complete()).__copy__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return super(ModelMetadata, self._complete()).__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        return super(ModelMetadata, self._complete()).__getstate__()


@cache
def _all_fields(kind: type[ModelMetadata]) -> set[str]:
    """One set for all: nobody adds to it, as no field is ever set."""
    return set(kind.model_fields)
