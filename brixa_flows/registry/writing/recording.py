"""Tells the tracking backend and the journal of a version, in the words of each.

Every step can be repeated; a save, a recovery, a rebuild and a person's word make them
in the same order: the run, the version, the seal.
"""

from __future__ import annotations

from datetime import datetime

from brixa_flows.registry.facts.metadata import Lineage, ModelMetadata, Stage
from brixa_flows.registry.facts.records import Claim, Core, Mutable, Seal, new_id, now
from brixa_flows.registry.facts.reference import PROFILE_NAME
from brixa_flows.registry.journal.measuring import history, tracked_dataset
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.serializers.manifest import ArtifactManifest
from brixa_flows.tracking import TrackedVersion, tags

__all__ = [
    "BIRTH_FACTS",
    "birth_facts",
    "record_run",
    "seal_version",
    "show_version",
]

BIRTH_FACTS = (
    tags.FRAMEWORK,
    tags.MODEL_TYPE,
    tags.TRAINING_RUN,
    tags.FLOW_RUN,
    tags.EXTERNAL_URI,
    tags.CODE_COMMIT,
)


def record_run(
    backends: Backends,
    claim: Claim,
    core: Core,
    digest: str | None,
    mutable: Mutable,
    at: datetime | None = None,
    lineage: Lineage | None = None,
) -> str:
    """Make the version's own run, which carries the digest; returns its id.

    Args:
        backends: The places.
        claim: Of the version.
        core: Its core, which a save may have completed.
        digest: Of its manifest, ``None`` if nobody vouches for it.
        mutable: What ``{version}_meta.json`` says.
        at: When it was saved, if not now.
        lineage: What went into it, if the claim is not asked for that.
    """
    lineage, at = lineage or claim.lineage, at or now()
    datasets = [tracked_dataset(each) for each in lineage.datasets]
    datasets += [tracked_dataset(each) for each in mutable.judged_on]
    return backends.tracking.open_run(
        core.name,
        str(core.version),
        digest=digest,
        params=core.hyperparameters,
        measured=history(backends.journal, claim, mutable, at),
        datasets=datasets,
        tags=birth_facts(core, lineage),
        at=at,
    )


def show_version(
    backends: Backends,
    core: Core,
    mutable: Mutable,
    lineage: Lineage,
    run_id: str,
    stage: Stage | None = None,
) -> TrackedVersion:
    """Make the version visible in the tracking backend, all tags in one call."""
    prefix = backends.layout.version_prefix(core.name, core.version)
    return backends.tracking.create_version(
        core.name,
        str(core.version),
        source=f"{backends.storage.uri.rstrip('/')}/{prefix}",
        run_id=run_id,
        description=mutable.description,
        tags=mutable.tags,
        owner=mutable.owner,
        custom=mutable.custom,
        facts={
            **birth_facts(core, lineage),
            tags.STATE: "ready",
            **({tags.STAGE: stage} if stage else {}),
        },
    )


def seal_version(
    backends: Backends,
    claim: Claim,
    manifest: ArtifactManifest,
    tracked: TrackedVersion,
) -> Seal:
    """Declare the published files final: from here on the version can be loaded."""
    seal = Seal(
        claim_id=claim.id,
        digest=manifest.digest,
        run_id=tracked.run_id or "",
        backend_version=tracked.backend_version,
        size_bytes=manifest.size_bytes,
        has_reference=PROFILE_NAME in manifest.files,
        saved_at=now(),
        run_at=tracked.run_at,
        event_id=new_id(),
    )
    return backends.journal.seal(claim.core.name, claim.core.version, seal)


def birth_facts(core: Core | ModelMetadata, lineage: Lineage) -> dict[str, str]:
    """Our tags of a version and its run that never change."""
    facts = {
        tags.FRAMEWORK: core.framework,
        tags.MODEL_TYPE: core.model_type,
        tags.TRAINING_RUN: lineage.run_id,
        tags.FLOW_RUN: lineage.flow_run_id,
        tags.EXTERNAL_URI: core.external_uri,
    }
    if lineage.code is not None:
        dirty = "+dirty" if lineage.code.dirty else ""
        facts[tags.CODE_COMMIT] = lineage.code.commit + dirty
    return {key: value for key, value in facts.items() if value}
