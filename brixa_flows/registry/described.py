"""The part of the registry that keeps what is said and found out about a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from brixa_flows.errors import InvalidMetadataError
from brixa_flows.registry.facts.inputs import as_json_object
from brixa_flows.registry.facts.metadata import DatasetRef, ModelMetadata
from brixa_flows.registry.maintained import MaintainedRegistry
from brixa_flows.registry.writing.describing import Describer
from brixa_flows.versioning import ModelVersion

__all__ = ["DescribedRegistry"]


class DescribedRegistry(MaintainedRegistry):
    """Versions of models, with what people say of them and what was measured."""

    @cached_property
    def _describer(self) -> Describer:
        return Describer(self._backends, self._reader)

    def update(
        self,
        name: str,
        version: ModelVersion | str,
        *,
        description: str | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        custom: Mapping[str, Any] | None = None,
        owner: str | None = None,
    ) -> ModelMetadata:
        """Change what is given, in MLflow too if the version is saved.

        Args:
            name: Model.
            version: Exact version, registered or saved.
            description: New text; ``""`` clears it.
            tags: Merged into those there; a value of ``None`` removes one.
            custom: Replaces the old one.
            owner: New owner; ``""`` clears it.

        Returns:
            Everything about the version after it.

        Raises:
            VersionNotFoundError: If the number was never taken, or is deleted.
            InvalidMetadataError: If something of it can't be stored; then nothing is.
            DamagedArtifactError: If a record of the version can't be read.
            TrackingUnavailableError: If the version is saved and MLflow is away.
        """
        found = self._claimed(name, version)
        self._describer.update(
            name, found, description=description, tags=tags, custom=custom, owner=owner
        )
        return self._reader.metadata(name, found)

    def log_metrics(
        self,
        name: str,
        version: ModelVersion | str,
        metrics: Mapping[str, float],
        dataset: DatasetRef | Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add metrics (finite numbers), tied to the data they were measured on.

        Args:
            name: Model.
            version: Exact version.
            metrics: By name.
            dataset: What they were measured on, if that is known.
            at: The moment that they are about, if it is not now; without a zone it is
                UTC.

        Raises:
            InvalidMetadataError: If one is no finite number, or its name can't be.
        """
        self._describer.log_metrics(
            name, self._claimed(name, version), metrics, dataset, at
        )

    def log_report(
        self,
        name: str,
        version: ModelVersion | str,
        filename: str,
        content: str | bytes,
    ) -> str:
        """Keep a report file beside the version's MLflow run; returns its MLflow URI."""
        found = self._claimed(name, version)
        return self._describer.log_report(name, found, filename, content)

    def record_evaluation(
        self, name: str, version: ModelVersion | str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Append an evaluation (JSON) to the version's journal; kept for ever."""
        found = self._claimed(name, version)
        return self._describer.record(name, found, "evaluations", payload)

    def record_drift(
        self, name: str, version: ModelVersion | str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Append a drift report (JSON) to the version's journal; kept for ever."""
        found = self._claimed(name, version)
        return self._describer.record(name, found, "drift", payload)

    def record_performance(
        self, name: str, version: ModelVersion | str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Append how good the version was in a window (JSON); kept for ever."""
        found = self._claimed(name, version)
        return self._describer.record(name, found, "performance", payload)

    def record_estimator(
        self, name: str, version: ModelVersion | str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Append what estimates the version's performance; the last one counts.

        Args:
            name: Model.
            version: Exact version, saved.
            payload: JSON with ``estimator``, a :class:`PerformanceEstimator` as a
                mapping, and whatever else is to be known of it.

        Raises:
            InvalidMetadataError: If there is no estimator in it, or no JSON.
        """
        found = self._claimed(name, version)
        if not isinstance(as_json_object("estimators", payload).get("estimator"), dict):
            raise InvalidMetadataError(
                "estimators", "lacks 'estimator'; give PerformanceEstimator.to_dict()"
            )
        return self._describer.record(name, found, "estimators", payload)
