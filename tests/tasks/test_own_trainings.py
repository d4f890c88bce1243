"""A team's own training joins in each of the three ways, as docs/training.md shows them."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from prefect import State, flow, runtime, task
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.deployments.runner import RunnerDeployment
from prefect.flow_engine import run_flow
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import (
    Completed,
    Crashed,
    Failed,
    Pending,
    Running,
    Scheduled,
    Suspended,
)
from sklearn.linear_model import LogisticRegression

from brixa_flows.blocks import (
    BrixaGatePolicy,
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaStorage,
    save_documents,
)
from brixa_flows.cli.main import brixa
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.errors import (
    ModelNotLoggedError,
    ModelsAmbiguousError,
    OrchestrationError,
    TrackingError,
)
from brixa_flows.evaluation import Gate, GatePolicy
from brixa_flows.events import TrainingCompleted
from brixa_flows.outbox import Outbox
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.adopting import _worked
from brixa_flows.tasks.automating import save_automations
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.registration import adopt_training as register
from brixa_flows.tasks.training import current_training, registers_model
from brixa_flows.tasks.training_rules import FILE
from flows.adopt_training import AdoptRequest, adopt_training
from flows.register_model import RegisterRequest
from tests.backends import copy_template

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text()
DECORATED, SCRIPT, LAST_TASK, FROM_OUTSIDE = re.findall(
    r"```python\n(.*?)```", PAGE, re.S
)
[RULES] = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
NAME = "Register what train-churn logs to churn"
_RESUMED = Scheduled(name="Resuming")

pytestmark = [
    pytest.mark.slow(seconds=40),
    pytest.mark.timeout(300),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a team works: its rows, and the project of docs/training.md."""
    folder = tmp_path_factory.mktemp("team")
    random = np.random.default_rng(0)
    for name in ("customers", "held-out"):
        table = pd.DataFrame(random.normal(size=(200, 2)), columns=["age", "visits"])
        table["churned"] = (table["age"] > 0).astype("int64")
        table.to_parquet(folder / f"{name}.parquet")
    (folder / "train_churn.py").write_text(FROM_OUTSIDE)
    (folder / "prefect.yaml").write_text(
        "name: team\n"
        "deployments: [{name: churn, entrypoint: 'train_churn.py:train_churn'}]\n"
    )
    return folder


@pytest.fixture(scope="module")
def registry(
    stack: PrefectStack, folder: Path, mlflow_template_db: Path
) -> Iterator[ModelRegistry]:
    """What the block ``brixa`` describes, with an experiment ``churn``."""
    copy_template(mlflow_template_db, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("churn", artifact_location=(folder / "runs").as_uri())
    open_registry.cache_clear()
    policy = BrixaGatePolicy.from_policy(GatePolicy([Gate("roc_auc", min=0.8)]))
    with temporary_settings({PREFECT_API_URL: stack.api.url}):
        described = BrixaRegistry(
            storage=BrixaStorage(path=str(folder / "storage")),
            backend=BrixaMlflowBackend(tracking_uri=uri),
        )
        documents = [("brixa", described.storage), ("brixa", described.backend)]
        documents += [("brixa", described), ("strict", policy)]
        assert len([*save_documents(documents)]) == len(documents)
        yield open_registry("brixa")
    open_registry.cache_clear()


@pytest.fixture(autouse=True)
def at_work(
    registry: ModelRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the team's folder; MLflow logs where the registry's backend is.

    What a model needs is MLflow's to find out, in a process that takes eight seconds.
    """
    log_model = partial(mlflow.sklearn.log_model, pip_requirements=["scikit-learn"])
    monkeypatch.setattr(mlflow.sklearn, "log_model", log_model)
    monkeypatch.chdir(folder)
    mlflow.set_tracking_uri(registry.tracking.uri)


def _run(code: str) -> Any:
    """Run an example as written; its flow, if it makes one."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/training.md", "exec"), names)
    return names.get("train_churn")


@pytest.fixture
def announced(stack: PrefectStack) -> Callable[[], RegisterRequest]:
    """What the one new event makes the automation of prefect.yaml give register_model."""
    seen = _payloads(stack).keys()

    def one() -> RegisterRequest:
        wait_until(lambda: _payloads(stack).keys() > seen, 30, "the event")
        new = _payloads(stack)
        [event] = new.keys() - seen
        payload = dict(new[event])
        payload.pop("message")
        return RegisterRequest(**payload)

    return one


def _payloads(stack: PrefectStack) -> dict[str, dict[str, Any]]:
    event = {"name": [TrainingCompleted.event]}
    query = {"filter": {"event": event, "resource": {"id": ["brixa.model.churn"]}}}
    answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
    found = answer.raise_for_status().json()["events"]
    return {item["id"]: item["payload"] for item in found}


def _registered(request: RegisterRequest) -> Any:
    with disable_run_logger():
        version = register.fn("brixa", request.training())
        assert register.fn("brixa", request.training()) == version  # one version
    return version


