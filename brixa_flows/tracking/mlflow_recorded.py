"""The digest that was recorded for a version, on its own run."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from brixa_flows.tracking import tags as keys
from brixa_flows.tracking.mlflow_runs import find_experiment, own_run
from brixa_flows.tracking.mlflow_versions import find_run, is_active

__all__ = ["RecordedDigests"]


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
        run = find_run(client, run_id) if run_id else None
        if run is not None and _names(run, name, version):
            if name not in self._experiments and (
                found := find_experiment(client, name)
            ):
                self._experiments[name] = found
            if str(run.info.experiment_id) == self._experiments.get(name):
                return str(run.data.tags[keys.DIGEST])
        return self._search(client, name, version)

    def _search(self, client: MlflowClient, name: str, version: str) -> str | None:
        experiment_id = find_experiment(client, name)
        run = own_run(client, experiment_id, version) if experiment_id else None
        if run is None:
            return None
        self._runs[name, version] = str(run.info.run_id)
        digest: str | None = run.data.tags.get(keys.DIGEST)
        return digest


def _names(run: Run, name: str, version: str) -> bool:
    """Whether a run is alive, has a digest and says that it is the version's."""
    said = run.data.tags
    named = (said.get(keys.MODEL), said.get(keys.VERSION)) == (name, version)
    return named and is_active(run) and keys.DIGEST in said
