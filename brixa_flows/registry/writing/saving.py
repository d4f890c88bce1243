"""Saves a model under a claimed number: all of it or nothing.

The order of the steps is what makes a crash harmless (see the notes at each): lease,
staged files, the version's own run with the digest, files published, the version
visible in the tracking backend, seal.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brixa_flows.errors import (
    BrixaError,
    ObjectExistsError,
    ObjectNotFoundError,
    SchemaBumpWarning,
    TrackingError,
    VersionExistsError,
    VersionNotFoundError,
)
from brixa_flows.registry.facts.card import CARD_NAME, model_card
from brixa_flows.registry.facts.inputs import check_columns
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.registry.facts.records import (
    Claim,
    Core,
    MetadataFile,
    Mutable,
    SchemaBump,
    Seal,
)
from brixa_flows.registry.facts.reference import (
    PROFILE_NAME,
    example_from,
    write_profile,
)
from brixa_flows.registry.facts.schema_changes import bump_for
from brixa_flows.registry.facts.schemas import infer_schemas
from brixa_flows.registry.journal.leases import HeldLease
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import LINEAGE_NAME, Reader
from brixa_flows.registry.writing.index import update_index
from brixa_flows.registry.writing.mirroring import file_anew
from brixa_flows.registry.writing.recording import (
    record_run,
    seal_version,
    show_version,
)
from brixa_flows.registry.writing.registering import Registrar, changes_between
from brixa_flows.serializers import save_model_files, serializer_for
from brixa_flows.serializers.base import SavedModel, SaveOptions
from brixa_flows.serializers.callers import callers_level
from brixa_flows.serializers.environment import environment_of
from brixa_flows.serializers.manifest import (
    MANIFEST_NAME,
    ArtifactManifest,
    build_manifest,
    write_manifest,
)
from brixa_flows.storage.durable import explain
from brixa_flows.tracking import TrackedVersion
from brixa_flows.tracking.mlmodel import write_mlmodel
from brixa_flows.versioning import ModelVersion

__all__ = ["SaveRequest", "Saver"]

_LOG = logging.getLogger(__name__)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)
_PARTS = ("major", "minor", "patch")
_TAKEN_OVER = (
    "was taken over by another process while this one was stopped or out of reach of "
    "the storage; save the model as the next version if it is another one"
)


@dataclass(frozen=True)
class SaveRequest:
    """What is saved: the model, and what the caller gave with it.

    Attributes:
        model: The object.
        options: How it is written.
        reference: Data that becomes the drift profile.
        target: Label column of it.
        external_uri: Where the model's files stay, if they are not copied.
        signature: MLflow's own, where that says more than the schemas can.
    """

    model: Any
    options: SaveOptions
    reference: Any = None
    target: str | None = None
    external_uri: str | None = None
    signature: Mapping[str, Any] | None = None


class Saver:
    """Saves models.

    Args:
        backends: The places.
        reader: What is known already.
        registrar: What the schemas are compared with.
    """

    def __init__(
        self, backends: Backends, reader: Reader, registrar: Registrar
    ) -> None:
        self._backends = backends
        self._reader = reader
        self._registrar = registrar

    def save(self, claim: Claim, request: SaveRequest) -> ModelMetadata:
        """Save under a claimed number.

        Raises:
            VersionExistsError: If it is saved already, or being saved.
            VersionNotFoundError: If its number was deleted.
            FrameworkMismatchError: If the object is of another framework.
            SerializationError: If it can't be written.
            InvalidSchemaError: If what the data shows is no schema.
        """
        name, version = claim.core.name, claim.core.version
        with self._backends.leases.hold(name, version) as lease:
            self._refuse_unless_free(claim)
            framework, _ = serializer_for(request.model, claim.core.framework)
            self._backends.tracking.ping()  # before minutes go into writing files
            with self._backends.storage.staging() as directory:
                with _disk_explained(f"{name} {version}", directory):
                    manifest, mutable = self._stage(
                        claim, request, framework, directory
                    )
                seal, tracked = self._commit(claim, manifest, mutable, directory, lease)
        standing = update_index(self._backends, self._reader, name)
        return self._reader.assemble(
            claim, seal, tracked, standing or self._reader.standing(name)
        )

    def _refuse_unless_free(self, claim: Claim) -> None:
        name, version = claim.core.name, claim.core.version
        standing = self._reader.standing(name)
        state = standing.state(version)
        if state == "deleted":
            raise VersionNotFoundError(
                name,
                str(version),
                standing.ready,
                standing.lifecycle.why_deleted(version),
            )
        if state != "registered":
            raise VersionExistsError(name, version, f"is saved already ({state})")
        self._clear_interrupted(claim)

    def _clear_interrupted(self, claim: Claim) -> None:
        """What a save that died after publishing left behind.

        Invisible to readers, so it may go; but where the tracking backend recorded it,
        it is completed instead: its process may be stopped, and wake.
        """
        name, version = claim.core.name, claim.core.version
        published = self._published(name, version)
        if published is None:
            return
        tracking = self._backends.tracking
        recorded = tracking.recorded_digest(name, str(version))
        if recorded != published and tracking.get_version(name, str(version)) is None:
            prefix = self._backends.layout.version_prefix(name, version)
            self._backends.storage.delete(prefix)
            return
        raise VersionExistsError(
            name,
            version,
            "was saved by a call that was interrupted; brixa doctor --fix (recover()) "
            "completes it",
        )

    def _published(self, name: str, version: ModelVersion) -> str | None:
        """Digest of the files that are visible under a version, if there are any."""
        prefix = self._backends.layout.version_prefix(name, version)
        try:
            data, _ = self._backends.storage.read(f"{prefix}/{MANIFEST_NAME}")
        except ObjectNotFoundError:
            return None
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _stage(
        self, claim: Claim, request: SaveRequest, framework: str, directory: Path
    ) -> tuple[ArtifactManifest, Mutable]:
        """Write every file of the version into a private directory."""
        check_columns("input_example", request.options.input_example)
        check_columns("reference", request.reference)
        _, saved = save_model_files(
            request.model, directory, framework, request.options
        )
        environment = environment_of(request.model, framework)
        core = self._final_core(claim, request, framework)
        file = self._backends.journal.read_metadata(core.name, core.version)
        mutable = (file or file_anew(self._backends, claim, None)).mutable
        trained_with = {**environment, **claim.lineage.environment}
        lineage = claim.lineage.model_copy(update={"environment": trained_with})
        if request.reference is not None:
            write_profile(
                request.reference,
                directory / PROFILE_NAME,
                core.input_schema,
                request.target,
            )
        _write_text(directory / LINEAGE_NAME, lineage.model_dump_json(indent=2) + "\n")
        _write_text(directory / CARD_NAME, model_card(core, mutable, lineage, saved))
        self._write_mlmodel(core, request, environment, directory)
        manifest = _manifest(directory, saved, core, environment)
        write_manifest(directory, manifest)
        return manifest, mutable

    def _final_core(self, claim: Claim, request: SaveRequest, framework: str) -> Core:
        """The core as registered, completed by what the model and its data show."""
        core = claim.core.model_copy(
            update={"framework": framework, "external_uri": request.external_uri}
        )
        example = request.options.input_example
        if example is None:
            example = example_from(request.model, request.reference)
        if example is None or (core.input_schema and core.output_schema):
            return core
        with _lent_tokenizer(request.model, request.options):
            input_schema, output_schema = infer_schemas(request.model, example)
        inferred = core.model_copy(
            update={
                "input_schema": core.input_schema or input_schema,
                "output_schema": core.output_schema or output_schema,
            }
        )
        bump = self._bump_missed(inferred)
        return inferred.model_copy(update={"schema_bump": bump})

    def _bump_missed(self, core: Core) -> SchemaBump | None:
        """Warn if the inferred schemas ask for more than the number says."""
        base = self._registrar.base_of(core.name, below=core.version)
        if base is None:
            return None
        changes = changes_between(base, core)
        needed, made = bump_for(changes), _bump_made(base.version, core.version)
        if _PARTS.index(needed) >= _PARTS.index(made):
            return None
        told = tuple(str(change) for change in changes[:20])
        warnings.warn(
            f"{core.name} {core.version} is a {made} step after {base.version}, but its "
            f"schemas ask for a {needed} one: {'; '.join(told[:3])}; register it with "
            f"bump={needed!r}, or give infer_schemas() to register_model",
            SchemaBumpWarning,
            stacklevel=callers_level(),
        )
        return SchemaBump(against=base.version, made=made, needed=needed, changes=told)

    def _write_mlmodel(
        self,
        core: Core,
        request: SaveRequest,
        environment: Mapping[str, str],
        directory: Path,
    ) -> None:
        write_mlmodel(
            directory,
            name=core.name,
            version=str(core.version),
            framework=str(core.framework),
            input_schema=core.input_schema,
            output_schema=core.output_schema,
            environment=environment,
            input_example=request.options.input_example,
            signature=request.signature,
        )

    def _commit(
        self,
        claim: Claim,
        manifest: ArtifactManifest,
        mutable: Mutable,
        directory: Path,
        lease: HeldLease,
    ) -> tuple[Seal, TrackedVersion]:
        name, version = claim.core.name, claim.core.version
        backends = self._backends
        core = Core.model_validate(manifest.core)
        if not lease.still_ours():
            raise VersionExistsError(name, version, _TAKEN_OVER)
        # The digest is recorded before the files can be seen: what is seen later with
        # another digest, or with none recorded, was not saved here.
        run_id = record_run(backends, claim, core, manifest.digest, mutable)
        backends.journal.change_metadata(
            claim,
            lambda old: MetadataFile(core=core, mutable=old.mutable),
            lambda: file_anew(backends, claim, None),
        )
        if not lease.still_ours():
            raise VersionExistsError(name, version, _TAKEN_OVER)
        prefix = backends.layout.version_prefix(name, version)
        try:
            backends.storage.publish(directory, prefix)
        except ObjectExistsError as err:
            raise VersionExistsError(name, version, "is saved already") from err
        try:
            if not lease.still_ours():
                self._check_record(core, manifest)
            tracked = show_version(backends, core, mutable, claim.lineage, run_id)
            seal = seal_version(backends, claim, manifest, tracked)
        except BaseException:
            self._take_back(name, version, manifest)
            raise
        if seal.digest != manifest.digest:
            raise VersionExistsError(name, version, _TAKEN_OVER)
        return seal, tracked

    def _check_record(self, core: Core, manifest: ArtifactManifest) -> None:
        """Refuse to go on where whoever took over recorded other files.

        Nobody does after our files are visible: the record of the files that are is
        left alone.
        """
        tracking, text = self._backends.tracking, str(core.version)
        if tracking.recorded_digest(core.name, text) != manifest.digest:
            raise VersionExistsError(core.name, core.version, _TAKEN_OVER)

    def _take_back(
        self, name: str, version: ModelVersion, manifest: ArtifactManifest
    ) -> None:
        """After a failure: files that nobody was told of may go.

        Where the tracking backend does not answer either, or shows the version, they
        stay, unsealed and unseen, for recover() to complete or the next save to clear.
        """
        backends = self._backends
        try:
            shown = backends.tracking.get_version(name, str(version)) is not None
        except TrackingError as err:
            _LOG.warning("%s %s waits for recover(): %s", name, version, err)
            return
        if not shown and self._published(name, version) == manifest.digest:
            backends.storage.delete(backends.layout.version_prefix(name, version))


def _manifest(
    directory: Path, saved: SavedModel, core: Core, environment: Mapping[str, str]
) -> ArtifactManifest:
    return build_manifest(directory, saved, core.model_dump(mode="json"), environment)


@contextmanager
def _disk_explained(label: str, directory: Path) -> Iterator[None]:
    """Put an error of the disk, which comes out of any library, in our words.

    Others are the business of whom the model or the data belongs to.
    """
    try:
        yield
    except OSError as err:
        if isinstance(err, BrixaError) or err.errno not in _OF_THE_DISK:
            raise
        with explain(f"write the files of {label}", str(directory)):
            raise


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def _bump_made(old: ModelVersion, new: ModelVersion) -> str:
    if new.major != old.major:
        return "major"
    return "minor" if new.minor != old.minor else "patch"


@contextmanager
def _lent_tokenizer(model: Any, options: SaveOptions) -> Iterator[None]:
    """The tokenizer that is saved with a model, so that it reads an example of texts."""
    if options.tokenizer is None or hasattr(model, "brixa_tokenizer"):
        yield
        return
    model.brixa_tokenizer = options.tokenizer
    try:
        yield
    finally:
        del model.brixa_tokenizer
