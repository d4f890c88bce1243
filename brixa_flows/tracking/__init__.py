"""The one door to MLflow."""

from brixa_flows.tracking.base import (
    AdoptableModel,
    TrackedDataset,
    TrackedMeasurement,
    TrackedVersion,
    TrackingStore,
)
from brixa_flows.tracking.opening import open_store

__all__ = [
    "AdoptableModel",
    "TrackedDataset",
    "TrackedMeasurement",
    "TrackedVersion",
    "TrackingStore",
    "open_store",
]
