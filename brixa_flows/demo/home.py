"""The demo's folder: where everything lies, and who may remove it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from brixa_flows.errors import OrchestrationError

__all__ = ["DemoHome"]

_MARK = ".brixa-demo-home"
# Many small writes become few, the worker asks often, and a refused write is logged.
_QUICK_SERVER = {
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "5",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_LOG_RETRYABLE_ERRORS": "true",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
_FOREIGN_PREFIXES = ("PREFECT_", "BRXA_", "MLFLOW_")


class DemoHome:
    """One folder that holds all that a demo writes.

    Args:
        path: The folder; made by :meth:`make_fresh`.
        prefect_database: URL of the database of the demo's Prefect; empty is a file of
            sqlite in the folder.

    Attributes:
        path: Absolute path of the folder.
        prefect: Home of the demo's own Prefect (profile, database).
        storage: Root of the registry's storage, MLflow's database included.
        data: Labelled months and windows of traffic, as Parquet.
        logs: One log file a process.
        links: What KEEP=1 left running.
    """

    def __init__(self, path: Path | str, prefect_database: str = "") -> None:
        self.path = Path(path).resolve()
        self._prefect_database = prefect_database
        self.prefect = self.path / "prefect"
        self.storage = self.path / "storage"
        self.data = self.path / "data"
        self.logs = self.path / "logs"
        self.links = self.path / "links.json"

    def check_ours(self) -> None:
        """Return if the folder is absent, empty or made by a demo.

        Raises:
            OrchestrationError: If it holds something else; it is left alone.
        """
        if not self.path.exists() or (self.path / _MARK).exists():
            return
        if not self.path.is_dir() or any(self.path.iterdir()):
            raise OrchestrationError(
                f"{self.path} is not a demo's folder and not empty, so it is left "
                "alone; name another one with --home",
                path=str(self.path),
            )

    def make_fresh(self) -> None:
        """Remove what an earlier demo left and lay the folders down.

        Raises:
            OrchestrationError: If the folder is not a demo's.
        """
        self.check_ours()
        if self.path.exists():
            shutil.rmtree(self.path)
        for folder in (self.prefect, self.storage, self.data, self.logs):
            folder.mkdir(parents=True)
        (self.path / _MARK).write_text("made by `brixa demo`; safe to delete\n")

    @property
    def registry_folder(self) -> Path:
        """Folder of the registry's own records, MLflow's database among them."""
        return self.storage / "models" / "_meta"

    @property
    def tracking_uri(self) -> str:
        """MLflow's backend, the one that the registry embeds below its storage."""
        return f"sqlite:///{self.registry_folder / 'mlflow.db'}"

    def environment(self, port: int) -> dict[str, str]:
        """Environment of the demo's processes; nothing of the caller's own set-up.

        A server or database that the caller's ``PREFECT_`` variables name is a team's:
        the demo would put its deployments and automations there.

        Args:
            port: Loopback port of the Prefect server.
        """
        api_url = f"http://127.0.0.1:{port}/api"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN_PREFIXES)
        }
        return {
            **inherited,
            "DO_NOT_TRACK": "1",
            "PYTHONUNBUFFERED": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",  # many small processes: spinning threads cost more
            "PREFECT_HOME": str(self.prefect),
            **self._database(),
            "PREFECT_API_URL": api_url,
            "PREFECT_SERVER_UI_API_URL": api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            **_QUICK_SERVER,
            "PREFECT_CLI_COLORS": "false",
            "BRXA_STORAGE_PATH": str(self.storage),
            "BRXA_TRACKING_URI": self.tracking_uri,
        }

    def _database(self) -> dict[str, str]:
        if not self._prefect_database:
            return {}
        return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": self._prefect_database}

    def keep_links(self, links: dict[str, Any]) -> None:
        """Write down what was left running."""
        self.links.write_text(json.dumps(links, indent=1))
