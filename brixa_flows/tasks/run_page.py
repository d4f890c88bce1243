"""What a person finds on the page of a run: tags, progress, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect import runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_UI_URL

__all__ = [
    "add_tags",
    "artifact_address",
    "artifact_key",
    "flow_run_link",
    "progress",
    "reports_link",
    "tag_run",
]


def artifact_key(kind: str, model: str) -> str:
    """Key of an artifact, in the letters that Prefect takes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind} {model}".lower()).strip("-")


def tag_run(model: str, version: str) -> None:
    """Tag this run with what it is about; outside of a run nothing is done."""
    add_tags(f"model:{model}", f"version:{version}")


def add_tags(*more: str) -> None:
    """Give this run more tags; outside of a run nothing is done."""
    run_id = runtime.flow_run.id
    if not run_id:
        return
    tags = {*runtime.flow_run.tags, *more}
    with get_client(sync_client=True) as client:
        client.update_flow_run(run_id, tags=sorted(tags))


def artifact_address(artifact_id: object) -> str:
    """Address of the page of an artifact; empty if nobody knows the UI's.

    Prefect's own ``url_for`` knows no page of artifacts.
    """
    return _address(f"artifacts/artifact/{artifact_id}")


def flow_run_link(run_id: str) -> str:
    """Markdown that leads to the page of a flow run, or its id alone."""
    try:
        url = _address(f"runs/flow-run/{UUID(run_id)}")
    except ValueError:  # an id that some other orchestrator gave
        url = ""
    return f"[`{run_id}`]({url})" if url else f"`{run_id}`"


def reports_link(kind: str, model: str, text: str) -> str:
    """Markdown that leads to all reports of a kind on a model, or the text alone."""
    url = _address(f"artifacts/key/{artifact_key(kind, model)}")
    return f"[{text}]({url})" if url else text


def _address(path: str) -> str:
    base = PREFECT_UI_URL.value()
    return f"{base.rstrip('/')}/{path}" if base else ""


@contextmanager
def progress(
    kind: str, model: str, what: str, steps: int
) -> Iterator[Callable[[], None]]:
    """A bar on the run's page while work goes on; it stands still if the work fails.

    Args:
        kind: With ``model`` it makes the artifact's key.
        model: Name of the model.
        what: What is done, for a person.
        steps: How many calls of the yielded function complete it.
    """
    if not runtime.flow_run.id or steps < 1:
        yield lambda: None
        return
    key = artifact_key(kind, model)
    bar = cast(UUID, create_progress_artifact(0.0, key=key, description=what))
    done = 0

    def step() -> None:
        nonlocal done
        done = min(done + 1, steps)
        update_progress_artifact(bar, 100.0 * done / steps)

    yield step
