"""MLflow's fluent API, for tests that log as people do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def fluent() -> Iterator[Callable[[str], None]]:
    """Point MLflow's fluent API, a global of the process, somewhere; reset after."""
    import mlflow

    try:
        yield mlflow.set_tracking_uri
    finally:
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
