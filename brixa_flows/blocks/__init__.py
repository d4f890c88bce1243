"""Prefect block types; the target of the ``prefect.collections`` entry point.

::

    registry        BrixaRegistry: a storage, an MLflow backend, and what may be loaded
    storage         BrixaStorage: where the files are
    backend         BrixaMlflowBackend: where the tracking data are, and who asks
    signing_keys    BrixaSigningKeys: who vouches for a new version
    gate_policy     BrixaGatePolicy: what a version must show to go on
    drift_policy    BrixaDriftPolicy: which windows of traffic raise an alarm
    serving_target  BrixaServingTarget: how a version is served
    saving          documents kept up to date, secrets that people typed included

Every Prefect process imports this module, so it stays light: the method that opens a
room of the domain imports it. A registry refers to the
documents of its storage and its backend, which Prefect's form offers to choose from:
one backend, whose password changes in one place, serves many registries. Every other
field is flat and has no alternatives, so that forms are plain.
"""

from brixa_flows.blocks.backend import BrixaMlflowBackend
from brixa_flows.blocks.drift_policy import BrixaDriftPolicy
from brixa_flows.blocks.gate_policy import BrixaGatePolicy, GateRule
from brixa_flows.blocks.registry import BrixaRegistry
from brixa_flows.blocks.saving import save_documents
from brixa_flows.blocks.serving_target import BrixaServingTarget
from brixa_flows.blocks.signing_keys import BrixaSigningKeys
from brixa_flows.blocks.storage import BrixaStorage

__all__ = [
    "BrixaDriftPolicy",
    "BrixaGatePolicy",
    "BrixaMlflowBackend",
    "BrixaRegistry",
    "BrixaServingTarget",
    "BrixaSigningKeys",
    "BrixaStorage",
    "GateRule",
    "save_documents",
]
