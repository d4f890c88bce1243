"""Versions, stages and lineage of models: the heart.

::

    registry    ModelRegistry: the whole API; catalog is its reading half
    metadata    what is known about a version, as values
    layout      storage keys            journal     conditional-create records
    stages      transition table        records     what the journal writes
    schemas     check and infer         schema_changes   the bump they ask for
    signatures  who signed files    trust_records    who vouched, when and why
    registering saving opening changing describing adopting recovery
    adoptions   what a logged model became  feed    what is new in the journal
    trusting vouching searching diffing timeline checking rebuilding: one task each
    recording   run, version and seal   mirroring   what MLflow shows of a version
    in_use      who needs a version    garbage     what nobody needs
    lineage     what went in            graph       questions both ways
"""

from brixa_flows.registry.diffing import VersionDiff
from brixa_flows.registry.feed import Recorded
from brixa_flows.registry.garbage import Garbage
from brixa_flows.registry.graph import LineageGraph
from brixa_flows.registry.lineage import git_state, lineage_context
from brixa_flows.registry.metadata import (
    CodeRef,
    DatasetRef,
    FeatureRef,
    Lineage,
    ModelMetadata,
    ParentRef,
    StageRecord,
    Verification,
)
from brixa_flows.registry.opening import OpenedVersion
from brixa_flows.registry.registry import ModelRegistry
from brixa_flows.registry.repairs import RecoveryAction
from brixa_flows.registry.schemas import infer_schemas
from brixa_flows.registry.searching import SearchPage
from brixa_flows.registry.timeline import AliasRecord, StageSnapshot
from brixa_flows.registry.trust_records import TrustRecord

__all__ = [
    "AliasRecord",
    "CodeRef",
    "DatasetRef",
    "FeatureRef",
    "Garbage",
    "Lineage",
    "LineageGraph",
    "ModelMetadata",
    "ModelRegistry",
    "OpenedVersion",
    "ParentRef",
    "Recorded",
    "RecoveryAction",
    "SearchPage",
    "StageRecord",
    "StageSnapshot",
    "TrustRecord",
    "Verification",
    "VersionDiff",
    "git_state",
    "infer_schemas",
    "lineage_context",
]
