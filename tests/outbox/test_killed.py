"""A step of the loop that is killed and done again has its effect once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sklearn.linear_model import LogisticRegression

DRIVER = Path(__file__).with_name("loop_driver.py")


@pytest.fixture
def logged(tracking_uri: str, tmp_path: Path) -> str:
    """A model that a team logged with MLflow."""
    client = mlflow.MlflowClient(tracking_uri)
    place = (tmp_path / "runs").as_uri()
    experiment = client.create_experiment("training", artifact_location=place)
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.sklearn.log_model(
            LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
            name="model",
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    return f"runs:/{run.info.run_id}/model"


@pytest.fixture
def found(logged: str, tracking_uri: str, tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "storage"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(root), tracking_uri, logged],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_kill_minus_9_anywhere_repeats_no_effect_and_loses_no_event(
    found: dict[str, Any],
) -> None:
    names = ["claimed", "recorded", "published", "sealed"]
    assert found["versions"] == {name: [["1.0.0", "ready"]] for name in names}
    once = {name: int(name == "claimed") for name in names}
    assert found["changes"] == found["evaluations"] == once
    assert found["aliases"]["claimed"] == {"production": "1.0.0"}
    assert [event[:2] for event in found["heard"]] == sorted(
        [[name, "brixa.model.registered"] for name in names]
        + [["claimed", f"brixa.model.{step}"] for step in ("evaluated", "promoted")]
    )
    assert found["repaired"] and found["again"] == [0, 0]
