"""Brings a model that a training logged to MLflow into the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from brixa_flows.registry.lineage import as_refs
from brixa_flows.registry.metadata import CodeRef, DatasetRef, ParentRef
from brixa_flows.registry.reference import example_from
from brixa_flows.registry.registering import Bump, Schemas
from brixa_flows.registry.schemas import infer_schemas
from brixa_flows.serializers import detect_framework
from brixa_flows.tracking import AdoptableModel
from brixa_flows.versioning import ModelVersion

__all__ = ["Adoption", "Described", "adoption_of"]

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
class Adoption:
    """What a logged model brings along, joined with what the caller says.

    Attributes:
        facts: What is registered.
        input_example: Inputs as the model takes them, if there are any.
        code: Code that trained it, if its run tells.
    """

    facts: AdoptedFacts
    input_example: Any
    code: CodeRef | None


def adoption_of(
    found: AdoptableModel,
    model_type: str,
    reference: Any,
    datasets: Iterable[DatasetRef | Mapping[str, Any]],
    hyperparameters: Mapping[str, Any] | None,
    metrics: Mapping[str, float] | None,
) -> Adoption:
    """Join what was logged with what the caller says, which wins."""
    example = found.input_example
    if example is None:
        example = example_from(found.model, reference)
    schemas: Schemas = (None, None)
    if example is not None:
        schemas = infer_schemas(found.model, example)
    given = as_refs("datasets", DatasetRef, datasets)
    facts = AdoptedFacts(
        model_type=model_type or _type_of(found.model),
        framework=detect_framework(found.model),
        input_schema=schemas[0],
        output_schema=schemas[1],
        hyperparameters={**found.params, **(hyperparameters or {})},
        metrics={**found.metrics, **(metrics or {})},
        datasets=given or _logged_datasets(found),
        run_id=found.run_id,
    )
    return Adoption(facts, example, _logged_code(found))


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
