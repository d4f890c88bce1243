"""The run that belongs to a version: made, found again, replaced, vouched for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from brixa_flows.errors import TrackingError
from brixa_flows.tracking import mlflow_runs as runs
from brixa_flows.tracking import mlflow_versions as versions
from brixa_flows.tracking import tags as keys

__all__ = ["OwnRuns"]


class OwnRuns:
    """Runs of the versions of one model.

    Args:
        client: Of the backend.
        models: Its registry, one layer below, for tags at a flat cost.
        name: Model.
        shown: Address of the backend, for messages.
    """

    def __init__(
        self, client: MlflowClient, models: Any, name: str, shown: str
    ) -> None:
        self._client = client
        self._models = models
        self._name = name
        self._shown = shown

    def ensure(
        self,
        experiment_id: str,
        version: str,
        digest: str | None,
        tags: Mapping[str, str],
        at: datetime | None,
    ) -> Run:
        """The run of a version with that digest; see ``TrackingStore.open_run``."""
        found = runs.own_run(self._client, experiment_id, version)
        if found is not None:
            recorded = found.data.tags.get(keys.DIGEST)
            if digest is None or recorded == digest:
                return found
            if recorded is None:
                return self._vouch(found, version, digest)
            self._make_way(version, found, digest)
        return runs.create(
            self._client, experiment_id, self._name, version, digest, tags, at
        )

    def _vouch(self, found: Run, version: str, digest: str) -> Run:
        """Record the digest of a run that was made without one."""
        shown = versions.find(self._client, self._name, version)
        if shown is not None:
            number = str(shown.version)
            self._models.set_model_version_tag(self._name, number, keys.DIGEST, digest)
        # Last, as this is what trust rests on.
        self._client.set_tag(found.info.run_id, keys.DIGEST, digest)
        return found

    def _make_way(self, version: str, found: Run, digest: str) -> None:
        """Remove the run of an earlier attempt, whose version never got visible."""
        if versions.find(self._client, self._name, version) is not None:
            recorded = found.data.tags[keys.DIGEST]
            raise TrackingError(
                f"{self._name} {version} is recorded in {self._shown} with the digest "
                f"{recorded}, which is never overwritten by {digest}: other files were "
                "saved under that number once; save these under another one (brixa model "
                f"delete {self._name}@{version} --reason WHY gives this one up)"
            )
        self._client.delete_run(found.info.run_id)
