"""A version in staging under traffic: a real endpoint, a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pandas as pd
import pytest
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from sklearn.linear_model import LogisticRegression

from brixa_flows.blocks import (
    BrixaGatePolicy,
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaStorage,
    save_documents,
)
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import DatasetError, DeploymentError
from brixa_flows.evaluation import (
    EvaluationResult,
    Gate,
    GatePolicy,
    ModelEvaluator,
)
from brixa_flows.events import GateRefused, ModelDeployed, ModelSoaked
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.soaking import SoakRules, soak
from flows.soak_model import SoakRequest, soak_model
from tests.conftest import copy_template

BLOCK = "soaks"
NAME = f"delays-{uuid4().hex[:8]}"

pytestmark = [
    pytest.mark.slow(seconds=30),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(400, 2)), columns=["a", "b"])
    table["late"] = (table["a"] + random.normal(size=400) / 2 > 0).astype(int)
    return table


@pytest.fixture(scope="module")
def registry(
    stack: PrefectStack,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_template_db: Path,
    rows: pd.DataFrame,
) -> Iterator[ModelRegistry]:
    """``NAME`` 1.0.0 in production and 1.0.1 at NAME-staging."""
    folder = tmp_path_factory.mktemp("registry")
    copy_template(mlflow_template_db, folder / "mlflow.db")
    file = folder / "held-out.parquet"
    rows.to_parquet(file)
    open_registry.cache_clear()
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        _save_blocks(folder)
        opened = open_registry(BLOCK)
        for weights in ([1.0, 3.0], [1.0, 0.0]):
            _add_version(opened, rows, weights)
        opened.transition(NAME, "1.0.0", "production", actor="bob")
        ModelEvaluator(opened).evaluate(
            NAME, "1.0.1", str(file), ["roc_auc"], target="late"
        )
        deployer = ModelDeployer(opened)
        done, message = deployer.deploy(
            model_name=NAME, version="1.0.1", name=f"{NAME}-staging", replicas=1
        )
        assert done, message
        yield opened
        deployer.delete(f"{NAME}-staging")
    open_registry.cache_clear()


def _save_blocks(folder: Path) -> None:
    described = BrixaRegistry(
        storage=BrixaStorage(path=str(folder / "storage")),
        backend=BrixaMlflowBackend(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"),
    )
    documents: list[Any] = [(BLOCK, described.storage), (BLOCK, described.backend)]
    documents.append((BLOCK, described))
    gates = {
        "good": Gate("roc_auc", min=0.6),
        "perfect": Gate("roc_auc", min=0.9999),
        "better": Gate("roc_auc", better_than="production"),
    }
    for name, gate in gates.items():
        documents.append((name, BrixaGatePolicy.from_policy(GatePolicy([gate]))))
    assert len([*save_documents(documents)]) == len(documents)


def _add_version(
    registry: ModelRegistry, rows: pd.DataFrame, weights: list[float]
) -> None:
    model = LogisticRegression().fit(rows[["a", "b"]], rows["late"])
    model.coef_ = np.array([weights])
    version = registry.register_model(NAME, "classification", "sklearn").version
    registry.save_model(NAME, version, model, rows[["a", "b"]].head())


def _request(**more: Any) -> SoakRequest:
    facts = {"minutes": 0, "requests": 30, "max_p99_ms": 30_000, "policy": "good"}
    return SoakRequest(name=NAME, version="1.0.1", registry=BLOCK, **{**facts, **more})


def _events(stack: PrefectStack, event: str, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        about = {"id": [f"brixa.model.{NAME}"]}
        query = {"filter": {"event": {"name": [event]}, "resource": about}}
        answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
        found[:] = answer.raise_for_status().json()["events"]
        return len(found) >= number

    wait_until(arrived, 30, f"{number} events {event}")
    return [dict(each["payload"]) for each in found]


def test_a_version_that_stands_goes_on_with_a_comparison_with_production_as_it_is_now(
    registry: ModelRegistry, stack: PrefectStack
) -> None:
    soak_model(_request(minutes=0.02))
    [soaked] = _events(stack, ModelSoaked.event, 1)
    assert soaked["requests"] >= 30 and 0 < soaked["p99_ms"] < 30_000
    assert soaked["comparison"]["baseline"] == "1.0.0"
    assert soaked["comparison"]["candidate"] == "1.0.1"
    assert soaked["policy"] == "production"  # it was saved by hand
    evaluated = registry.evaluations(NAME, "1.0.1")[-1]
    assert soaked["dataset_digest"] == evaluated["dataset"]["digest"]


def test_a_gate_that_compares_asks_the_version_in_production_on_the_same_rows(
    registry: ModelRegistry, rows: pd.DataFrame
) -> None:
    rules = SoakRules(0, 20, 0, 30_000, "better")

    def reasons() -> list[str]:
        return soak.fn(BLOCK, NAME, "1.0.1", f"{NAME}-staging", rules).reasons

    assert reasons() == []
    _add_version(registry, rows, [1.0, 0.0])  # as good as 1.0.1
    registry.transition(NAME, "1.0.2", "production", actor="bob")
    [reason] = reasons()
    registry.rollback(NAME, reason="of the test")
    assert "1.0.2" in reason and "not surely better" in reason, reason


def test_slow_or_poor_answers_keep_a_version_out_of_production_and_say_why(
    registry: ModelRegistry, stack: PrefectStack
) -> None:
    soak_model(_request(policy="perfect", max_p99_ms=0.001))
    [refused] = _events(stack, GateRefused.event, 1)
    poor, slow = refused["reasons"]
    assert refused["stage"] == "production"
    assert "roc_auc is 0." in poor and "below the least allowed 0.9999" in poor
    assert "99 of 100 answers took up to" in slow


def test_another_version_than_the_one_that_is_served_is_not_soaked(
    registry: ModelRegistry,
) -> None:
    other = _request().model_copy(update={"version": "1.0.0"})
    with pytest.raises(DeploymentError, match="serves .* 1.0.1, not .* 1.0.0; deploy"):
        soak_model(other)


def test_rows_that_are_in_no_file_can_not_be_sent(
    registry: ModelRegistry, rows: pd.DataFrame
) -> None:
    evaluator = ModelEvaluator(registry)
    recorded = EvaluationResult.among(registry.evaluations(NAME, "1.0.1"))[-1]
    evaluator.evaluate(NAME, "1.0.1", rows, ["roc_auc"], target="late")
    with pytest.raises(DatasetError, match="rows that are in no file"):
        soak_model(_request())
    registry.record_evaluation(NAME, "1.0.1", recorded.to_dict())


def test_the_name_of_a_deployment_tells_triggers_its_stage() -> None:
    facts = {"name": "m", "version": "1.0.0", "endpoint": "http://127.0.0.1:1"}
    for deployment, stage in (
        ("m-staging", "staging"),
        ("m-production", "production"),
        ("m", ""),
        ("other-staging", ""),
    ):
        resource = ModelDeployed(**facts, deployment=deployment).resource()
        assert resource["brixa.stage"] == stage
