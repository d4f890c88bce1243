"""Runs that can't do their work, on a real server: one sentence with the remedy each.

The state's message is what the Prefect UI shows first and what notifications carry.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from distributed import Client
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.objects import StateType
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError

from brixa_flows.blocks import (
    BrixaGatePolicy,
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaStorage,
    save_documents,
)
from brixa_flows.demo.stack import PrefectStack
from brixa_flows.errors import OrchestrationError
from brixa_flows.evaluation import Gate, GatePolicy
from brixa_flows.events import EvaluationDataset
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.registration import adopt_training
from brixa_flows.tasks.task_runners import reaching_cluster
from flows.deploy_model import DeployRequest, deploy_model
from flows.evaluate_model import EvaluateRequest, evaluate_model
from flows.evaluate_versions import EvaluateVersionsRequest, evaluate_versions
from flows.monitor_drift import MonitorRequest, monitor_drift
from flows.monitor_performance import PerformanceRequest, monitor_performance
from flows.predict_batch import PredictRequest, predict_batch
from flows.promote_model import PromoteRequest, promote_model
from flows.reconcile import reconcile
from flows.refuse_undecided import UndecidedRequest, refuse_undecided
from flows.register_model import RegisterRequest, register_model
from flows.retrain import RetrainRequest, retrain
from flows.roll_back import RollBackRequest, roll_back
from flows.soak_model import SoakRequest, soak_model
from flows.tell import tell
from tests.conftest import copy_template

BLOCK, DEAD = "bad-runs", "dead-mlflow"

pytestmark = [
    pytest.mark.slow(seconds=20),
    pytest.mark.timeout(300),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def dead_port() -> Iterator[int]:
    """A port that nobody answers at, and nobody else takes meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def blocks(
    stack: PrefectStack,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_template_db: Path,
    dead_port: int,
) -> Iterator[None]:
    """A registry that lives, and one whose MLflow is dead."""
    folder = tmp_path_factory.mktemp("registry")
    copy_template(mlflow_template_db, folder / "mlflow.db")
    addresses = {
        BLOCK: f"sqlite:///{folder / 'mlflow.db'}",
        DEAD: f"http://127.0.0.1:{dead_port}",
    }
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        documents: list[Any] = []
        for name, address in addresses.items():
            storage = BrixaStorage(path=str(folder / name))
            backend = BrixaMlflowBackend(tracking_uri=address)
            registry = BrixaRegistry(storage=storage, backend=backend)
            documents += [(name, storage), (name, backend), (name, registry)]
        policy = GatePolicy([Gate("roc_auc", min=0.5)])
        documents.append(("easy", BrixaGatePolicy.from_policy(policy)))
        assert len([*save_documents(documents)]) == len(documents)
        open_registry.cache_clear()
        yield
    open_registry.cache_clear()


def _failure(flow: Flow[..., Any], request: Any) -> str:
    """Run a flow that can't succeed; the message of its state."""
    state: State[Any] = flow(request, return_state=True)
    assert state.type == StateType.FAILED
    message = state.message or ""
    assert "\n" not in message
    assert _has_remedy(message.rpartition(" ")[2]), message
    return message


def _has_remedy(link: str) -> bool:
    """Whether it leads to what can be done."""
    if "/blocks/" in link:
        return True
    root, _, artifact = link.partition("/artifacts/artifact/")
    answer = httpx.get(f"{root}/api/artifacts/{artifact}", timeout=20)
    return "## When a run fails" in answer.raise_for_status().json()["data"]


def _requests(registry: str, name: str) -> dict[Flow[..., Any], Any]:
    """What an event about a model would start."""
    who = {"name": name, "version": "1.0.0", "registry": registry}
    window = {"start": "2026-01-01", "end": "2026-02-01", "kind": "month"}
    return {
        evaluate_model: EvaluateRequest(
            **who,
            policy="easy",
            evaluations=[EvaluationDataset(name="rows", uri="rows.parquet")],
        ),
        promote_model: PromoteRequest(**who, policy="easy"),
        deploy_model: DeployRequest(**who),
        soak_model: SoakRequest(**who),
        monitor_drift: MonitorRequest(
            name=name, deployment=name, registry=registry, data_uri="x", **window
        ),
        monitor_performance: PerformanceRequest(
            name=name, deployment=name, registry=registry, data_uri="x", **window
        ),
        predict_batch: PredictRequest(
            name=name, registry=registry, source="x.csv", output="y.csv"
        ),
        evaluate_versions: EvaluateVersionsRequest(
            name=name,
            registry=registry,
            evaluation=EvaluationDataset(name="rows", uri="rows.parquet"),
        ),
        retrain: RetrainRequest(**who, end="2026-02-01"),
        roll_back: RollBackRequest(**who, reason="so"),
    }


def test_an_event_about_an_unknown_model_fails_its_run_and_no_other() -> None:
    for flow, request in _requests(BLOCK, "no-such-model").items():
        message = _failure(flow, request)
        assert "no-such-model" in message, (flow.name, message)
    nothing_to_judge = EvaluateRequest(
        name="no-such-model", version="1.0.0", policy="easy", registry=BLOCK
    )
    assert "no-such-model" in _failure(evaluate_model, nothing_to_judge)


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 129, "deployments"])
def test_a_form_takes_no_name_that_no_model_can_have(name: str) -> None:
    for request in _requests(BLOCK, "churn").values():
        with pytest.raises(ValidationError, match="can't be the name of a model: "):
            type(request).model_validate(request.model_dump() | {"name": name})


def test_a_model_that_mlflow_does_not_have_is_told_with_its_address() -> None:
    request = RegisterRequest(
        name="churn", model_uri="runs:/nope/model", model_type="x", registry=BLOCK
    )
    assert "runs:/nope/model" in _failure(register_model, request)


