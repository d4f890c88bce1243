"""The one door to MLflow."""

from brixa_flows.tracking.base import (
    AdoptableModel,
    LoggedModel,
    TrackedDataset,
    TrackedMeasurement,
    TrackedVersion,
    TrackingStore,
)
from brixa_flows.tracking.opening import open_store

__all__ = [
    "AdoptableModel",
    "LoggedModel",
    "TrackedDataset",
    "TrackedMeasurement",
    "TrackedVersion",
    "TrackingStore",
    "open_store",
]
