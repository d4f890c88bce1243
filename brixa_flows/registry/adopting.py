"""Brings a model that a training logged to MLflow into the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from pydantic import ValidationError

from brixa_flows.errors import (
    DatasetError,
    InvalidMetadataError,
    InvalidVersionError,
    VersionExistsError,
    some_of,
)
from brixa_flows.events import ModelRegistered
from brixa_flows.registry.facts.inputs import as_json_object
from brixa_flows.registry.facts.lineage import as_refs
from brixa_flows.registry.facts.metadata import CodeRef, DatasetRef, ParentRef
from brixa_flows.registry.facts.reference import example_from
from brixa_flows.registry.facts.schemas import infer_schemas
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.writing.registering import Bump, Schemas
from brixa_flows.registry.writing.saving import SaveRequest
from brixa_flows.serializers import detect_framework, serializer_named
from brixa_flows.serializers.base import SaveOptions
from brixa_flows.serializers.logged import MLFLOW, MlflowModel, MlflowSource
from brixa_flows.tracking import AdoptableModel
from brixa_flows.tracking.signature_reading import schemas_of
from brixa_flows.versioning import ModelVersion

__all__ = [
    "Adoption",
    "Described",
    "Said",
    "adoption_of",
    "check_event_facts",
    "refuse_own",
]

_COMMIT_TAG = "mlflow.source.git.commit"
_REPOSITORY_TAG = "mlflow.source.git.repoURL"


class Described(TypedDict, total=False):
    """What may be said about an adopted model as about any other."""

    description: str
    tags: Mapping[str, Any] | Iterable[str] | None
    custom: Mapping[str, Any] | None
    owner: str | None
    license: str | None
    dependencies: Mapping[str, str] | Iterable[str] | None
    parents: Iterable[ParentRef | Mapping[str, Any] | str]
    version: ModelVersion | str | None
    bump: Bump | None


class AdoptedFacts(TypedDict):
    """Arguments for ``register_model`` that a logged model brings along."""

    model_type: str
    framework: str
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]
    datasets: tuple[DatasetRef, ...]
    run_id: str | None


@dataclass(frozen=True)
class Said:
    """What the caller says of a logged model, which wins over what its run says."""

    model_type: str = ""
    reference: Any = None
    target: str | None = None
    datasets: Iterable[DatasetRef | Mapping[str, Any]] = ()
    hyperparameters: Mapping[str, Any] | None = None
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Adoption:
    """What a logged model brings along, joined with what the caller says.

    Attributes:
        facts: What is registered.
        request: What is saved.
        code: Code that trained it, if its run tells.
    """

    facts: AdoptedFacts
    request: SaveRequest
    code: CodeRef | None


def check_event_facts(
    name: str, model_uri: str, facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is kept for the event of the version, as plain JSON, if it can carry that.

    Raises:
        InvalidMetadataError: If it can't; without this the version had no event.
    """
    plain = as_json_object("event_facts", facts)
    ours = {"name", "version", "framework", "digest", "model_uri"}
    theirs = ModelRegistered.model_fields.keys() - ours
    if unknown := plain.keys() - theirs:
        raise InvalidMetadataError(
            "event_facts",
            f"has {min(unknown)!r:.80}, which {ModelRegistered.event} does not carry; it "
            f"takes {some_of(sorted(theirs))}",
        )
    known = dict.fromkeys(ours, "") | {"name": name, "model_uri": model_uri}
    try:
        ModelRegistered.model_validate(known | plain)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidMetadataError("event_facts", f"{where}: {first['msg']}") from err
    return plain


def refuse_own(found: AdoptableModel, backends: Backends) -> None:
    """Go on unless the files are those of a version here, which would refer to itself.

    Raises:
        VersionExistsError: If they are; names the version.
    """
    root = f"{backends.storage.uri.rstrip('/')}/{backends.layout.root}/"
    if not found.location.startswith(root):
        return
    name, _, rest = found.location.removeprefix(root).partition("/")
    with suppress(InvalidVersionError):  # runs may keep their files below the root too
        version = ModelVersion.parse(rest.partition("/")[0])
        if backends.layout.is_model_directory(name):
            reason = f"is what {found.uri} means, and in this registry already"
            raise VersionExistsError(name, version, reason)


def adoption_of(found: AdoptableModel, said: Said, *, copy: bool) -> Adoption:
    """Load what was logged and join it with what the caller says.

    Args:
        found: The model, its files on this machine.
        said: By the caller.
        copy: Keep the files; else their address and digests.
    """
    opened: MlflowModel = serializer_named(MLFLOW).open_folder(  # type: ignore[attr-defined]
        found.directory, f"the model at {found.uri}"
    )
    if not copy:
        source = MlflowSource(found.uri, found.location, found.server)
        opened = replace(opened, source=source)
    whole = opened.whole or not copy
    example, schemas = _seen(opened, said.reference)
    facts = AdoptedFacts(
        model_type=said.model_type or _type_of(opened.model),
        framework=MLFLOW if whole else detect_framework(opened.model),
        input_schema=schemas[0],
        output_schema=schemas[1],
        hyperparameters={**found.params, **(said.hyperparameters or {})},
        metrics={**found.metrics, **(said.metrics or {})},
        datasets=as_refs("datasets", DatasetRef, said.datasets)
        or _logged_datasets(found),
        run_id=found.run_id,
    )
    request = SaveRequest(
        opened if whole else opened.model,
        SaveOptions(input_example=example),
        said.reference,
        said.target,
        external_uri=None if opened.source is None else opened.source.location,
        signature=opened.signature if whole else None,
    )
    return Adoption(facts, request, _logged_code(found))


def _seen(opened: MlflowModel, reference: Any) -> tuple[Any, Schemas]:
    """An example, and the schemas that it shows, else those of the signature.

    A model that MLflow alone can call is known by its signature; whether an example
    of it has the form of ours is no reason to refuse it.
    """
    example = opened.input_example
    if example is None:
        example = example_from(opened.model, reference)
    signed = schemas_of(opened.signature)
    if example is None or (opened.whole and signed[0] is not None):
        return None if opened.whole else example, signed
    try:
        return example, infer_schemas(opened.model, example)
    except DatasetError:
        if not opened.whole:
            raise
        return None, signed


def _logged_datasets(found: AdoptableModel) -> tuple[DatasetRef, ...]:
    return tuple(
        DatasetRef(
            name=each.name,
            uri=each.uri,
            digest=each.digest,
            rows=each.rows,
            role=each.context or "training",
        )
        for each in found.datasets
    )


def _logged_code(found: AdoptableModel) -> CodeRef | None:
    commit = found.tags.get(_COMMIT_TAG)
    if not commit:
        return None
    return CodeRef(commit=commit, repository=found.tags.get(_REPOSITORY_TAG, ""))


def _type_of(model: Any) -> str:
    """What the model does, as far as it says so itself."""
    kind = getattr(model, "_estimator_type", None)
    describe = getattr(model, "__sklearn_tags__", None)
    if kind is None and callable(describe):
        kind = getattr(describe(), "estimator_type", None)
    names = {"classifier": "classification", "regressor": "regression"}
    return names.get(str(kind), "model")
