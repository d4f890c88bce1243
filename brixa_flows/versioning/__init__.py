"""Semantic versions and version constraints: pure values, no I/O."""

from brixa_flows.versioning.constraint import VersionConstraint
from brixa_flows.versioning.version import ModelVersion

__all__ = ["ModelVersion", "VersionConstraint"]
