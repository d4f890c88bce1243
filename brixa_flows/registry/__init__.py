"""Versions, stages and lineage of models: the heart.

::

    registry    ModelRegistry: the whole API
    catalog     its reading half: find, explain, load (query_catalog, trusted_catalog,
                maintained and described go on from there)
    adopter, adopting   a model that a training logged to MLflow becomes a version

    upkeep      finds what is wrong, finishes what a crash left, rebuilds, cleans up
    writing     registers, saves, moves and describes versions
    reading     puts each fact together from its authority
    journal     what storage holds: records that are created once
    facts       values and rules, pure

Each room imports only from those below it.
"""

from brixa_flows.registry.facts.diffing import VersionDiff
from brixa_flows.registry.facts.graph import LineageGraph
from brixa_flows.registry.facts.lineage import git_state, lineage_context
from brixa_flows.registry.facts.metadata import (
    CodeRef,
    DatasetRef,
    FeatureRef,
    Lineage,
    ModelMetadata,
    ParentRef,
    StageRecord,
    Verification,
)
from brixa_flows.registry.facts.repairs import RecoveryAction
from brixa_flows.registry.facts.schemas import infer_schemas
from brixa_flows.registry.facts.timeline import AliasRecord, StageSnapshot
from brixa_flows.registry.journal.trust_records import TrustRecord
from brixa_flows.registry.reading.feed import Recorded
from brixa_flows.registry.reading.opening import OpenedVersion
from brixa_flows.registry.reading.searching import SearchPage
from brixa_flows.registry.registry import ModelRegistry
from brixa_flows.registry.upkeep.garbage import Garbage

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
