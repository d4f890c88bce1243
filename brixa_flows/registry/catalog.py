"""The reading side of the registry: find, explain, verify and load versions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from brixa_flows.errors import InvalidMetadataError, ModelNotSavedError, SettingsError
from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.graph import LineageGraph
from brixa_flows.registry.facts.metadata import (
    ModelMetadata,
    Stage,
    StageRecord,
    Verification,
)
from brixa_flows.registry.facts.resolving import (
    Spec,
    exact,
    refuse_doubt,
    refuse_unusable,
    resolve,
)
from brixa_flows.registry.facts.stages import SINGLE_HOLDER, STAGES
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.dependencies import check_dependencies
from brixa_flows.registry.reading.opening import OpenedVersion, Opener
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.reading.tracing import Tracer
from brixa_flows.serializers import check_source, load_model_files
from brixa_flows.serializers.base import LoadOptions
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing
from brixa_flows.storage import StorageNode, open_storage
from brixa_flows.tracking import TrackingStore
from brixa_flows.versioning import ModelVersion, VersionConstraint

__all__ = ["ModelCatalog", "Trust"]

Trust = Literal["code"]


class ModelCatalog:
    """Versions of models, to look at and to load; changes nothing.

    Args:
        storage: Where the files are kept.
        tracking_uri: MLflow; without it the settings, else sqlite below a local root.
        tracking: An open tracking backend instead.
        settings: Without them, those of the environment.

    Raises:
        SettingsError: If a BRXA_ variable is unknown or has a bad value, or ``storage``
            is a path.
    """

    def __init__(
        self,
        storage: StorageNode,
        *,
        tracking_uri: str | None = None,
        tracking: TrackingStore | None = None,
        settings: BrixaSettings | None = None,
    ) -> None:
        given: object = storage
        if isinstance(given, str | Path):
            raise SettingsError(
                "storage", f"is a path; give LocalStorageNode({str(given)!r})"
            )
        self.settings = settings or BrixaSettings.load()
        self._backends = Backends(storage, self.settings, tracking, tracking_uri)
        self._reader = Reader(self._backends)
        self._opener = Opener(self._backends, self._reader)

    @classmethod
    def from_settings(cls, settings: BrixaSettings | None = None) -> Self:
        """The registry that the BRXA_ variables describe."""
        settings = settings or BrixaSettings.load()
        return cls(open_storage(None, settings), settings=settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.storage!r})"

    @property
    def storage(self) -> StorageNode:
        """Where the files are kept."""
        return self._backends.storage

    @property
    def layout(self) -> Layout:
        """Under which keys they are kept."""
        return self._backends.layout

    @property
    def keys(self) -> KeyRing:
        """Whose signatures are believed here (BRXA_KEYS_PATH)."""
        return self._backends.keys

    @property
    def tracking(self) -> TrackingStore:
        """The tracking backend, opened on first use."""
        return self._backends.tracking

    def load_model(
        self,
        name: str,
        spec: Spec = None,
        *,
        device: str = "auto",
        dtype: str | None = None,
        trust: Trust | None = None,
        as_pipeline: bool = False,
    ) -> Any:
        """Load a model, every file of it verified first.

        Args:
            name: Model.
            spec: Which version; production if there is one, else the latest.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            dtype: Floating dtype to cast to, such as ``float16``.
            trust: ``"code"`` vouches, in this call, for a format that can run code.
            as_pipeline: Give a Hugging Face pipeline.

        Raises:
            ModelNotFoundError: If there is no such model.
            VersionNotFoundError: If nothing answers to ``spec``.
            ModelNotSavedError: If it is registered but not saved.
            UnmetDependencyError: If it needs a model of which no version will do.
            DamagedArtifactError: If its files are not those that were saved.
            UntrustedArtifactError: If the trust policy forbids to load it.
            DeviceUnavailableError: If the device is not here.
        """
        opened = self.open_version(name, spec, trust=trust)
        options = LoadOptions(device, dtype, as_pipeline)
        return load_model_files(opened.directory, opened.manifest, options)

    def open_version(
        self, name: str, spec: Spec = None, *, trust: Trust | None = None
    ) -> OpenedVersion:
        """Files of a version, verified and trusted; raises as :meth:`load_model`."""
        return self._opener.open(name, self.resolve(name, spec), trust)

    def resolve(self, name: str, spec: Spec = None) -> ModelVersion:
        """The version that ``spec`` means; raises as :meth:`load_model`."""
        return self._resolved(name, spec)[0]

    def resolve_dependencies(
        self, name: str, spec: Spec = None
    ) -> dict[str, ModelVersion]:
        """The versions of other models that a version would be used with.

        Raises:
            UnmetDependencyError: If no ready version of one will do.
        """
        return self._resolved(name, spec)[1]

    def _resolved(
        self, name: str, spec: Spec
    ) -> tuple[ModelVersion, dict[str, ModelVersion]]:
        core = self._reader.claim(name, self._found(name, spec)).core
        needed = check_dependencies(
            name, core.version, core.dependencies, self._reader.standing
        )
        return core.version, needed

    def _found(self, name: str, spec: Spec) -> ModelVersion:
        """What ``spec`` means, whether or not the models that it needs are here."""
        standing = self._reader.standing(check_model_name(name))
        version = exact(spec)
        if version is not None and not standing.has(version):
            standing = self._reader.standing(name, thorough=True)
        return resolve(standing, spec)

    def get_metadata(self, name: str, spec: Spec = None) -> ModelMetadata:
        """Everything about a version, in any state if it is named exactly.

        Without ``spec``, what :meth:`resolve` means, else the highest that is
        registered. ``problem`` says why a version is quarantined.
        """
        standing = self._reader.standing(check_model_name(name))
        version = exact(spec)
        if version is None:
            try:
                version = resolve(standing, spec)
            except ModelNotSavedError as err:
                version = ModelVersion.parse(str(err.facts["spec"]))
                if spec is not None:
                    raise
        return self._reader.metadata(name, version, standing)

    def list_models(self) -> list[str]:
        """Names of all models, sorted."""
        return self._reader.models()

    def list_versions(
        self,
        name: str,
        constraint: VersionConstraint | str | None = None,
        stage: Stage | None = None,
    ) -> list[ModelMetadata]:
        """Versions of a model in any state, oldest first by precedence.

        Args:
            name: Model.
            constraint: Only those that satisfy it.
            stage: Only those in that stage.

        Raises:
            InvalidMetadataError: If there is no such stage.
            VersionNotFoundError: If a lost record hides who is in the stage.
        """
        if stage is not None and stage not in STAGES:
            raise InvalidMetadataError("stage", f"is {stage!r}; give one of {STAGES}")
        standing = self._reader.standing(check_model_name(name))
        versions: Iterable[ModelVersion] = standing.claimed
        if constraint is not None:
            versions = VersionConstraint.parse(constraint).select(versions)
        if stage is not None:
            if stage in SINGLE_HOLDER:
                refuse_doubt(standing, stage)
            stages = standing.lifecycle.stages
            versions = [each for each in versions if stages.get(each) == stage]
        return self._reader.all_metadata(name, versions, standing)

    def production_version(self, name: str) -> ModelVersion | None:
        """The version in production, usable or not; ``None`` if there is none.

        Raises:
            ModelNotFoundError: If there is no such model.
            VersionNotFoundError: If a lost record hides who it is.
        """
        standing = self._reader.standing(check_model_name(name))
        refuse_doubt(standing, "production")
        return standing.lifecycle.holder("production")

    def stage_history(self, name: str) -> list[StageRecord]:
        """Every stage change of a model: who, when, why; oldest first.

        Those that can't be read any more are told by :meth:`lost_changes`.
        """
        standing = self._reader.standing(check_model_name(name))
        return list(standing.lifecycle.history)

    def lost_changes(self, name: str) -> list[str]:
        """A sentence for each stage or alias change whose record can't be read."""
        standing = self._reader.standing(check_model_name(name))
        return [each.reason for each in standing.lifecycle.lost]

    def evaluations(
        self, name: str, version: ModelVersion | str
    ) -> list[dict[str, Any]]:
        """What :meth:`ModelRegistry.record_evaluation` kept, newest last."""
        return self._records(name, version, "evaluations")

    def drift_reports(
        self, name: str, version: ModelVersion | str
    ) -> list[dict[str, Any]]:
        """What :meth:`ModelRegistry.record_drift` kept, newest last."""
        return self._records(name, version, "drift")

    def performance_reports(
        self, name: str, version: ModelVersion | str
    ) -> list[dict[str, Any]]:
        """What :meth:`ModelRegistry.record_performance` kept, newest last."""
        return self._records(name, version, "performance")

    def estimators(
        self, name: str, version: ModelVersion | str
    ) -> list[dict[str, Any]]:
        """What :meth:`ModelRegistry.record_estimator` kept, newest last."""
        return self._records(name, version, "estimators")

    def _records(
        self, name: str, version: ModelVersion | str, kind: str
    ) -> list[dict[str, Any]]:
        found = ModelVersion.parse(version)
        if not self._reader.standing(check_model_name(name)).has(found):
            self._reader.claim(name, found)  # says that there is none
        return self._backends.journal.records(name, kind, found)

    def lineage(
        self, name: str | None = None, version: ModelVersion | str | None = None
    ) -> LineageGraph:
        """What went into a version and what it touches; of all models without a name.

        Ask the graph of the whole registry for ``graph.find("DIGEST or COMMIT")`` and
        ``graph.downstream(node.id)`` to see what some data or code touches.

        Raises:
            VersionNotFoundError: If there is no such version, or it was deleted.
        """
        tracer = Tracer(self._backends, self._reader)
        if name is None:
            return tracer.everything()
        found = exact(version) or self._found(name, version)
        standing = self._reader.standing(check_model_name(name))
        if found in standing.lifecycle.deleted:  # whatever else is lost of it
            refuse_unusable(standing, found, str(version))
        claim = self._reader.claim(name, found)
        return tracer.of(name, claim.core.version)

    def verify(self, name: str, version: ModelVersion | str) -> Verification:
        """Check every file of a version, its recorded digest, and who signed it.

        Of a model that is kept by reference, the files are fetched and checked too.

        Raises:
            DamagedArtifactError: If something differs; names the file.
            MissingExtraError: If it is signed, keys are trusted here and the extra
                ``sign`` is not installed.
        """
        found = self._opener.checked(name, self._found(name, version))
        check_source(found.manifest)
        return self._opener.worth(found)

    def reference_profile_path(
        self, name: str, version: ModelVersion | str
    ) -> Path | None:
        """The verified drift profile of a version, ``None`` if it has none."""
        found = self._found(name, version)
        return self._opener.reference_profile_path(name, found)
