"""What is known about a model version, as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class ModelMetadata(_Value):
    """Everything that is known about one version.

    Attributes:
        name: Name of the model.
        version: Its semantic version.
        state: ``registered`` (no bytes yet), ``ready``, ``quarantined``, ``deleted``.
        stage: ``staging``, ``production``, ``archived`` or ``None``.
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
