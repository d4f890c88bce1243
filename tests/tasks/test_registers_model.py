"""``registers_model`` with no Prefect server: what it keeps, and what it refuses."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.errors import (
    DatasetError,
    InvalidMetadataError,
    InvalidNameError,
    ModelNotLoggedError,
    OrchestrationError,
)
from brixa_flows.events import TrainingCompleted
from brixa_flows.outbox import Outbox, Reconciler
from brixa_flows.registry import DatasetRef, ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tasks.announcing import announce_training_complete
from brixa_flows.tasks.training import current_training, registers_model
from brixa_flows.tracking.memory_store import MemoryTrackingStore

URI = "models:/m-1"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield ModelRegistry(
            LocalStorageNode(tmp_path / "storage"), tracking=MemoryTrackingStore()
        )


def _kept(registry: ModelRegistry) -> list[TrainingCompleted]:
    waiting = [owed.payload for owed in Outbox(registry).pending()]
    return [each for each in waiting if isinstance(each, TrainingCompleted)]


def test_what_a_training_says_waits_for_who_delivers_it(
    registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0], "late": [0, 1]})
    rows.to_parquet(tmp_path / "rows.parquet")
    monkeypatch.chdir(tmp_path)
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()

    @registers_model(
        "m", model_type="classification", policy="strict", registry=registry
    )
    def train(depth: int) -> str:
        training = current_training()
        training.log_dataset("rows.parquet", reference=True)
        training.log_dataset(rows, "validation rows", role="validation")
        training.log_dataset(Path("rows.parquet"), "held-out", role="evaluation")
        training.log_dataset(DatasetRef(name="warehouse", uri="s3://bucket/table"))
        training.log_params({"depth": depth})
        training.log_metrics({"auc": 1})
        training.model, training.framework = URI, "sklearn"
        return "done"

    assert train(3) == train(3) == "done"  # the same model: the same event
    [event] = _kept(registry)
    named = [(data["name"], data["role"], data["rows"]) for data in event.datasets]
    assert named == [
        ("rows.parquet", "training", 2),
        ("validation rows", "validation", 2),
        ("warehouse", "training", None),
    ]
    assert event.datasets[0]["digest"] == event.datasets[1]["digest"]
    assert event.reference_uri == event.evaluations[0].uri == f"{tmp_path}/rows.parquet"
    assert (event.hyperparameters, event.metrics) == ({"depth": 3}, {"auc": 1.0})
    assert (event.policy, event.model_uri) == ("strict", URI)
    assert event.git_commit == commit
    assert event.environment.keys() >= {"python", "scikit-learn", "brixa-flows"}
    heard: list[Any] = []
    deliver = lambda payload, _: heard.append(payload)  # noqa: E731
    Reconciler(registry, deliver, older_than=timedelta(0)).run()
    assert heard == [event]


async def _train_and_fail(registry: ModelRegistry) -> None:
    @registers_model("m", registry=registry)
    async def train() -> None:
        current_training().model = URI
        await asyncio.sleep(0)
        raise RuntimeError("no more memory")

    await train()


def test_a_training_that_raises_announces_nothing(registry: ModelRegistry) -> None:
    @registers_model("m", registry=registry)
    def train() -> None:
        current_training().model = URI
        raise RuntimeError("no more memory")

    def block() -> None:
        with registers_model("m", registry=registry) as training:
            training.model = URI
            raise RuntimeError("no more memory")

    for each in (train, block, lambda: asyncio.run(_train_and_fail(registry))):
        with pytest.raises(RuntimeError, match="no more memory"):
            each()
    assert _kept(registry) == []
    with pytest.raises(OrchestrationError, match="part of no training"):
        current_training()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "of m left no model .*; set training.model to what"),
        (7, "int is none: set"),
    ],
)
def test_a_training_without_the_address_of_a_model_fails_by_name(
    registry: ModelRegistry, model: Any, words: str
) -> None:
    with pytest.raises(ModelNotLoggedError, match=words):
        with registers_model("m", registry=registry) as training:
            training.model = model
    assert _kept(registry) == []


def test_trainings_nest_and_one_decorator_serves_many(registry: ModelRegistry) -> None:
    again = registers_model("outer", registry=registry)
    with again as outer, registers_model("inner", registry=registry) as inner:
        assert current_training() is inner
        with again as third:
            third.model = "models:/m-3"
        assert current_training() is inner
        outer.model, inner.model = "models:/m-1", "models:/m-2"
    told = sorted((each.name, each.model_uri) for each in _kept(registry))
    assert told == [
        ("inner", "models:/m-2"),
        ("outer", "models:/m-1"),
        ("outer", "models:/m-3"),
    ]


def test_what_can_not_be_is_refused_before_the_training(
    registry: ModelRegistry,
) -> None:
    with pytest.raises(InvalidNameError, match="'a/b'"):
        registers_model("a/b")
    with pytest.raises(InvalidNameError, match="'My Policy' can't be .* gate policy"):
        registers_model("m", policy="My Policy")

    def batches() -> Iterator[int]:
        yield 1

    with pytest.raises(OrchestrationError, match="batches is a generator"):
        registers_model("m", registry=registry)(batches)


def test_a_last_task_refuses_names_before_it_announces() -> None:
    facts = {"model_uri": URI, "framework": "sklearn", "model_type": "classification"}
    for names in ({"name": "a/b"}, {"name": "m", "policy": "My Policy"}):
        with pytest.raises(InvalidNameError, match="can't be the name"):
            announce_training_complete.fn(**facts, **names)


def test_what_no_later_flow_could_use_is_refused_at_once(
    registry: ModelRegistry,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        with registers_model("m", registry=registry) as training:
            rows = pd.DataFrame({"a": [1.0]})
            for role in ({"reference": True}, {"role": "evaluation"}):
                with pytest.raises(
                    DatasetError, match="in no file.*write them to Parq"
                ):
                    training.log_dataset(rows, **role)
            with pytest.raises(DatasetError, match="nowhere"):
                training.log_dataset("nowhere.parquet")
            with pytest.raises(InvalidMetadataError, match="auc"):
                training.log_metrics({"auc": float("nan")})
            with pytest.raises(InvalidMetadataError, match="device"):
                training.log_params({"device": object()})
            raise KeyboardInterrupt
    assert _kept(registry) == []