def test_a_decorated_flow_is_registered_with_all_that_went_in(
    registry: ModelRegistry, folder: Path, announced: Callable[[], RegisterRequest]
) -> None:
    rows = ("customers.parquet", "held-out.parquet")
    _run(DECORATED)(*rows)
    request = announced()
    assert (request.policy, request.target, request.framework) == (
        "strict",
        "churned",
        "sklearn",
    )
    assert request.reference_uri == str(folder / rows[0])
    [held_out] = request.evaluations
    assert (held_out.name, held_out.uri) == ("held-out", str(folder / rows[1]))
    assert UUID(request.flow_run_id) and request.run_id
    version = _registered(request)
    assert version.hyperparameters["C"] == "0.5"  # of the MLflow run
    assert version.has_reference
    lineage = version.lineage
    [data] = lineage.datasets
    assert (data.rows, data.columns["age"]) == (200, "double") and data.digest
    assert lineage.environment["scikit-learn"] and lineage.model_uri


def test_a_script_announces_without_a_flow_run(
    announced: Callable[[], RegisterRequest],
) -> None:
    _run(SCRIPT)
    request = announced()
    assert (request.flow_run_id, request.policy) == ("", "production")
    assert request.evaluations[0].name == "held-out.parquet"
    assert _registered(request).state == "ready"


def test_a_last_task_announces(announced: Callable[[], RegisterRequest]) -> None:
    _run(LAST_TASK)("customers.parquet", "held-out.parquet")
    request = announced()
    assert request.environment["scikit-learn"] and request.policy == "strict"
    assert _registered(request).state == "ready"


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[str]:
    """The deployment that the automations start; id."""
    monkeypatch.chdir(ROOT)
    entrypoint = "flows/adopt_training.py:adopt_training"
    made = RunnerDeployment.from_entrypoint(entrypoint, name="brixa").apply()
    monkeypatch.chdir(folder)
    yield str(made)
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


def _logged() -> Any:
    return mlflow.sklearn.log_model(
        LogisticRegression().fit([[0.0], [1.0]], [0, 1]), name="model"
    )


@task
def _make_a_model() -> str:
    training = current_training()
    training.log_metrics({"seen": 3})
    training.model = _logged()
    return str(runtime.flow_run.id)


@registers_model("churn")
@flow
async def _asynchronous() -> str:
    await asyncio.sleep(0)
    return _make_a_model()


@flow
async def _with_a_block_of_code() -> str:
    with registers_model("churn"):
        return _make_a_model()


@flow
def _in_a_task_of_a_thread() -> str:
    with registers_model("churn"):
        return str(_make_a_model.submit().result())


@registers_model("churn", experiment="churn")
@flow
def _as_it_was() -> str:
    mlflow.set_experiment("churn")
    _logged()
    current_training().log_metrics({"seen": 3})
    return str(runtime.flow_run.id)


@pytest.mark.parametrize(
    "train",
    [_asynchronous, _with_a_block_of_code, _in_a_task_of_a_thread, _as_it_was],
)
def test_it_may_be_asynchronous_or_in_a_task_or_name_no_model(
    train: Any, announced: Callable[[], RegisterRequest]
) -> None:
    made = train()
    flow_run_id = asyncio.run(made) if inspect.iscoroutine(made) else made
    request = announced()
    assert (request.flow_run_id, request.metrics) == (flow_run_id, {"seen": 3.0})


@flow
@registers_model("churn")
def _says_that_it_failed() -> State[None]:
    current_training().model = _logged()
    return Failed(message="not good enough")


@registers_model("churn")
@flow
def _raises() -> None:
    current_training().model = _logged()
    raise RuntimeError("no more memory")


@pytest.mark.parametrize("train", [_says_that_it_failed, _raises])
def test_a_training_that_failed_announces_nothing(
    train: Any, registry: ModelRegistry
) -> None:
    outbox = Path(registry.storage.root, "models/_meta/outbox")  # type: ignore[attr-defined]
    before = {*outbox.rglob("*.json")}
    assert train(return_state=True).is_failed()
    assert {*outbox.rglob("*.json")} == before


