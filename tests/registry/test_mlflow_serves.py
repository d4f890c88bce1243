"""``mlflow models serve`` on a promoted version: MLflow's own server, our files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests
from sklearn.linear_model import LogisticRegression

from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.postgres import free_port

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

_START_SECONDS = 90


@pytest.fixture
def served(
    tmp_path: Path,
    tracking_uri: str,
    classifier: LogisticRegression,
    frame: pd.DataFrame,
) -> Iterator[str]:
    """Address of the production version, served by MLflow."""
    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking_uri=tracking_uri
    )
    registry.register_model("delays", "classification", "sklearn")
    registry.save_model("delays", "1.0.0", classifier, frame.head(3))
    registry.transition("delays", "1.0.0", "production")
    port = free_port()
    programs = Path(sys.executable).parent  # MLflow starts uvicorn by its name
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve"]
            + ["-m", "models:/delays@production", "--env-manager", "local"]
            + ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            cwd=tmp_path,
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": tracking_uri,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + _START_SECONDS
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail((tmp_path / "log").read_text()[-3000:])
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/ping", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.slow(seconds=15)
def test_mlflow_serves_a_version_and_holds_callers_to_its_signature(
    served: str, classifier: LogisticRegression, frame: pd.DataFrame
) -> None:
    rows = frame.head(5)
    url = f"{served}/invocations"
    sent = {"dataframe_split": rows.to_dict(orient="split", index=False)}
    answer = requests.post(url, json=sent, timeout=30)
    assert answer.ok, answer.text
    expected = [int(value) for value in classifier.predict(rows)]
    assert answer.json()["predictions"] == expected
    missing = {"dataframe_records": [{"width": 1.0}]}
    refused = requests.post(url, json=missing, timeout=30)
    assert refused.status_code == 400
    assert "missing inputs" in refused.text
