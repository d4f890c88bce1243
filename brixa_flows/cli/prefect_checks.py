"""The parts of ``brixa doctor`` that ask Prefect; imported inside its checks."""

from __future__ import annotations

from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL

from brixa_flows.errors import PrefectUnavailableError
from brixa_flows.tasks.project_file import check_project_file
from brixa_flows.tasks.training_rules import check_training_rules

__all__ = ["check_project", "check_server", "check_trainings"]

_TIMEOUT_SECONDS = 5.0


def check_server() -> str:
    """Ask the Prefect server that flows would use.

    Raises:
        PrefectUnavailableError: If it does not answer.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return "PREFECT_API_URL is not set; flows would start a server of their own"
    try:
        httpx.get(f"{url}/health", timeout=_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as err:
        raise PrefectUnavailableError(url, str(err) or type(err).__name__) from err
    return f"{url} answers"


def check_project(folder: Path) -> str:
    """Check the project file, if there is one.

    Raises:
        OrchestrationError: If it has faults; names them.
    """
    if not (folder / "prefect.yaml").exists():
        return "none here; make a project with: brixa init DIR"
    return f"{check_project_file(folder)} deployments, no faults"


def check_trainings(folder: Path) -> str:
    """Check the rules for trainings that do not import us, if there are any.

    Raises:
        OrchestrationError: If they have faults; names them.
    """
    named = check_training_rules(folder)
    return f"trainings: {named}, no faults" if named else "names no training"