def test_a_server_that_is_away_when_a_training_ends_fails_it_not(
    registry: ModelRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with registers_model("churn") as training:
        training.model = _logged()
        nowhere = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
        nowhere.__enter__()
    nowhere.__exit__(None, None, None)
    uris = [
        getattr(owed.payload, "model_uri", "") for owed in Outbox(registry).pending()
    ]
    assert training.model.model_uri in uris
    assert "the event waits for `reconcile`" in caplog.text


def _saved(folder: Path, rules: str) -> list[str]:
    (folder / FILE).write_text(rules)
    return [sentence.partition(":")[0] for sentence in save_automations(folder)]


def _runs(deployment: str, stack: PrefectStack) -> list[FlowRun]:
    query = {"deployments": {"id": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
    answer = httpx.post(f"{stack.api.url}/flow_runs/filter", json=query, timeout=20)
    return FlowRun.model_validate_list(answer.raise_for_status().json())


def test_a_flow_that_does_not_know_us_is_registered_by_its_automation(
    stack: PrefectStack,
    folder: Path,
    deployed: str,
    announced: Callable[[], RegisterRequest],
) -> None:
    assert "brixa" not in FROM_OUTSIDE
    assert _saved(folder, RULES) == ["made"]
    told = CliRunner().invoke(brixa, ["automations", "--project", str(folder)])
    assert told.output == f"unchanged: {NAME}\n"
    train_churn = _run(FROM_OUTSIDE)
    train_churn("customers.parquet")
    wait_until(lambda: bool(_runs(deployed, stack)), 60, "the automation")
    [run] = _runs(deployed, stack)
    run_flow(adopt_training, flow_run=run)
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    assert state is not None and state.is_completed(), state
    request = announced()
    assert (request.name, request.policy, request.target) == (
        "churn",
        "strict",
        "churned",
    )
    told = AdoptRequest(**run.parameters["request"])
    assert request.flow_run_id == told.flow_run  # the training's
    adopt_training(told)  # the event came twice
    assert announced() == request
    assert _registered(request).lineage.flow_run_id == told.flow_run

    changed = RULES.replace('"churned"', '"churn"')
    with get_client(sync_client=True) as client:
        [kept] = client.read_automations_by_name(NAME)
        client.pause_automation(kept.id)
        assert _saved(folder, changed) == ["changed"]
        [kept] = client.read_automations_by_name(NAME)
    assert not kept.enabled  # as somebody wanted it
    assert "'target': 'churn'" in str(kept.actions)
    other = RULES.replace('experiment = "churn"', 'experiment = "other"')
    assert _saved(folder, RULES + other) == ["changed", "made"]
    assert sorted(_saved(folder, other)) == ["removed", "unchanged"]
    assert _saved(folder, "") == ["removed"]


@flow(retries=1)
def _training(models: list[int]) -> str:
    """Logs so many models; fails but for the last attempt."""
    mlflow.set_experiment("churn")
    attempt = int(runtime.flow_run.run_count)
    with mlflow.start_run():
        for number in range(models[attempt - 1]):
            mlflow.sklearn.log_model(
                LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
                name=f"attempt-{attempt}-{number}",
            )
    if attempt < len(models):
        raise RuntimeError("not yet")
    return str(runtime.flow_run.id)


def _adopt(flow_run: str, experiment: str = "churn") -> None:
    adopt_training(
        AdoptRequest(flow_run=flow_run, experiment=experiment, model="churn")
    )


def test_a_run_that_left_several_models_or_none_fails_by_name() -> None:
    two = _training([2])
    with pytest.raises(ModelsAmbiguousError, match=r"attempt-1-0 \(models:/.*") as many:
        _adopt(two)
    assert two in str(many.value) and len(many.value.found) == 2
    with pytest.raises(ModelNotLoggedError, match="'churn', left no model") as none:
        _adopt(_training([0]))
    assert "or correct the name of the experiment; " in str(none.value)
    with pytest.raises(TrackingError, match="no experiment 'nope'"):
        _adopt(two, "nope")
    with pytest.raises(OrchestrationError, match="Prefect knows no flow run"):
        _adopt(str(uuid4()))


def test_what_a_failed_attempt_logged_is_not_what_the_run_made(
    announced: Callable[[], RegisterRequest],
) -> None:
    _adopt(_training([1, 1]))
    uri = announced().model_uri
    model = mlflow.MlflowClient().get_logged_model(uri.removeprefix("models:/"))
    assert model.name == "attempt-2-0"


@pytest.mark.parametrize(
    ("states", "first"),
    [
        ([Running(), Suspended(), _RESUMED, Pending(), Running(), Completed()], 0),
        ([Running(), Crashed(), Scheduled(), Pending(), Running(), Completed()], 4),
        ([Pending(), Running(), Running(name="Retrying"), Completed()], 1),
    ],
    ids=["a person answered", "its machine died", "one attempt"],
)
def test_the_time_of_a_run_is_that_of_the_attempt_that_completed(
    states: list[State[Any]], first: int
) -> None:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(_training, parameters={"models": [1]})
        for state in states:
            moment = state.model_copy(update={"timestamp": datetime.now(UTC)})
            client.set_flow_run_state(run.id, moment, force=True)
        kept = client.read_flow_run_states(run.id)
    times = sorted(each.timestamp for each in kept)[-len(states) :]
    assert _worked(str(run.id)) == (times[first], times[-1])


def test_automations_need_the_policy_and_the_deployment(folder: Path) -> None:
    with pytest.raises(
        OrchestrationError, match="no block: there is no Brixa Gate Pol"
    ):
        _saved(folder, RULES.replace('"strict"', '"nowhere"'))
    with pytest.raises(OrchestrationError, match="prefect deploy --all"):
        _saved(folder, RULES)