def test_a_missing_block_says_how_and_where_to_make_one(stack: PrefectStack) -> None:
    for flow, request in _requests("no-such-block", "churn").items():
        message = _failure(flow, request)
        assert "no Brixa Registry block called 'no-such-block'" in message, flow.name
        assert "`python -m blocks`" in message
        assert f"{stack.ui_url}/blocks/catalog" in message


def test_a_missing_policy_says_how_to_make_one() -> None:
    asked = _requests(BLOCK, "churn")
    for flow in (promote_model, evaluate_model):
        request = asked[flow].model_copy(update={"policy": "no-such-policy"})
        message = _failure(flow, request)
        assert "no Brixa Gate Policy block called 'no-such-policy'" in message
    without_rows = {"policy": "no-such-policy", "evaluations": []}
    request = asked[evaluate_model].model_copy(update=without_rows)
    message = _failure(evaluate_model, request)
    assert "no Brixa Gate Policy block called 'no-such-policy'" in message


def test_a_block_of_another_release_says_that_it_has_to_be_saved_again(
    stack: PrefectStack,
) -> None:
    kept = BrixaGatePolicy.from_policy(GatePolicy([Gate("roc_auc", min=0.5)]))
    document = kept.save("spoilt")
    damage = {"data": {"rules": "none"}, "merge_existing_data": True}
    address = f"{stack.api.url}/block_documents/{document}"
    httpx.patch(address, json=damage, timeout=20).raise_for_status()
    request = PromoteRequest(
        name="churn", version="1.0.0", policy="spoilt", registry=BLOCK
    )
    message = _failure(promote_model, request)
    assert "the Brixa Gate Policy block 'spoilt' lacks what this release" in message


def test_a_dead_mlflow_is_named_with_its_address(
    dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt_training, "retry_delay_seconds", 0)
    request = RegisterRequest(
        name="churn", model_uri="runs:/some/model", model_type="x", registry=DEAD
    )
    message = _failure(register_model, request)
    assert f"http://127.0.0.1:{dead_port}" in message
    assert "check BRXA_TRACKING_URI and that the server runs" in message


WRONG: dict[str, tuple[Flow[..., Any], Any]] = {
    "a data set without a name": (
        register_model,
        RegisterRequest(
            name="churn",
            model_uri="runs:/nope/model",
            model_type="x",
            datasets=[{"foo": 1}],
            registry=BLOCK,
        ),
    ),
    "a run that is nowhere": (
        refuse_undecided,
        UndecidedRequest(flow_run="6f1c0b7e-6f0d-5f7b-9a55-6b72697861f1"),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_no_form_can_refuse_fails_with_what_is_wrong(what: str) -> None:
    words = {"wrong values for DatasetRef: name: Field required", "no flow run 6f1c"}
    message = _failure(*WRONG[what])
    assert any(word in message for word in words), message


def test_a_cluster_that_does_not_answer_is_named() -> None:
    with (
        pytest.raises(OrchestrationError, match="no dask cluster answers at tcp://"),
        reaching_cluster("dask", "tcp://127.0.0.1:1"),
    ):
        Client("tcp://127.0.0.1:1", timeout="100ms")


ASKED = {"name": "churn", "version": "1.0.0"}
BATCH = {"name": "churn", "source": "x.csv", "output": "y.csv"}
MANY = {"name": "churn", "evaluation": {"name": "rows", "uri": "rows.parquet"}}
WINDOW = {"name": "churn", "deployment": "churn", "end": "2026-02-01"}


@pytest.mark.parametrize(
    ("flow", "given", "word"),
    [
        (promote_model, {"version": "1.0.0"}, "name"),
        (promote_model, {**ASKED, "version": 3}, "version"),
        (promote_model, {**ASKED, "version": "latest"}, "latest"),
        (deploy_model, {**ASKED, "version": "1.2.3.4"}, "1.2.3.4"),
        (predict_batch, {**BATCH, "version": "a b"}, "a b"),
        (evaluate_versions, {**MANY, "versions": "staging"}, "staging"),
        (promote_model, {**ASKED, "stage": "moon"}, "stage"),
        (promote_model, {**ASKED, "polcy": "easy"}, "polcy"),
        (promote_model, {**ASKED, "comparison": []}, "comparison"),
        (monitor_drift, {**WINDOW, "start": "yesterday"}, "yesterday"),
        (monitor_drift, {**WINDOW, "start": "2026-01-01", "kind": "months"}, "months"),
        (retrain, {**ASKED, "end": "soon"}, "soon"),
        (refuse_undecided, {"flow_run": "nope"}, "nope"),
        (tell, {"subject": "x", "again_after_minutes": 1e300}, "1e+300"),
        (reconcile, {"older_than_seconds": 10**18}, "1000000000000000000"),
        (soak_model, {**ASKED, "minutes": -1}, "-1"),
    ],
)
def test_wrong_parameters_are_refused_before_there_is_a_run(
    stack: PrefectStack, flow: Flow[..., Any], given: dict[str, Any], word: str
) -> None:
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            client.create_flow(flow),
            name="checks",
            parameter_openapi_schema=_schema(flow),
            enforce_parameter_schema=True,
        )
        address = f"{client.api_url}deployments/{deployment}/create_flow_run"
        answer = httpx.post(
            address, json={"parameters": {"request": given}}, timeout=20
        )
    assert answer.status_code == httpx.codes.CONFLICT
    assert word in answer.text


def _schema(flow: Flow[..., Any]) -> dict[str, Any]:
    return dict(flow.parameters.model_dump_for_openapi())
