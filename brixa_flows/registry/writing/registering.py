"""Takes a version number: explicit, or the next one that the schemas ask for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    InvalidMetadataError,
    ModelNotFoundError,
    StorageError,
    VersionExistsError,
    some_of,
)
from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.inputs import (
    as_custom,
    as_json_object,
    as_metrics,
    as_tags,
    as_text,
)
from brixa_flows.registry.facts.metadata import Lineage
from brixa_flows.registry.facts.records import Claim, Core, Mutable, new_id, now
from brixa_flows.registry.facts.resolving import resolve
from brixa_flows.registry.facts.schema_changes import (
    SchemaChange,
    bump_for,
    input_changes,
    output_changes,
)
from brixa_flows.registry.facts.schemas import check_schema
from brixa_flows.registry.journal.journal import first_file
from brixa_flows.registry.journal.leases import this_host
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.dependencies import as_dependencies, refuse_circle
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.reading.shown_alone import ShownAlone
from brixa_flows.registry.writing.index import update_index
from brixa_flows.serializers import canonical_framework
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.versioning import ModelVersion

__all__ = [
    "Bump",
    "Registrar",
    "Registration",
    "Schemas",
    "changes_between",
    "check_core",
    "check_mutable",
    "check_schemas",
]

Bump = Literal["major", "minor", "patch", "prerelease"]
_BUMPS = ("major", "minor", "patch", "prerelease")
_FIRST = ModelVersion(1, 0, 0)
_ATTEMPTS = 1000


Schemas = tuple[dict[str, Any] | None, dict[str, Any] | None]


def check_schemas(input_schema: object, output_schema: object) -> Schemas:
    """Both schemas as plain JSON.

    Raises:
        InvalidSchemaError: If one is no JSON Schema; names the place in it.
    """
    return (
        check_schema("input_schema", input_schema),
        check_schema("output_schema", output_schema),
    )


def check_core(
    name: str,
    model_type: str,
    framework: str | None,
    schemas: Schemas,
    hyperparameters: Mapping[str, Any] | None,
    license: str | None,
    dependencies: Mapping[str, str] | Iterable[str] | None,
) -> Core:
    """What never changes, but for the number, which is taken later.

    Raises:
        InvalidNameError: If the name breaks the rules.
        InvalidMetadataError: If a field can't be stored; names it.
        UnknownPluginError: If there is no such framework; lists the known ones.
    """
    return Core(
        name=check_model_name(name),
        version=_FIRST,
        model_type=as_text("model_type", model_type, required=True),
        framework=canonical_framework(
            None if framework is None else as_text("framework", framework)
        ),
        input_schema=schemas[0],
        output_schema=schemas[1],
        hyperparameters=as_json_object("hyperparameters", hyperparameters),
        license=None if license is None else as_text("license", license),
        dependencies=as_dependencies(name, dependencies),
        created_at=now(),
    )


def check_mutable(
    description: str,
    tags: Mapping[str, Any] | Iterable[str] | None,
    custom: Mapping[str, Any] | None,
    owner: str | None,
    metrics: Mapping[str, Any] | None,
) -> Mutable:
    """What may change.

    Raises:
        InvalidMetadataError: If a field can't be stored; names it.
    """
    return Mutable(
        description=as_text("description", description),
        tags=as_tags(tags),
        custom=as_custom(custom),
        owner=None if owner is None else as_text("owner", owner),
        metrics=as_metrics(metrics),
    )


@dataclass(frozen=True)
class Registration:
    """What a person wants registered, every field checked."""

    core: Core
    mutable: Mutable
    lineage: Lineage

    def claim_of(self, version: ModelVersion) -> Claim:
        """The claim of a number for this."""
        return Claim(
            id=new_id(),
            core=self.core.model_copy(update={"version": version}),
            mutable=self.mutable,
            lineage=self.lineage,
            host=this_host(),
            pid=os.getpid(),
        )


class Registrar:
    """Takes numbers; of many processes that want the same one, exactly one gets it.

    Args:
        backends: The places.
        reader: What is known already.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader
        self._lost: dict[str, ModelVersion | None] = {}
        self._claimed: dict[str, frozenset[ModelVersion]] = {}
        self._shown_alone = ShownAlone(backends)

    def register(
        self,
        registration: Registration,
        version: ModelVersion | str | None = None,
        bump: Bump | None = None,
    ) -> Claim:
        """Take a number and write what is known under it.

        Args:
            registration: What is registered.
            version: The number to take; ``None`` is the next one.
            bump: How to count to the next one; ``None`` asks the schemas.

        Raises:
            VersionExistsError: If the explicit number is taken.
            InvalidMetadataError: If ``bump`` is unknown or given beside ``version``, or
                a parent was never registered.
            TrackingUnavailableError: If the backend, which a save needs, is away.
        """
        _check_bump(version, bump)
        self._check_parents(registration.lineage)
        core = registration.core
        refuse_circle(core.name, core.dependencies, self._needed_by)
        self._backends.tracking.ping()  # who would save next takes no number in vain
        self._look_again_if_numbers_went(core.name)
        if version is not None:
            claim = self._take(registration, ModelVersion.parse(version))
        else:
            claim = self._take_next(registration, bump)
        self._claimed[core.name] |= {claim.core.version}
        self._backends.journal.write_metadata(first_file(claim))
        update_index(self._backends, self._reader, claim.core.name)
        return claim

    def _needed_by(self, name: str, constraint: str) -> dict[str, str]:
        """What the version that a constraint means needs; nothing if there is none."""
        try:
            version = resolve(self._reader.standing(name), constraint)
            return self._reader.core(self._reader.claim(name, version)).dependencies
        except BrixaError:  # resolve_dependencies() tells of it, once it matters
            return {}

    def _check_parents(self, lineage: Lineage) -> None:
        """A parent of this registry was registered, in whatever state it is now."""
        for index, parent in enumerate(lineage.parents):
            claimed = self._backends.journal.claimed(parent.name)
            if parent.uri or ModelVersion.parse(parent.version) in claimed.members:
                continue
            there = f"its versions: {some_of(claimed.ascending)}"
            if not claimed.ascending:
                there = f"its models: {some_of(self._reader.models())}"
            raise InvalidMetadataError(
                f"parents[{index}]",
                f"is {parent.name}@{parent.version}, which is not in the registry at "
                f"{self._backends.place} ({there}); name one that is, or give the "
                "address of one that is elsewhere as uri= of a ParentRef",
            )

    @contextmanager
    def withdrawn_if_it_fails(self, name: str, version: ModelVersion) -> Iterator[None]:
        """Give a number back if what was to be saved under it can't be."""
        try:
            yield
        except BaseException:
            self.withdraw(name, version)
            raise

    def withdraw(self, name: str, version: ModelVersion) -> None:
        """Give back a number that was just taken and under which nothing is saved."""
        journal = self._backends.journal
        claim = journal.read_claim(name, version)
        if claim is None or self._has_files(name, version):
            return
        if self._backends.leases.alive(name, version) is not None:
            return  # another process took the save up
        if journal.read_seal(name, version) is None:
            journal.withdraw(claim)
            update_index(self._backends, self._reader, name)

    def is_published(self, name: str, version: ModelVersion) -> bool:
        """Whether there are files that no seal declares final: a save was cut short."""
        seal = self._backends.journal.read_seal(name, version)
        return seal is None and self._has_files(name, version)

    def _has_files(self, name: str, version: ModelVersion) -> bool:
        prefix = self._backends.layout.version_prefix(name, version)
        return self._backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None

    def _take(self, registration: Registration, version: ModelVersion) -> Claim:
        claim = registration.claim_of(version)
        name, journal = registration.core.name, self._backends.journal
        if self._shown_alone.has(name, version) or not journal.claim(claim):
            following = self._next(registration.core, None, above=version)
            why = f"{self._why_taken(name, version)} and the next number is {following}"
            raise VersionExistsError(name, version, why)
        return claim

    def _why_taken(self, name: str, version: ModelVersion) -> str:
        lifecycle = self._backends.journal.lifecycle(name)
        if version not in lifecycle.deleted:
            try:
                self._backends.journal.must_read_claim(name, version)
            except DamagedArtifactError as err:
                file, reason = err.facts["file"], err.facts["reason"]
                return f"was registered once and its claim {file} {reason},"
            return "is registered already"
        told = lifecycle.why_deleted(version).removeprefix(f"{version} ")
        return f"{told}, its number is never used again"

    def _next(
        self, core: Core, bump: Bump | None, above: ModelVersion | None = None
    ) -> ModelVersion:
        """The number after the highest that was ever taken.

        Args:
            core: What is registered.
            bump: How to count.
            above: One that was refused although nothing lists it: its claim is lost.
        """
        claimed = self._backends.journal.claimed(core.name).ascending
        known = (*claimed[-1:], above, self._highest_lost(core.name))
        highest = max(filter(None, known), default=None)
        if highest is None:
            return _FIRST
        return highest.bump(bump or self.bump_asked_for(core))

    def _highest_lost(self, name: str) -> ModelVersion | None:
        """The highest number whose claim and seal were lost before we looked first.

        That costs time in proportion to the number of versions, so it is looked once.
        """
        if name not in self._lost:
            lost = self._backends.journal.lost_claims(name)
            known = (*lost, self._shown_alone.highest(name))
            self._lost[name] = max(filter(None, known), default=None)
        return self._lost[name]

    def _look_again_if_numbers_went(self, name: str) -> None:
        """What was looked for once is looked for again where records were lost since."""
        now_claimed = self._backends.journal.claimed(name).members
        if not self._claimed.get(name, frozenset()) <= now_claimed:
            self._lost.pop(name, None)
            self._shown_alone.forget(name)
        self._claimed[name] = now_claimed

    def _take_next(self, registration: Registration, bump: Bump | None) -> Claim:
        name, refused = registration.core.name, None
        for _ in range(_ATTEMPTS):
            version = self._next(registration.core, bump, above=refused)
            claim = registration.claim_of(version)
            if self._backends.journal.claim(claim):
                return claim
            refused = version
        raise StorageError(f"too many register {name!r} at once; retry")

    def bump_asked_for(self, core: Core) -> Literal["major", "minor", "patch"]:
        """What the schemas given ask for; one not given counts as unchanged."""
        if core.input_schema is None and core.output_schema is None:
            return "patch"
        base = self.base_of(core.name)
        return "patch" if base is None else bump_for(changes_between(base, core))

    def base_of(self, name: str, below: ModelVersion | None = None) -> Core | None:
        """Core of the highest ready version (below another) that can be read, if any."""
        try:
            standing = self._reader.standing(name)
        except ModelNotFoundError:
            return None
        for version in standing.ready_downwards():
            if below is None or version < below:
                with suppress(DamagedArtifactError):
                    return self._reader.core(self._reader.claim(name, version))
        return None


def changes_between(base: Core, core: Core) -> tuple[SchemaChange, ...]:
    """What callers notice of the schemas that ``core`` has."""
    changes: tuple[SchemaChange, ...] = ()
    if core.input_schema is not None:
        changes += input_changes(base.input_schema, core.input_schema)
    if core.output_schema is not None:
        changes += output_changes(base.output_schema, core.output_schema)
    return changes


def _check_bump(version: object, bump: object) -> None:
    if bump is None:
        return
    if bump not in _BUMPS:
        raise InvalidMetadataError("bump", f"is {bump!r}; give one of {_BUMPS}")
    if version is not None:
        raise InvalidMetadataError("bump", "has no use beside version=; give one")
