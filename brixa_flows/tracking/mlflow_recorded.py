"""The digest that was recorded for a version, on its own run."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from sqlalchemy import bindparam, select

from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.mlflow_runs import find_experiment, own_run
from brixa_flows.tracking.mlflow_versions import find_run, is_active

__all__ = ["RecordedDigests"]

_EXPERIMENT = ""
"""No tag has that key."""

_TAGS = (
    select(SqlRun.experiment_id, SqlTag.key, SqlTag.value)
    .join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid)
    .where(SqlRun.run_uuid == bindparam("run_id"), SqlRun.lifecycle_stage == "active")
    .where(SqlTag.key.in_([keys.MODEL, keys.VERSION, keys.DIGEST]))
)


class RecordedDigests:
    """Finds recorded digests, by one question where it can; remembers none of them.

    What it remembers is where to look: an experiment keeps its id for life, and deleting
    it deletes its runs; a run that is no longer the version's own is searched again.
    """

    def __init__(self) -> None:
        self._experiments: dict[str, str] = {}
        self._runs: dict[tuple[str, str], str] = {}

    def digest(
        self, client: MlflowClient, name: str, version: str, run_id: str | None
    ) -> str | None:
        """See ``TrackingStore.recorded_digest``.

        Args:
            client: Of the backend.
            name: Model.
            version: Its version.
            run_id: The run that may be the one.
        """
        # Before what the caller knows, which may be of before a rebuild.
        run_id = self._runs.get((name, version), run_id)
        said = _said_by(client, run_id) if run_id else {}
        if (said.get(keys.MODEL), said.get(keys.VERSION)) == (name, version):
            if name not in self._experiments and (
                found := find_experiment(client, name)
            ):
                self._experiments[name] = found
            if said[_EXPERIMENT] == self._experiments.get(name) and keys.DIGEST in said:
                return said[keys.DIGEST]
        return self._search(client, name, version)

    def _search(self, client: MlflowClient, name: str, version: str) -> str | None:
        experiment_id = find_experiment(client, name)
        run = own_run(client, experiment_id, version) if experiment_id else None
        if run is None:
            return None
        self._runs[name, version] = str(run.info.run_id)
        digest: str | None = run.data.tags.get(keys.DIGEST)
        return digest


def _said_by(client: MlflowClient, run_id: str) -> dict[str, str]:
    """Tags of a run and the id of its experiment; nothing if it is not alive.

    ``get_run`` makes ten statements of SQL of it. Each load pays them, so a database
    that is opened directly is asked by one.
    """
    engine = getattr(client._tracking_client.store, "engine", None)
    if engine is None:
        run = find_run(client, run_id)
        if run is None or not is_active(run):
            return {}
        return {**run.data.tags, _EXPERIMENT: str(run.info.experiment_id)}
    with engine.connect() as connection:
        rows = connection.execute(_TAGS, {"run_id": run_id}).all()
    said = {str(key): str(value) for _, key, value in rows}
    return {**said, _EXPERIMENT: str(rows[0][0])} if rows else {}
