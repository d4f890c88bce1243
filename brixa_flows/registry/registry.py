"""The registry as people use it; each call is carried out by a part of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from brixa_flows.refs import check_model_name
from brixa_flows.registry.adopter import Adopter, Wanted
from brixa_flows.registry.adopting import Described, Said, check_event_facts
from brixa_flows.registry.described import DescribedRegistry
from brixa_flows.registry.facts.inputs import as_text
from brixa_flows.registry.facts.lineage import gather_lineage, lineage_context
from brixa_flows.registry.facts.metadata import (
    CodeRef,
    DatasetRef,
    ModelMetadata,
    ParentRef,
    StageRecord,
)
from brixa_flows.registry.writing.changing import Changer
from brixa_flows.registry.writing.registering import (
    Bump,
    Registrar,
    Registration,
    check_core,
    check_mutable,
    check_schemas,
)
from brixa_flows.registry.writing.saving import Saver, SaveRequest
from brixa_flows.serializers.base import SaveOptions
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage import StorageNode
from brixa_flows.tracking import TrackingStore
from brixa_flows.versioning import ModelVersion

__all__ = ["ModelRegistry"]


class ModelRegistry(DescribedRegistry):
    """Versions, stages and lineage of models.

    Bytes and the journal are in ``storage``; metrics, tags and what people look at are
    in MLflow, which is opened by the first call that needs it. Safe to use from many
    threads and processes at once. A ``version`` is a :class:`ModelVersion` or its text;
    a ``spec`` may also be a stage, an own alias, ``latest`` or a constraint.

    Args:
        storage: Where the files are kept.
        tracking_uri: MLflow; without it the settings, else sqlite below a local root.
        tracking: An open tracking backend instead.
        settings: Without them, those of the environment.

    Raises:
        SettingsError: If a BRXA_ variable is unknown or has a bad value.
    """

    def __init__(
        self,
        storage: StorageNode,
        *,
        tracking_uri: str | None = None,
        tracking: TrackingStore | None = None,
        settings: BrixaSettings | None = None,
    ) -> None:
        super().__init__(
            storage, tracking_uri=tracking_uri, tracking=tracking, settings=settings
        )
        self._registrar = Registrar(self._backends, self._reader)
        self._saver = Saver(self._backends, self._reader, self._registrar)
        self._adopter = Adopter(
            self._backends,
            self._reader,
            self._registrar,
            self._saver,
            self.register_model,
        )
        self._changer = Changer(self._backends, self._reader)

    def register_model(
        self,
        name: str,
        model_type: str,
        framework: str | None = None,
        description: str = "",
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        custom: Mapping[str, Any] | None = None,
        *,
        owner: str | None = None,
        license: str | None = None,
        dependencies: Mapping[str, str] | Iterable[str] | None = None,
        datasets: Iterable[DatasetRef | Mapping[str, Any]] = (),
        parents: Iterable[ParentRef | Mapping[str, Any] | str] = (),
        run_id: str | None = None,
        version: ModelVersion | str | None = None,
        bump: Bump | None = None,
    ) -> ModelMetadata:
        """Take the next version number (or ``version``) and keep what is known.

        The schemas are compared with those of the highest ready version: what breaks
        callers is a major bump, what only adds a minor one, else a patch. Code and
        flow run come from :func:`lineage_context`, or the git state around.

        Args:
            name: Model.
            model_type: What it does, in your words.
            framework: pytorch, tensorflow, sklearn or pickle; else the save tells.
            description: Free text.
            tags: A list, or a mapping to texts.
            hyperparameters: JSON.
            input_schema: JSON Schema of one record (:func:`infer_schemas` makes it).
            output_schema: JSON Schema of one answer.
            metrics: Finite numbers by name.
            custom: Any JSON.
            owner: Who answers for it.
            license: Its license.
            dependencies: What it needs: ``["numpy>=2", "tokenizer@^2"]``.
            datasets: Data that went in.
            parents: Versions it was made from (``NAME@VERSION``; elsewhere: by ``uri``).
            run_id: MLflow run that trained it.
            version: Take exactly this number.
            bump: Count up by this, whatever the schemas say.

        Raises:
            BrixaError: If a field is wrong, or MLflow away; nothing is kept.
        """
        schemas = check_schemas(input_schema, output_schema)
        core = check_core(
            name, model_type, framework, schemas, hyperparameters, license, dependencies
        )
        mutable = check_mutable(description, tags, custom, owner, metrics)
        lineage = gather_lineage(datasets, parents, run_id)
        registration = Registration(core, mutable, lineage)
        claim = self._registrar.register(registration, version, bump)
        return self._reader.metadata(name, claim.core.version)

    def save_model(
        self,
        name: str,
        version: ModelVersion | str,
        model: Any,
        input_example: Any = None,
        reference: Any = None,
        *,
        format: str | None = None,
        tokenizer: Any = None,
        processor: Any = None,
        generation_config: Any = None,
        target: str | None = None,
    ) -> ModelMetadata:
        """Save the model of a registered version, once and for ever.

        Args:
            name: Model.
            version: What ``register_model`` gave.
            model: The object.
            input_example: Inputs as the model takes them; schemas that were not given
                are inferred from them.
            reference: Data (or a ``DriftProfile``) that later traffic is compared with.
            format: Another format of the framework's serializer.
            tokenizer: Hugging Face tokenizer to keep with it.
            processor: Hugging Face processor to keep with it.
            generation_config: Hugging Face generation config to keep with it.
            target: Label column of ``reference``, which is not profiled.

        Raises:
            ModelNotFoundError: If there is no such model.
            VersionNotFoundError: If the version was never registered.
            VersionExistsError: If it is saved already, or being saved.
            FrameworkMismatchError: If the object is of another framework.
            SerializationError: If the object can't be written.
        """
        options = SaveOptions(
            format=format,
            tokenizer=tokenizer,
            processor=processor,
            generation_config=generation_config,
            input_example=input_example,
        )
        claim = self._reader.claim(check_model_name(name), version)
        return self._saver.save(claim, SaveRequest(model, options, reference, target))

    def register_run(
        self,
        model_uri: str,
        *,
        name: str,
        copy: bool = True,
        model_type: str = "",
        reference: Any = None,
        target: str | None = None,
        datasets: Iterable[DatasetRef | Mapping[str, Any]] = (),
        hyperparameters: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        flow_run_id: str | None = None,
        code: CodeRef | None = None,
        once: bool = False,
        event_facts: Mapping[str, Any] | None = None,
        **described: Unpack[Described],
    ) -> ModelMetadata:
        """Register and save a model that a training logged to the tracking backend.

        Loads it once, which runs what was pickled in it. One that none of our formats
        can hold is kept as MLflow wrote it (framework ``mlflow``). Parameters, metrics,
        datasets and commit come from its run; what is given wins.

        Args:
            model_uri: ``runs:/RUN_ID/model``, ``models:/MODEL_ID``, ``models:/NAME/3``.
            name: Model.
            copy: Keep its files; ``False`` keeps address and digests (``external_uri``).
            model_type: What it does; asked of the model if not given.
            reference: Data that later traffic is compared with (a Parquet path too).
            target: Label column of ``reference``, which is not profiled.
            datasets: Data that went in.
            hyperparameters: JSON, added to the run's.
            metrics: Finite numbers, added to the run's.
            flow_run_id: Prefect flow run.
            code: Code that trained it.
            once: Give the version that the model is already; a save that died goes on.
            event_facts: Kept with ``once``, for the version's event: evaluations, target,
                policy.
            **described: As in :meth:`register_model`: description, tags, bump ...

        Raises:
            InvalidMetadataError: If something of it can't be kept; nothing is.
            TrackingError: If there is no such model.
            SerializationError: If it can't be loaded here.
            MissingExtraError: If an extra brings its library.
            VersionExistsError: If it is a version of this registry, or somebody adopts
                it ``once`` at this moment.
        """
        check_model_name(name)
        as_text("model_uri", model_uri, required=True)
        said = Said(model_type, reference, target, datasets, hyperparameters, metrics)
        wanted = Wanted(name, model_uri, said, copy, code, described)
        facts = check_event_facts(name, model_uri, event_facts)
        with lineage_context(flow_run_id=flow_run_id, model_uri=model_uri):
            if once:
                return self._adopter.adopt_once(wanted, facts)
            return self._adopter.adopt(wanted)

    def transition(
        self,
        name: str,
        version: ModelVersion | str,
        stage: str,
        *,
        actor: str | None = None,
        reason: str = "",
        replacing: ModelVersion | str | None = None,
    ) -> StageRecord:
        """Move a version to ``staging``, ``production`` or ``archived``.

        Staging and production have one holder each; who is displaced is archived.

        Args:
            name: Model.
            version: Exact version.
            stage: Where to.
            actor: Who decides; the user of this process if not given.
            reason: Why; kept for ever.
            replacing: Only if this version is in the stage at that moment, ``"none"``
                for nobody: who you compared with. Without it, whoever is there.

        Returns:
            The record, with ``replaced`` if somebody was displaced.

        Raises:
            ModelNotSavedError: If it is registered but not saved.
            StageTransitionError: If that is not allowed; says what is.
            StageHolderError: If another version is there than ``replacing``.
        """
        found = ModelVersion.parse(version)
        if stage == "archived":  # also a version whose claim is lost
            found = self._backends.journal.as_written(check_model_name(name), found)
        else:
            found = self._claimed(name, found)
        return self._changer.transition(name, found, stage, actor, reason, replacing)

    def rollback(
        self, name: str, *, actor: str | None = None, reason: str = ""
    ) -> StageRecord:
        """Bring back what was in production before; the present one is archived.

        Called again, it goes one more step back. What can't be loaded any more is
        passed over, and the record says so.

        Args:
            name: Model.
            actor: Who decides; the user of this process if not given.
            reason: Why; kept for ever.

        Returns:
            The record, with ``replaced``: who was there.

        Raises:
            StageTransitionError: If nothing was there before, or a lost record hides
                who is there.
        """
        return self._changer.rollback(check_model_name(name), actor, reason)

    def set_alias(
        self,
        name: str,
        alias: str,
        version: ModelVersion | str | None,
        *,
        actor: str | None = None,
        reason: str = "",
    ) -> None:
        """Point an own alias at a version; ``None`` removes it.

        Args:
            name: Model.
            alias: Any number of them may be on a version.
            version: Exact version, ready; where the alias was, it is no more.
            actor: Who decides; the user of this process if not given.
            reason: Why; kept for ever.

        Raises:
            InvalidNameError: If it is a stage, ``latest``, ``x``, ``v1`` or reads as a
                constraint.
            ModelNotSavedError: If the version is registered but not saved.
            VersionNotFoundError: If its number was never taken, or is deleted.
        """
        found = None if version is None else self._claimed(name, version)
        self._changer.set_alias(check_model_name(name), alias, found, actor, reason)

    def delete_version(
        self,
        name: str,
        version: ModelVersion | str,
        *,
        actor: str | None = None,
        reason: str = "",
        force: bool = False,
    ) -> None:
        """Put a tombstone on a version: nothing loads it, its number is never reused.

        Its aliases go; its files stay until :meth:`collect_garbage`.

        Args:
            name: Model.
            version: Exact version.
            actor: Who decides; the user of this process if not given.
            reason: Why; kept for ever.
            force: Also if a deployment could roll back to it, or another model needs
                it by constraint and no other version will do.

        Raises:
            StageTransitionError: If it is in production.
            VersionInUseError: If a deployment serves it, or somebody needs it.
            DamagedArtifactError: If the files of a deployment can't be read.
        """
        exact = ModelVersion.parse(version)
        found = self._backends.journal.as_written(check_model_name(name), exact)
        self._changer.delete(name, found, actor, reason, force=force)
